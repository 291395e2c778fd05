"""Telling others what happened: a command or a webhook of ``[hooks]`` for each event.

A hook gets the facts as JSON, on its standard input or as the body of a POST; a command also gets
those that are one value in its environment, as ``PODIUM_HOOK_<NAME>``. They are data: no shell sees
them. Whatever becomes of a hook, the step goes on.
"""

from __future__ import annotations

import base64
import json
import os
import shlex
import signal
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from podium import __version__
from podium.errors import PodiumError
from podium.hashing import new_id
from podium.sections import Command, is_webhook
from podium.steps.workspace.project import Project

if TYPE_CHECKING:
    from podium.candidate import Candidate
    from podium.decision import Decision, Stage

EVENTS = ("review", "failure", "promotion")
STEP, SCHEMA = "hook", 1
VARIABLE = "PODIUM_HOOK_"
# What a hook printed is quoted so far, and no variable is longer: systems limit both.
QUOTED, LONGEST = 2000, 8000


def fire(project: Project, event: str, facts: Mapping[str, Any]) -> None:
    """Tell whoever podium.toml names for an event; a problem is told, logged and on record.

    Never raises for the hook's sake, and waits ``hooks.timeout`` seconds at most. Call it once what
    it tells of is durable.

    Parameters
    ----------
    event : {"review", "failure", "promotion"}
    facts : mapping
        JSON values. ``text`` is one sentence for people, ``slot`` the slot.
    """
    target: Command = getattr(project.config.hooks, event)
    if not target:
        return
    # Imported here: whoever has no hook needs no database's library for it.
    from podium.ledger.ledger import now

    facts = {
        "podium": SCHEMA,
        "event": event,
        "at": now(),
        "project": project.config.project.name,
        "root": str(project.root),
        "log": project.log.id,
        **facts,
    }
    slot = str(facts.get("slot", ""))
    body = json.dumps(facts, default=str).encode()
    began, timeout = time.monotonic(), project.config.hooks.timeout
    try:
        if is_webhook(target):
            problem = _post(str(target), body, timeout)
        else:
            problem = _run(project, target, facts, body, timeout)
    except Exception as error:  # noqa: BLE001 - the step must not fail for whom it tells
        problem = f"{type(error).__name__}: {error}"
    seconds, name = time.monotonic() - began, named(target)
    if problem:
        told = project.log.clean(f"the hook on {event} ({name}) failed: {problem}")
        project.reporter.say(f"{slot}: {told}" if slot else told)
    else:
        project.log.detail(f"hook on {event}: {name}, {seconds:.1f} s", slot=slot)
    _record(project, slot or project.config.root_slot, {
        "event": event,
        "hook": project.log.clean(name),
        "problem": project.log.clean(problem),
        "seconds": round(seconds, 3),
        "facts": {k: v for k, v in facts.items() if isinstance(v, str | int | float | bool)},
    })  # fmt: skip


def failed(project: Project, error: BaseException, slot: str = "") -> None:
    """Tell that a command ended with an error nobody asked for, or its work on one slot did."""
    slots, slot = project.log.slots, slot or project.log.only_slot
    sentence = project.log.clean(str(error) or type(error).__name__)
    where = slot or f"{len(slots)} slots"
    facts = {
        "text": f"podium {project.log.verb} on {where} failed: {sentence}",
        "slot": slot,
        "slots": list(slots),
        "verb": project.log.verb,
        "error": sentence,
        "kind": type(error).__name__,
        "exit_code": error.exit_code if isinstance(error, PodiumError) else 1,
    }
    fire(project, "failure", facts)


def moved(
    project: Project, candidate: Candidate, start: Stage, decision: Decision, replaced: str | None,
    text: str,
) -> None:  # fmt: skip
    """Tell that a candidate has another stage, by promotion, demotion or rollback.

    Parameters
    ----------
    start : Stage
        Where it was before the request; ``decision`` is the last one that was accepted.
    replaced : str or None
        Id of the champion before.
    """
    facts = {
        **_candidate(candidate),
        "text": text,
        "from": start,
        "to": decision.to_stage,
        "kind": decision.kind,
        "replaced": replaced if replaced != candidate.id else None,
        "decision": decision.id,
        "actor": decision.actor,
        "reason": decision.reason,
        "verdicts": [{"gate": v.gate, "result": v.result} for v in decision.verdicts],
    }
    fire(project, "promotion", facts)


def waits(project: Project, candidate: Candidate, decision: Decision, text: str) -> None:
    """Tell that nothing but people's signatures is missing for a candidate."""
    facts = {
        **_candidate(candidate),
        "text": text,
        "from": decision.from_stage,
        "to": decision.to_stage,
        "decision": decision.id,
        "actor": decision.actor,
        "verdicts": [
            {"gate": v.gate, "result": v.result, "finding": v.finding} for v in decision.verdicts
        ],
        "next": f"podium sign {candidate.id} --approve --reason TEXT",
    }
    fire(project, "review", facts)


def _candidate(candidate: Candidate) -> dict[str, Any]:
    return {
        "slot": candidate.slot,
        "candidate": candidate.id,
        "version": candidate.version,
        "family": candidate.family,
        "artifact_hash": candidate.artifact_hash,
    }


def named(target: Command) -> str:
    """A hook as it may be shown: of a webhook the host alone, since its path is often a secret."""
    if is_webhook(target):
        return f"webhook at {urlsplit(str(target)).hostname}"
    return shlex.join(_words(target))


def _words(target: Command) -> list[str]:
    return shlex.split(target) if isinstance(target, str) else list(target)


def _run(
    project: Project, target: Command, facts: Mapping[str, Any], body: bytes, timeout: float
) -> str:
    """Run a command in the project's folder; returns why it went wrong, or nothing.

    Input and output are files: whoever inherits them cannot make anybody wait.
    """
    import subprocess
    import tempfile

    single = {k: v for k, v in facts.items() if isinstance(v, str | int | float | bool)}
    told = {
        VARIABLE + name.upper(): str(value).replace("\0", "")[:LONGEST]
        for name, value in single.items()
    }
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as printed:
        given.write(body)
        given.seek(0)
        try:
            process = subprocess.Popen(
                _words(target),
                stdin=given,
                stdout=printed,
                stderr=subprocess.STDOUT,
                cwd=project.root,
                env={**os.environ, **told},
                # A group of its own, so that all of it can be ended, and Ctrl-C is the step's.
                start_new_session=True,
            )
        except OSError as error:
            return f"it cannot be started: {(error.strerror or str(error)).lower()}"
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            return f"it was ended after {timeout:g} s (hooks.timeout)"
        finally:
            if process.poll() is None:
                with suppress(OSError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        printed.seek(0)
        words = printed.read().decode(errors="replace").strip()[-QUOTED:]
        if words:
            project.log.line(f"the hook printed:\n{words}", slot=str(facts.get("slot", "")))
    if code == 0:
        return ""
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    return f"{how}: {words.rpartition(chr(10))[2]}" if words else how


def _post(url: str, body: bytes, timeout: float) -> str:
    """POST the facts; returns why it went wrong, or nothing.

    A thread does it, since looking up a name, or an answer that trickles, knows no timeout.
    """
    answer = [f"it did not answer within {timeout:g} s (hooks.timeout)"]

    def send() -> None:
        answer[0] = _sent(url, body, timeout)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    thread.join(timeout)
    return answer[0]


def _sent(url: str, body: bytes, timeout: float) -> str:
    # Imported here: few projects have a webhook.
    import urllib.error
    import urllib.request
    from http.client import HTTPException

    class Refusing(urllib.request.HTTPRedirectHandler):
        """What is told goes to the URL in podium.toml and nowhere else."""

        def redirect_request(self, *args: Any, **kwargs: Any) -> None:
            """None: a redirect is an error like any other."""

    parts = urlsplit(url)
    headers = {"Content-Type": "application/json", "User-Agent": f"podium/{__version__}"}
    place = parts.netloc.rpartition("@")[2]
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    try:
        request = urllib.request.Request(
            parts._replace(netloc=place).geturl(), body, headers, method="POST"
        )
        with urllib.request.build_opener(Refusing).open(request, timeout=timeout):
            return ""
    except urllib.error.HTTPError as error:
        error.close()
        more = ", and redirects are not followed" if 300 <= error.code < 400 else ""
        return f"it answered {error.code} {error.reason}{more}"
    except (OSError, ValueError, HTTPException) as error:
        return f"it cannot be reached: {getattr(error, 'reason', error)}"


def _record(project: Project, slot: str, outcome: Mapping[str, Any]) -> None:
    """Put on record that somebody was told; where the record is the trouble, the log has it."""
    if "ledger" not in project.__dict__:
        return
    from podium.ledger import writes

    # A record that cannot be written to is what the hook may be telling of.
    with suppress(Exception), project.ledger.transaction() as tx:
        writes.put_receipt(project.ledger, tx, slot, STEP, new_id("h"), outcome)

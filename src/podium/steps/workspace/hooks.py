"""Hooks: a command or a webhook of ``[hooks]`` for each event.

A hook receives the facts of the event as JSON, on its standard input or as the body of a POST. A
command also receives single values as environment variables ``PODIUM_HOOK_<NAME>``. No shell reads
them. A step continues whether its hook succeeds or not.
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
# Characters of a hook's output that are logged, and of a variable: systems limit both.
QUOTED, LONGEST = 2000, 8000


def fire(project: Project, event: str, facts: Mapping[str, Any]) -> None:
    """Run the hook of an event; its failure is reported, logged and put on record.

    Raises nothing, and waits ``hooks.timeout`` seconds at most. Call it when the event is durable.

    Parameters
    ----------
    event : {"review", "failure", "promotion"}
    facts : mapping
        JSON values. ``text`` is one sentence for people, ``slot`` the slot.
    """
    target: Command = getattr(project.config.hooks, event)
    if not target:
        return
    # Imported here: a project without hooks needs no SQLAlchemy.
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
    single = {k: v for k, v in facts.items() if isinstance(v, str | int | float | bool)}
    slot = str(facts.get("slot", ""))
    body = json.dumps(facts, default=str).encode()
    began, timeout = time.monotonic(), project.config.hooks.timeout
    try:
        if is_webhook(target):
            problem = _post(str(target), body, timeout)
        else:
            problem = _run(project, target, single, body, timeout)
    except Exception as error:  # noqa: BLE001 - a step does not fail with its hook
        problem = f"{type(error).__name__}: {error}"
    seconds, name = time.monotonic() - began, named(target)
    if problem:
        message = project.log.clean(f"the hook on {event} ({name}) failed: {problem}")
        project.reporter.say(f"{slot}: {message}" if slot else message)
    else:
        project.log.detail(f"hook on {event}: {name}, {seconds:.1f} s", slot=slot)
    _record(project, slot or project.config.root_slot, {
        "event": event,
        "hook": project.log.clean(name),
        "problem": project.log.clean(problem),
        "seconds": round(seconds, 3),
        "facts": single,
    })  # fmt: skip


def failed(project: Project, error: BaseException, slot: str = "") -> None:
    """Run the hook on failure: a command, or its work on one slot, ended with an error."""
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
    """Run the hook on promotion: a promotion, demotion or rollback changed a candidate's stage.

    Parameters
    ----------
    start : Stage
        Stage before the request.
    decision : Decision
        The last accepted one.
    replaced : str or None
        Id of the champion before.
    """
    facts = {
        **_facts(candidate, decision, text),
        "from": start,
        "kind": decision.kind,
        "replaced": replaced if replaced != candidate.id else None,
        "reason": decision.reason,
        "verdicts": [{"gate": v.gate, "result": v.result} for v in decision.verdicts],
    }
    fire(project, "promotion", facts)


def waits(project: Project, candidate: Candidate, decision: Decision, text: str) -> None:
    """Run the hook on review: a candidate lacks only signatures."""
    verdicts = [
        {"gate": v.gate, "result": v.result, "finding": v.finding} for v in decision.verdicts
    ]
    command = f"podium sign {candidate.id} --approve --reason TEXT"
    facts = {**_facts(candidate, decision, text), "verdicts": verdicts, "next": command}
    fire(project, "review", facts)


def _facts(candidate: Candidate, decision: Decision, text: str) -> dict[str, Any]:
    return {
        "slot": candidate.slot,
        "candidate": candidate.id,
        "version": candidate.version,
        "family": candidate.family,
        "artifact_hash": candidate.artifact_hash,
        "text": text,
        "from": decision.from_stage,
        "to": decision.to_stage,
        "decision": decision.id,
        "actor": decision.actor,
    }


def named(target: Command) -> str:
    """Name of a hook for messages; of a webhook the host, since its path is often a secret."""
    if is_webhook(target):
        return f"webhook at {urlsplit(str(target)).hostname}"
    return shlex.join(_words(target))


def _words(target: Command) -> list[str]:
    return shlex.split(target) if isinstance(target, str) else list(target)


def _run(
    project: Project, target: Command, facts: Mapping[str, Any], body: bytes, timeout: float
) -> str:
    """Run a command in the project's folder; return the problem, empty on success.

    Input and output are files, so that no child process that inherits them can block the step.
    """
    import subprocess
    import tempfile

    variables = {
        VARIABLE + name.upper(): str(value).replace("\0", "")[:LONGEST]
        for name, value in facts.items()
    }
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as printed:
        stdin.write(body)
        stdin.seek(0)
        try:
            process = subprocess.Popen(
                _words(target),
                stdin=stdin,
                stdout=printed,
                stderr=subprocess.STDOUT,
                cwd=project.root,
                env={**os.environ, **variables},
                # A process group, which can be killed as a whole and does not receive Ctrl-C.
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
    """POST the facts; return the problem, empty on success.

    In a thread, since neither name resolution nor a slow answer obeys the timeout.
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
        """Follow no redirect: facts go only to the URL in podium.toml."""

        def redirect_request(self, *args: Any, **kwargs: Any) -> None:
            """Treat a redirect as an error."""

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
    """Put the outcome of a hook on record; on failure it is in the log only."""
    if "ledger" not in project.__dict__:
        return
    from podium.ledger import writes

    # The event may be that the record cannot be written.
    with suppress(Exception), project.ledger.transaction() as tx:
        writes.put_receipt(tx, slot, STEP, new_id("h"), outcome)

"""Times of a promotion without its flushes, of the runtime reader and of an audit of the record.

Run with ``make bench``. The same folders are versions of a slot and of a model registered with
MLflow. Both promote in one process, in turns; a new process each time reads the champion.
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from _stores import mlflow_client

SLOT, NAME, ALIAS = "us4/D/volatility", "us4.D.volatility", "champion"
PROMOTE_MS, RESOLVE_MS = 3.0, 20.0
ROUNDS, STARTS = 40, 15
DECISIONS, CANDIDATES, AUDIT_S = 10_000, 1_000, 2.0
THEIRS = f"""
import sys
from mlflow.tracking import MlflowClient
version = MlflowClient(registry_uri=sys.argv[1]).get_model_version_by_alias("{NAME}", "{ALIAS}")
print(version.source)
"""
QUIET = 0.5


def main() -> None:
    if (load := os.getloadavg()[0]) > QUIET:
        print(
            f"the machine is busy (load {load:.1f}): ignore milliseconds, read ratios with care\n"
        )
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        place = Path(name)
        root, uri = _project(place), _registry(place)
        _promotions(root, uri, stack)
        _answers(root, uri)
        _audit(place)


def _audit(place: Path) -> None:
    """Time of a replay of many decisions, as in ``podium doctor``."""
    from podium.candidate import Candidate
    from podium.decision import Decision, Kind, Stage
    from podium.ledger import audit, decisions
    from podium.ledger.ledger import Ledger, now
    from podium.ledger.record_reader import RecordReader

    url = "sqlite:///many.db"
    ledger = Ledger(url, place, "p-bench", "bench")
    each = DECISIONS // CANDIDATES - 1
    with ledger.transaction() as tx:
        for number in range(CANDIDATES):
            candidate = Candidate(
                id=f"c-{number}", slot=SLOT, version=0, model_type="base", family="naive",
                config={}, study_id="s", trial_id="t", artifact_hash=f"{number:064}",
                artifact_path=f"{number:020}", dataset_fingerprint="d" * 64,
                trained_until="2009-12-31", parent_id=None, root_id=f"c-{number}",
                created_at=now(),
            )  # fmt: skip
            decisions.register(tx, candidate, "bench")
            for turn in range(each):
                stages = [Stage.DEVELOPMENT, Stage.BETA]
                here, there = stages if turn % 2 == 0 else stages[::-1]
                move = Decision(
                    kind=Kind.MOVE, slot=SLOT, candidate_id=candidate.id, from_stage=here,
                    to_stage=there, accepted=True, actor="bench", reason="bench",
                    created_at=now(),
                )  # fmt: skip
                decisions.decide(tx, move)
    ledger.close()
    reader = RecordReader(url, place, "p-bench")

    def replay() -> None:
        record = audit.Record.of(reader)
        checks = (audit.decision_faults, audit.head_faults, audit.reference_faults)
        if any(list(check(record)) for check in checks):
            raise SystemExit("the audit has faults")

    seconds = min(_ms(replay) for _ in range(3)) / 1000
    print(
        f"audit of {DECISIONS:,} decisions about {CANDIDATES:,} candidates: {seconds:.2f} s, "
        f"target {AUDIT_S:.0f} ({_met(seconds, AUDIT_S)})"
    )


def _project(place: Path) -> Path:
    """Create a project with candidates that become champion in turns."""
    from podium import artifact
    from podium.candidate import Candidate
    from podium.evidence import Scalar
    from podium.ledger import decisions, writes
    from podium.steps.archive.init import init
    from podium.steps.evidence.evidence import evidence_about
    from podium.steps.workspace.session import open_project

    root = init(place / "mine", demo=True)
    path = root / "podium.toml"
    text = path.read_text().replace(f'[slots."{SLOT}"]', f'[slots."{SLOT}"]\npolicy = "one"')
    path.write_text(text + "\n[policies.one.champion.max_drawdown]\n")
    with open_project(root) as project:
        ledger = project.ledger
        for number in range(2):
            folder = place / f"model-{number}"
            folder.mkdir()
            (folder / "naive.json").write_text(json.dumps({"method": "last", "offset": number}))
            (folder / "model.pt").write_bytes(os.urandom(50_000))
            kept, where = artifact.store(
                project.store, {"final_model": folder}, {"family": "naive"}, writer="bench"
            )
            candidate = Candidate(
                id=f"c-{number}", slot=SLOT, version=0, model_type="base", family="naive",
                config={},
                study_id="s", trial_id="t", artifact_hash=kept, artifact_path=where,
                dataset_fingerprint="d" * 64, trained_until="2009-12-31", parent_id=None,
                root_id=f"c-{number}", created_at="2026-01-01T00:00:00.000Z",
            )  # fmt: skip
            with ledger.transaction(durable=True) as tx:
                decisions.register(tx, candidate, "bench")
                drawdown = {"candidate:max_drawdown": Scalar(0.1)}
                finding = evidence_about(
                    candidate, "backtest", "bench", dataset="d" * 64, scalars=drawdown, notes={}
                )
                writes.put_evidence(tx, finding)
    return root


def _registry(place: Path) -> str:
    """MLflow's registry with two versions of a model, each a folder of the same files."""
    uri = f"sqlite:///{place / 'registry.db'}"
    client = mlflow_client(uri)
    client.create_registered_model(NAME)
    for number in range(2):
        client.create_model_version(NAME, source=(place / f"model-{number}").as_uri())
    client.set_registered_model_alias(NAME, ALIAS, "1")
    return uri


def _promotions(root: Path, uri: str, stack: ExitStack) -> None:
    from podium.steps.decisions import promote as step
    from podium.steps.workspace.session import open_project

    project = stack.enter_context(open_project(root))
    client = mlflow_client(uri)
    handle = stack.enter_context((root / "flush").open("ab"))
    turns, flushes = itertools.count(), itertools.count()
    real = os.fsync

    def counted(descriptor: int) -> None:
        next(flushes)
        real(descriptor)

    def promote() -> None:
        decided = step.promote(project, f"c-{next(turns) % 2}", reason="bench")
        if decided.refused:
            raise SystemExit(decided.sentence)

    def flush() -> None:
        handle.write(b"x" * 4096)
        handle.flush()
        real(handle.fileno())

    def theirs() -> None:
        # An alias and tags with the reason; MLflow has no stages, gates or hashes to update.
        version = str(1 + next(turns) % 2)
        client.set_registered_model_alias(NAME, ALIAS, version)
        for key, value in (("promotion_stage", ALIAS), ("promotion_reason", "bench")):
            client.set_model_version_tag(NAME, version, key, value)

    def inside() -> None:
        with project.locked(SLOT, "promote"):
            began = time.perf_counter()
            promote()
            decided.append(1000 * (time.perf_counter() - began))

    decided: list[float] = []
    os.fsync = counted
    try:
        times = _in_turns({"ours": inside, "flush": flush, "theirs": theirs})
    finally:
        os.fsync = real
    verb, times["ours"] = times["ours"], statistics.median(decided[1:])
    # SQLite flushes its log once a commit, below Python's sight; a promotion is one commit.
    made = 1 + next(flushes) / (ROUNDS + 1)
    beyond = times["ours"] - made * times["flush"]
    print(
        f"one promotion, archived over beta to champion: {times['ours']:.2f} ms with {made:.0f} "
        f"flushes of {times['flush']:.2f} ms; {beyond:.2f} ms beyond them, target "
        f"{PROMOTE_MS:.0f} ({_met(beyond, PROMOTE_MS)})"
    )
    print(f"  with the slot's lock, a log and the files of other programs: {verb:.2f} ms")
    ratio = times["theirs"] / times["ours"]
    print(f"  MLflow, an alias and two tags: {times['theirs']:.2f} ms, {ratio:.1f} x\n", flush=True)


def _answers(root: Path, uri: str) -> None:
    """Time to read the champion's place in a new process each time."""
    command = str(Path(sys.executable).parent / "podium")
    words = {
        "bare": [sys.executable, "-c", "pass"],
        "python -m": [sys.executable, "-m", "podium", "resolve", SLOT],
        "command": [command, "resolve", SLOT],
        "theirs": [sys.executable, "-c", THEIRS, uri],
    }

    def ask(which: str) -> None:
        subprocess.run(words[which], cwd=root, check=True, stdout=subprocess.DEVNULL)

    times = _in_turns({which: partial(ask, which) for which in words}, STARTS)
    bare = times.pop("bare")
    print(f"champion of {SLOT} in a new process; a bare interpreter takes {bare:.1f} ms")
    for which in ("command", "python -m"):
        beyond = times[which] - bare
        print(
            f"  podium resolve ({which}): {times[which]:.1f} ms, {beyond:.1f} ms beyond it, target "
            f"{RESOLVE_MS:.0f} ({_met(beyond, RESOLVE_MS)})"
        )
    ratio = times["theirs"] / times["command"]
    print(f"  MLflow, models:/{NAME}@{ALIAS}: {times['theirs']:.0f} ms, {ratio:.0f} x")
    from podium import champion

    inside = statistics.median(_ms(partial(champion, SLOT, root)) for _ in range(99))
    client = mlflow_client(uri)
    other = statistics.median(
        _ms(partial(client.get_model_version_by_alias, NAME, ALIAS)) for _ in range(99)
    )
    print(
        f"again in the same process: {inside:.2f} ms, MLflow {other:.2f} ms, {other / inside:.1f} x"
    )


def _in_turns(works: dict[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    """Median milliseconds of each function, in rounds, so that load affects all equally."""
    times: dict[str, list[float]] = {what: [] for what in works}
    for turn in range(rounds + 1):
        for what, work in works.items():
            spent = _ms(work)
            if turn:
                times[what].append(spent)
    return {what: statistics.median(all_) for what, all_ in times.items()}


def _ms(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - started)


def _met(value: float, target: float) -> str:
    return "met" if value <= target else "MISSED"


if __name__ == "__main__":
    main()

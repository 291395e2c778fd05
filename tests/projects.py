"""Small real projects, and what a test wants to know about them; shared by several test files."""

from __future__ import annotations

import json
import multiprocessing as mp
import sqlite3
import tomllib
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from podium.candidate import Candidate
from podium.decision import Decision, Kind, Stage
from podium.errors import ConflictError
from podium.hashing import digest, new_id
from podium.ledger import decisions, writes
from podium.ledger.ledger import Ledger, now
from podium.ledger.writes import NewTrial
from podium.steps.archive import init
from podium.steps.pipeline.run import Run, run
from podium.steps.workspace.project import Silent
from podium.steps.workspace.session import open_project
from podium.study import Study
from podium.trial import Ended, Epoch, Key, State, Task

SLOT = "us4/D/volatility"
# One model trains in a fraction of a second; nothing here is meant to be good.
SMALL: dict[str, Any] = {
    "project": {"name": "small", "id": "p-small", "default_slot": SLOT},
    "datasets": {"us4": {"path": "data/us4", "tickers": ["AAPL", "IBM"], "timeframe": "D"}},
    "slots": {
        SLOT: {
            "dataset": "us4",
            "target": "volatility",
            "horizon": 5,
            "window": 8,
            "features": ["log_return", "log_volatility:21"],
            "families": ["lstm"],
            "signal": "inverse_volatility",
            "test_from": "2002-01-01",
            "test_to": "2002-06-30",
        }
    },
    "tune": {
        "trials": 4,
        "generation": 2,
        "epochs": 2,
        "search": "tpe",
        "schedule": "none",
        "finalists": 0,
    },
    # What a search leaves for people takes longer than all else here.
    "paths": dict.fromkeys(
        ("tuning", "extended", "best_config", "plots", "final", "backtesting"), ""
    ),
    "extend": {"top": 2, "folds": 2, "epochs": 2},
    # Models too small to beat a baseline become candidates too.
    "analyze": {"choose": "searched"},
    "finalize": {"epochs": 2},
    "runner": {"name": "inline", "jobs": 1},
    "space": {"lstm": {"lstm_units": [4], "batch_size": [256]}},
}
# Without the test against naive, so that the small project has a champion to look at.
LENIENT = {"forecast": {"champion": {"fresh_evidence": {}}}}


def small_project(folder: Path, **settings: Mapping[str, Any]) -> Path:
    """Demo project cut down to seconds; ``settings`` are merged into podium.toml by section."""
    root = long_project(folder, **settings)
    keep_two_years(root)
    return root


def long_project(folder: Path, **settings: Mapping[str, Any]) -> Path:
    """The same with all bars of the demo."""
    root = init.init(folder, demo=True)
    configure(root, **settings)
    return root


def configure(root: Path, **settings: Mapping[str, Any]) -> None:
    """Rewrite a small project's podium.toml with other settings; its name and id stay."""
    (root / "podium.toml").write_text(toml(merge(SMALL, settings)), encoding="utf-8")


def keep_two_years(root: Path) -> None:
    """Leave a project only these bars: reading them is most of what a short process does."""
    for path in (root / "data" / "us4").glob("*.csv"):
        head, *bars = path.read_text().splitlines(keepends=True)
        path.write_text(head + "".join(bar for bar in bars if "2000-06" <= bar < "2002-08"))


def merge(*tables: Mapping[str, Any]) -> dict[str, Any]:
    """Tables laid over one another, the last one on top."""
    found: dict[str, Any] = {}
    for table in tables:
        for key, value in table.items():
            both = isinstance(value, Mapping) and isinstance(found.get(key), Mapping)
            found[key] = merge(found[key], value) if both else value
    return found


def toml(table: Mapping[str, Any], path: str = "") -> str:
    """TOML of nested tables; JSON's scalars and lists are TOML's."""
    lines = [f"{k} = {json.dumps(v)}" for k, v in table.items() if not isinstance(v, Mapping)]
    text = (f"[{path}]\n" if path else "") + "".join(line + "\n" for line in lines)
    for key, value in table.items():
        if isinstance(value, Mapping):
            text += "\n" + toml(value, f"{path}.{json.dumps(key)}" if path else json.dumps(key))
    return text


class Interrupting:
    """Reporter that behaves like Ctrl-C after so many calls of ``progress``."""

    def __init__(self, after: int) -> None:
        self.left = after
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def progress(self, label: str, done: int, total: int, note: str = "") -> None:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt


class Saying(Silent):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def run_project(root: Path, *, reporter: Any = None, **flags: Any) -> Run:
    """One full run; flags are ``section__key=value``."""
    dotted = {key.replace("__", "."): value for key, value in flags.items()}
    with open_project(root, settings=dotted, reporter=reporter) as project:
        return run(project)


def use(folder: Path, url: str) -> None:
    """Let a bare record in this folder be in another database."""
    (folder / "podium.toml").write_text(toml({"ledger": {"url": url}}), encoding="utf-8")


def url_of(root: Path) -> str:
    """Where a folder's record is: what its podium.toml says, else the default."""
    settings = root / "podium.toml"
    text = settings.read_text(encoding="utf-8") if settings.is_file() else ""
    return tomllib.loads(text).get("ledger", {}).get("url", "sqlite:///podium.db")


def connect(root: Path, *, reading: bool = False) -> Any:
    """The database driver's own connection to a folder's record, past podium's code."""
    url = url_of(root)
    if url.startswith("postgresql"):
        import psycopg

        return psycopg.connect("postgresql" + url.removeprefix("postgresql+psycopg"))
    path = root / url.removeprefix("sqlite:///")
    how = "?mode=ro" if reading else ""
    return sqlite3.connect(f"{path.as_uri()}{how}", uri=True, timeout=30)


def query(root: Path, sql: str, *parameters: object) -> list[dict[str, Any]]:
    """Rows of a project's record, read past podium's own code."""
    with closing(connect(root, reading=True)) as connection:
        if not isinstance(connection, sqlite3.Connection):
            sql = sql.replace("?", "%s")
        cursor = connection.execute(sql, parameters)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]


def outcome(root: Path) -> dict[str, Any]:
    """Everything of a record that must not depend on clocks, ids, processes and interruptions."""
    return {
        "trials": query(
            root,
            """SELECT key, config, fold, seed, state, score, loss_hash, index_hash,
                      prediction_hash, artifact_hash FROM trial ORDER BY key""",
        ),
        "epochs": query(
            root,
            """SELECT t.key, s.part, s.fold, s.epoch, s.metric, s.value
               FROM score s JOIN trial t ON t.id = s.trial_id
               ORDER BY t.key, s.part, s.fold, s.epoch, s.metric""",
        ),
        "studies": query(root, "SELECT key, slot FROM study ORDER BY key"),
        "asked": query(
            root,
            """SELECT s.slot, l.phase, l.number, t.key FROM study_trial l
               JOIN trial t ON t.id = l.trial_id JOIN study s ON s.id = l.study_id
               ORDER BY s.slot, l.phase, l.number""",
        ),
        "candidates": query(
            root,
            """SELECT c.version, c.config, c.artifact_hash, c.artifact_path, s.stage
               FROM candidate c JOIN stage s ON s.candidate_id = c.id ORDER BY c.version""",
        ),
        "evidence": query(root, "SELECT kind, scalars, series, notes FROM evidence ORDER BY kind"),
        "decisions": query(
            root, "SELECT kind, from_stage, to_stage, accepted, verdicts FROM decision ORDER BY seq"
        ),
        "looks": query(root, "SELECT dataset, interval_from, interval_to FROM test_look"),
    }


def assert_clean(root: Path) -> None:
    """The record is whole, every trial trained once and every reference leads somewhere."""
    if url_of(root).startswith("sqlite"):
        assert query(root, "PRAGMA integrity_check") == [{"integrity_check": "ok"}]
    assert query(root, "SELECT key FROM trial GROUP BY key HAVING count(*) > 1") == []
    assert query(root, "SELECT id FROM trial WHERE state != 'complete'") == []
    dangling = """SELECT id FROM trial WHERE loss_hash IS NOT NULL
                  AND loss_hash NOT IN (SELECT hash FROM blob)"""
    assert query(root, dangling) == []
    for row in query(root, "SELECT artifact_path FROM candidate"):
        assert (root / "models" / "registry" / row["artifact_path"] / "manifest.json").is_file()


def open_ledger(folder: Path, project_id: str = "p-test") -> Ledger:
    """A bare record, without a project round it."""
    return Ledger(url_of(folder), folder, project_id, "test")


def new_trial(number: int, *, phase: str = "tune", metric: str = "mse", **key: Any) -> NewTrial:
    """A trial that differs from another by its number unless told otherwise."""
    parts = {
        "family": "lstm",
        "family_version": 1,
        "config": {"dropout": number / 1000},
        "dataset": "d" * 64,
        "task": "t" * 64,
        "split": "s" * 64,
        "fold": 0,
        "seed": number,
    }
    return NewTrial(Key(**{**parts, **key}), phase, number, metric)


def ended(trial_id: str, score: float = 0.5, **other: Any) -> Ended:
    """How a trial with one epoch ended."""
    epochs = (Epoch(0, 1, {"train_loss": score, "val_loss": score}),)
    task = Task(trial_id, {}, 0, 0)
    return Ended(
        **{"task": task, "state": State.COMPLETE, "score": score, "epochs": epochs, **other}
    )


def new_study(ledger: Ledger, slot: str = SLOT, question: str = "q") -> Study:
    """A study in the record."""
    with ledger.transaction() as tx:
        return writes.put_study(tx, slot, {"question": question})


def new_candidate(name: str, slot: str = SLOT, model_type: str = "base") -> Candidate:
    """A candidate nobody trained; decisions only look at its ids."""
    return Candidate(
        id=f"c-{name}",
        slot=slot,
        version=0,
        model_type=model_type,
        family="lstm",
        config={},
        study_id="s-1",
        trial_id=f"t-{name}",
        artifact_hash=digest(name),
        artifact_path=name,
        dataset_fingerprint="d" * 64,
        trained_until="2009-12-31",
        parent_id=None,
        root_id=f"c-{name}",
        created_at=now(),
    )


def move(
    candidate_id: str,
    from_stage: Stage | None,
    to_stage: Stage,
    *,
    expected: str | None = None,
    slot: str = SLOT,
    accepted: bool = True,
) -> Decision:
    """A move as ``promote`` would ask for it."""
    return Decision(
        id=new_id("d"),
        kind=Kind.MOVE,
        slot=slot,
        candidate_id=candidate_id,
        from_stage=from_stage,
        to_stage=to_stage,
        accepted=accepted,
        actor="tester",
        reason="test",
        expected_champion=expected,
        policy={},
        verdicts=(),
        evidence=(),
        created_at=now(),
    )


# What other processes do in a test; here, because a spawned process must be able to import it.


def in_processes(
    target: Callable[..., None], argument_lists: list[tuple[Any, ...]], patience: float = 120
) -> list[Any]:
    """What each process answered; each gets a barrier for all of them and a queue to answer on."""
    context = mp.get_context("spawn")
    barrier, answers = context.Barrier(len(argument_lists)), context.Queue()
    processes = [
        context.Process(target=target, args=(*arguments, barrier, answers))
        for arguments in argument_lists
    ]
    for process in processes:
        process.start()
    try:
        found = [answers.get(timeout=patience) for _ in processes]
        for process in processes:
            process.join(60)
        assert [process.exitcode for process in processes] == [0] * len(processes), found
        return found
    finally:
        for process in processes:
            process.kill()
            process.join()
        answers.close()


def _report(barrier: Any, answers: Any, work: Callable[[], Any]) -> None:
    try:
        answers.put(work())
    except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
        # The others would wait for this process until their patience ends.
        barrier.abort()
        answers.put(f"{type(error).__name__}: {error}")


def write_trials(folder: Path, worker: int, count: int, barrier: Any, answers: Any) -> None:
    """Open a record that may not exist yet at the same moment as others, then fill it."""

    def work() -> str:
        barrier.wait(60)
        ledger = open_ledger(folder)
        study = new_study(ledger)
        for n in range(count):
            with ledger.transaction() as tx:
                trial = replace(new_trial(worker * count + n), named=True)
                [id_] = writes.start_trials(tx, study, [trial], "e" * 64)
            with ledger.transaction(durable=True) as tx:
                writes.end_trial(tx, ended(id_), metric="mse", index_hash=None)
        ledger.close()
        return "done"

    _report(barrier, answers, work)


def open_many(folders: list[Path], barrier: Any, answers: Any) -> None:
    """Open one new record after the other, each at the same moment as others do."""

    def work() -> list[str]:
        failed = []
        for folder in folders:
            barrier.wait(60)
            try:
                open_ledger(folder).close()
            except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
                failed.append(f"{type(error).__name__}: {error}")
        return failed

    _report(barrier, answers, work)


def promote_each_round(folder: Path, me: str, rounds: int, barrier: Any, answers: Any) -> None:
    """In each round, ask to become champion against the champion everybody saw before it.

    Each answer is ``won`` or the exit code of what was refused.
    """

    champions = (
        "SELECT (SELECT max(candidate_id) FROM champion), (SELECT count(*) FROM champion), "
        "(SELECT count(*) FROM stage WHERE stage = 'champion')"
    )

    def work() -> list[str | int]:
        ledger = open_ledger(folder)
        results: list[str | int] = []
        for n in range(rounds):
            barrier.wait(60)
            with ledger.reading() as tx:
                [row] = tx.connection.exec_driver_sql(champions).fetchall()
            assert tuple(row[1:]) == ((1, 1) if n else (0, 0)), f"{row} before round {n}"
            barrier.wait(60)
            decision = move(f"c-{me}{n}", Stage.BETA, Stage.CHAMPION, expected=row[0])
            try:
                with ledger.transaction(durable=True) as tx:
                    decisions.decide(tx, decision)
                results.append("won")
            except ConflictError as error:
                results.append(error.exit_code)
        ledger.close()
        return results

    _report(barrier, answers, work)

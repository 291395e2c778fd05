"""``experiments/best_config.json`` and ``models/active_model.txt``: the best of all grids.

Compared are runs that were judged alike: same data, task, split and metric, and those of the newest
grid. Where nobody ran a grid yet, imported runs are compared, those of one source among themselves.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa

from podium import registry
from podium.files import rerooted, write_atomic
from podium.ledger import outbox, reads, schema
from podium.ledger.ledger import Ledger
from podium.ledger.statements import beside, first, mine, select, value, values
from podium.record import finite
from podium.trial import State

GRID = "grid"
BEST = "experiments/best_config.json"
ACTIVE = "models/active_model.txt"
TARGET = "active_model"
SCHEMA = 1
# What imported logs call the loss they were compared by.
LOSS = "final_val_loss"
# How a run was judged; runs that differ in any of these are not comparable.
JUDGED = ("dataset", "task", "split", "metric")
# A run's row, beside whose score that of a comparison is read.
_UNSCORED = [column for column in schema.trial.c if column.name != "score"]


@dataclass(frozen=True)
class _ActiveMark:
    """What podium last wrote for a slot.

    Parameters
    ----------
    root : str
        Where the project was.
    best : str
        Id of the best run.
    model : str
        Its file.
    texts : mapping of str to str
        Content of each file, by its path relative to the project.
    said : str
        The warning a person was given, so that it is given once.
    """

    root: str = ""
    best: str = ""
    model: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)
    said: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        return cls(**json.loads(text)) if text else cls()


@dataclass(frozen=True)
class _Best:
    """The best run of a slot that has its model still."""

    row: Mapping[str, Any]
    model: Path
    # What the grids were judged by; empty: the run is imported.
    metric: str

    def texts(self, slot: str, best: str, active: str) -> dict[str, str]:
        """Content of both files, by their path."""
        row = self.row
        said = json.loads(row["said"]) if row["said"] else {}
        told = {
            **judged(self.metric, row["score"], row.get("val_loss")),
            "config": said.get("hyperparams") or json.loads(row["config"]),
            "model_path": str(self.model),
            "podium": SCHEMA,
            "slot": slot,
            "family": row["family"],
            "run_id": row["run_id"],
            "id": row["id"],
        }
        if self.metric:
            told |= {
                "metric": self.metric,
                "timestamp": row["ended_at"],
                "dataset_fingerprint": row["dataset_fingerprint"],
                "task": row["task_hash"],
                "split": row["split_hash"],
            }
        else:
            told |= {"timestamp": row["created_at"], "source": row["origin"]}
        return {best: json.dumps(told, indent=2) + "\n", active: f"{self.model}\n"}


def came_to(ledger: Ledger, name: str) -> sa.ScalarSelect[float]:
    """What a trial's model came to by a name, beside its row."""
    result = schema.result.c
    of_trial = result.trial_id == schema.trial.c.id
    return beside(ledger, schema.trial, result.value, of_trial, result.metric == name)


def judged(metric: str, score: float | None, loss: float | None) -> dict[str, float | None]:
    """What users' files call the loss, lower is better; a score that is to be high beside it."""
    if metric and registry.exists("metrics", metric) and registry.direction(metric) == "max":
        return {LOSS: loss, "score": score}
    return {LOSS: score}


def is_behind(ledger: Ledger, root: Path, active: str) -> bool:
    """Whether a file that podium wrote, or the model it names, is not where it should be."""
    is_active = schema.projection.c.target.startswith(TARGET)
    rows = ledger.read(select, schema.projection, is_active)
    marks = {row["target"]: _ActiveMark.parse(row["mark"]) for row in rows}
    return any(
        mark.root != str(root)
        or not Path(mark.model).exists()
        or not all((root / name).is_file() for name in mark.texts)
        or (target == TARGET and active not in mark.texts)
        for target, mark in marks.items()
        if mark.best
    )


def write(
    ledger: Ledger, root: Path, default: str, active: str, say: Callable[[str], None]
) -> list[str]:
    """Write both files of every slot where they say something else by now.

    Parameters
    ----------
    default : str
        The slot whose files lie in the project itself; those of others under ``slots/``.
    active : str
        Where the default slot's active model is told.
    """
    grids = ledger.read(values, schema.receipt.c.slot, step=GRID)
    written = []
    for slot in dict.fromkeys([default, *sorted(set(grids))]):
        if slot:
            written += _Slot(ledger, root, slot, slot == default, active, say).write()
    return written


@dataclass(frozen=True)
class _Slot:
    """The two files of one slot."""

    ledger: Ledger
    root: Path
    slot: str
    is_default: bool
    default_active: str
    say: Callable[[str], None]

    @property
    def target(self) -> str:
        return TARGET if self.is_default else f"{TARGET}:{self.slot}"

    @property
    def best(self) -> str:
        return BEST if self.is_default else f"slots/{self.slot}/{BEST}"

    @property
    def active(self) -> str:
        return self.default_active if self.is_default else f"slots/{self.slot}/{ACTIVE}"

    def write(self) -> list[str]:
        """Write what differs; returns what was written."""
        ledger = self.ledger
        with ledger.reading() as tx:
            position, text = outbox.position_of(ledger, tx, self.target)
            newest = self._newest_grid(tx)
            found = self._find(tx, newest)
            changed = newest is not None and self._changed_since(tx, newest)
        before = _ActiveMark.parse(text)
        written: list[str] = []
        if found is not None:
            mark, written = self._put(found, before)
            if changed:
                why = "there is no grid on its present data and settings"
                mark = self._kept(replace(mark, said=before.said), why)
        elif before.best:
            mark = self._kept(before, "no run of its last grid has a model")
        else:
            return []
        if mark != before:
            ledger.write(outbox.advance, self.target, position, json.dumps(asdict(mark)))
        return written

    def _put(self, found: _Best, before: _ActiveMark) -> tuple[_ActiveMark, list[str]]:
        """Write both files unless somebody changed one and nothing better came since."""
        texts, written = found.texts(self.slot, self.best, self.active), []
        is_new = found.row["id"] != before.best
        for name, text in texts.items():
            path = self.root / name
            there = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None
            if there == text:
                continue
            if there is not None and there != before.texts.get(name):
                told = f"{name} is not as podium wrote it ({there.strip()[:200]!r})"
                # Imported runs win nothing against a file that is older than podium's.
                if not is_new or (not found.metric and not before.best):
                    self.say(f"{told}; it stays until a grid has a new best")
                    continue
                self.say(f"{told}; a grid has a new best, so it is replaced")
            write_atomic(path, text)
            written.append(name)
        return _ActiveMark(str(self.root), found.row["id"], str(found.model), texts), written

    def _kept(self, mark: _ActiveMark, why: str) -> _ActiveMark:
        """Tell once that the active model is that of an older comparison."""
        told = f"warning: {self.slot}: {why}, so {self.active} stays; run: podium grid {self.slot}"
        if told != mark.said:
            self.say(told)
        return replace(mark, said=told)

    def _find(self, tx: sa.Connection, newest: Mapping[str, Any] | None) -> _Best | None:
        """The best finite score among comparable runs whose model is still there."""
        metric = "" if newest is None else str(newest["metric"])
        for row in self._imported(tx) if newest is None else self._grid_runs(tx, newest):
            if finite(row["score"]) and row["checkpoint"]:
                model = rerooted(row["checkpoint"], self.root)
                if model.exists():
                    return _Best(row, model, metric)
        return None

    def _newest_grid(self, tx: sa.Connection) -> Mapping[str, Any] | None:
        """How the runs of the last grid were judged, and when that was."""
        table = schema.receipt
        newest = table.c.seq.desc()
        row = first(self.ledger, tx, table, order=newest, slot=self.slot, step=GRID)
        return {**json.loads(row["outputs"]), "created_at": row["created_at"]} if row else None

    def _changed_since(self, tx: sa.Connection, newest: Mapping[str, Any]) -> bool:
        """Whether a search after the last grid was judged otherwise."""
        study = schema.study.c
        later = study.created_at > newest["created_at"]
        questions = values(self.ledger, tx, study.question, later, slot=self.slot)
        asked = [question for text in questions if "dataset" in (question := json.loads(text))]
        return any(question[name] != newest[name] for question in asked for name in JUDGED)

    def _grid_runs(self, tx: sa.Connection, asked: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Complete runs of all the slot's grids that were judged like this, best first."""
        ledger, trial = self.ledger, schema.trial.c
        link, study = schema.study_trial.c, schema.study.c
        of_grids = mine(
            ledger,
            link.trial_id,
            study.id == link.study_id,
            study.slot == self.slot,
            link.phase == GRID,
        )
        metric = asked["metric"]
        rises = registry.direction(metric) == "max"
        # What was trained for another metric has its score in this one beside it.
        score = sa.case(
            (trial.metric == metric, trial.score), else_=came_to(ledger, f"val_{metric}")
        )
        loss = came_to(ledger, "val_loss").label("val_loss")
        return select(
            ledger,
            tx,
            [*_UNSCORED, score.label("score"), loss],
            trial.id.in_(of_grids),
            trial.checkpoint.is_not(None),
            order=[score.desc() if rises else score, trial.seq],
            state=State.COMPLETE,
            dataset_fingerprint=asked["dataset"],
            task_hash=asked["task"],
            split_hash=asked["split"],
        )

    def _imported(self, tx: sa.Connection) -> list[dict[str, Any]]:
        """Runs of the newest import of grids for the slot, best first."""
        trial, result = schema.trial.c, schema.result.c
        imported = (
            *reads.asked_by_slot(self.slot),
            result.trial_id == trial.id,
            result.metric == LOSS,
            trial.checkpoint.is_not(None),
        )
        of_any = trial.origin.startswith("import:")
        last = value(self.ledger, tx, trial.origin, *imported, of_any, order=trial.seq.desc())
        if last is None:
            return []
        return select(
            self.ledger,
            tx,
            [*_UNSCORED, result.value.label("score")],
            *imported,
            trial.origin == last,
            order=[result.value, trial.seq],
        )

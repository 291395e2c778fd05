"""``experiments/best_config.json`` and ``models/active_model.txt``: the best run of all grids.

Runs are comparable if their data, task, split and metric are those of the newest grid. Before the
first grid, the imported runs of one source are compared with each other.
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
from podium.ledger.columns import json_column, read_mark
from podium.ledger.ledger import Ledger, Transaction
from podium.ledger.statements import correlated, first, mine, select, value, values
from podium.record import finite
from podium.trial import State

GRID = "grid"
BEST = "experiments/best_config.json"
ACTIVE = "models/active_model.txt"
TARGET = "active_model"
SCHEMA = 1
# Name of the loss in imported logs.
LOSS = "final_val_loss"
# Runs that differ in any of these are not comparable.
COMPARABLE = ("dataset", "task", "split", "metric")
# Columns of a run; its score is selected separately, in the metric of the comparison.
_UNSCORED = [column for column in schema.trial.c if column.name != "score"]


@dataclass(frozen=True)
class _ActiveMark:
    """State of a slot's files when podium last wrote them.

    Parameters
    ----------
    root : str
        The project's folder.
    best : str
        Id of the best run.
    model : str
        Its file.
    texts : mapping of str to str
        Content of each file, by its path relative to the project.
    extras : str
        The last warning, so that it is shown once.
    """

    root: str = ""
    best: str = ""
    model: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)
    extras: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        return read_mark(cls, text)


@dataclass(frozen=True)
class _Best:
    """The best run of a slot whose model still exists."""

    row: Mapping[str, Any]
    model: Path
    # Metric of the grids; empty for an imported run.
    metric: str

    def texts(self, slot: str, best: str, active: str) -> dict[str, str]:
        """Content of both files, by their path."""
        row = self.row
        extra = json_column(row, "extras")
        content = {
            **loss_fields(self.metric, row["score"], row.get("val_loss")),
            "config": extra.get("hyperparams") or json_column(row, "config"),
            "model_path": str(self.model),
            "podium": SCHEMA,
            "slot": slot,
            "family": row["family"],
            "run_id": row["run_id"],
            "id": row["id"],
        }
        if self.metric:
            content |= {
                "metric": self.metric,
                "timestamp": row["ended_at"],
                "dataset_fingerprint": row["dataset_fingerprint"],
                "task": row["task_hash"],
                "split": row["split_hash"],
            }
        else:
            content |= {"timestamp": row["created_at"], "source": row["origin"]}
        return {best: json.dumps(content, indent=2) + "\n", active: f"{self.model}\n"}


def result_value(tx: Transaction, name: str) -> sa.ScalarSelect[float]:
    """Subquery for a trial's result of this name."""
    result = schema.result.c
    of_trial = result.trial_id == schema.trial.c.id
    return correlated(tx, schema.trial, result.value, of_trial, result.metric == name)


def loss_fields(metric: str, score: float | None, loss: float | None) -> dict[str, float | None]:
    """Loss, lower is better, under its name in users' files; with the score if higher is better."""
    if metric and registry.exists("metrics", metric) and registry.direction(metric) == "max":
        return {LOSS: loss, "score": score}
    return {LOSS: score}


def is_behind(ledger: Ledger, root: Path, active: str) -> bool:
    """Whether a file that podium wrote, or the model it names, is missing or has moved."""
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
    """Write both files of every slot if their content has changed.

    Parameters
    ----------
    default : str
        The slot whose files are in the project itself; those of others are under ``slots/``.
    active : str
        File that names the default slot's active model.
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
        """Write the files that differ; returns their names."""
        ledger = self.ledger
        with ledger.reading() as tx:
            position, text = outbox.position_of(tx, self.target)
            newest = self._newest_grid(tx)
            best = self._find(tx, newest)
            changed = newest is not None and self._changed_since(tx, newest)
        before = _ActiveMark.parse(text)
        written: list[str] = []
        if best is not None:
            mark, written = self._put(best, before)
            if changed:
                reason = "there is no grid on its present data and settings"
                mark = self._warn_once(replace(mark, extras=before.extras), reason)
        elif before.best:
            mark = self._warn_once(before, "no run of its last grid has a model")
        else:
            return []
        if mark != before:
            ledger.write(outbox.advance, self.target, position, json.dumps(asdict(mark)))
        return written

    def _put(self, best: _Best, before: _ActiveMark) -> tuple[_ActiveMark, list[str]]:
        """Write both files; one that was edited is kept until there is a new best run."""
        texts, written = best.texts(self.slot, self.best, self.active), []
        is_new = best.row["id"] != before.best
        for name, text in texts.items():
            path = self.root / name
            present = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None
            if present == text:
                continue
            if present is not None and present != before.texts.get(name):
                message = f"{name} was changed ({present.strip()[:200]!r})"
                # Imported runs never replace a file that podium did not write.
                if not is_new or (not best.metric and not before.best):
                    self.say(f"{message}; it is kept until a grid has a new best run")
                    continue
                self.say(f"{message}; a grid has a new best run, so it is replaced")
            write_atomic(path, text)
            written.append(name)
        return _ActiveMark(str(self.root), best.row["id"], str(best.model), texts), written

    def _warn_once(self, mark: _ActiveMark, reason: str) -> _ActiveMark:
        """Warn once that the active model is that of an older comparison."""
        slot = self.slot
        text = f"warning: {slot}: {reason}, so {self.active} is unchanged; run: podium grid {slot}"
        if text != mark.extras:
            self.say(text)
        return replace(mark, extras=text)

    def _find(self, tx: Transaction, newest: Mapping[str, Any] | None) -> _Best | None:
        """The comparable run with the best finite score whose model still exists."""
        metric = "" if newest is None else str(newest["metric"])
        for row in self._imported(tx) if newest is None else self._grid_runs(tx, newest):
            if finite(row["score"]) and row["checkpoint"]:
                model = rerooted(row["checkpoint"], self.root)
                if model.exists():
                    return _Best(row, model, metric)
        return None

    def _newest_grid(self, tx: Transaction) -> Mapping[str, Any] | None:
        """Outputs and time of the newest grid."""
        table = schema.receipt
        newest = table.c.seq.desc()
        row = first(tx, table, order=newest, slot=self.slot, step=GRID)
        return {**json_column(row, "outputs"), "created_at": row["created_at"]} if row else None

    def _changed_since(self, tx: Transaction, newest: Mapping[str, Any]) -> bool:
        """Whether a later search differs from the grid in data, task, split or metric."""
        study = schema.study.c
        later = study.created_at > newest["created_at"]
        questions = values(tx, study.question, later, slot=self.slot)
        searches = [question for text in questions if "dataset" in (question := json.loads(text))]
        return any(question[name] != newest[name] for question in searches for name in COMPARABLE)

    def _grid_runs(self, tx: Transaction, newest: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Complete runs of the slot's grids that are comparable with the newest, best first."""
        trial = schema.trial.c
        link, study = schema.study_trial.c, schema.study.c
        of_grids = mine(
            tx,
            link.trial_id,
            study.id == link.study_id,
            study.slot == self.slot,
            link.phase == GRID,
        )
        metric = newest["metric"]
        rises = registry.direction(metric) == "max"
        # Runs trained for another metric have their score in this one as a result.
        score = sa.case(
            (trial.metric == metric, trial.score), else_=result_value(tx, f"val_{metric}")
        )
        loss = result_value(tx, "val_loss").label("val_loss")
        return select(
            tx,
            [*_UNSCORED, score.label("score"), loss],
            trial.id.in_(of_grids),
            trial.checkpoint.is_not(None),
            order=[score.desc() if rises else score, trial.seq],
            state=State.COMPLETE,
            dataset_fingerprint=newest["dataset"],
            task_hash=newest["task"],
            split_hash=newest["split"],
        )

    def _imported(self, tx: Transaction) -> list[dict[str, Any]]:
        """Runs of the newest import of grids for the slot, best first."""
        trial, result = schema.trial.c, schema.result.c
        imported = (
            *reads.of_slot(self.slot),
            result.trial_id == trial.id,
            result.metric == LOSS,
            trial.checkpoint.is_not(None),
        )
        of_any = trial.origin.startswith("import:")
        last = value(tx, trial.origin, *imported, of_any, order=trial.seq.desc())
        if last is None:
            return []
        return select(
            tx,
            [*_UNSCORED, result.value.label("score")],
            *imported,
            trial.origin == last,
            order=[result.value, trial.seq],
        )

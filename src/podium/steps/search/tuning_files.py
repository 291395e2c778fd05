"""``hyperparameter_tuning_results/``: what a search leaves for its users, written from the record.

Podium reads none of it back but whose it is: a folder of another study is kept under that study's
id, and one that podium did not write is left alone.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from podium import registry
from podium.errors import MissingExtraError
from podium.files import (
    flush,
    flush_folder,
    full_disk_explained,
    tell_written,
    write_atomic,
)
from podium.hashing import digest_folder, json_file, strict
from podium.ledger import trial_facts
from podium.ledger.kin import KNOWN
from podium.ledger.reads import TrialRow
from podium.registry import Direction
from podium.report.history import Told, history_png, so_far
from podium.split import Split
from podium.steps.data.sequences import TaskData
from podium.steps.trials import baselines, driver, execute
from podium.steps.trials.execute import Planned
from podium.steps.workspace.owned_folder import OwnedFolder, output_folder
from podium.steps.workspace.project import Project
from podium.study import Study
from podium.trial import Ended, State

RESULTS, CHECKPOINTS = "trial_results.json", "checkpoints"
JOURNAL, PICKLE = "optimization_study.log", "optimization_study.pkl"
HISTORY, PLOT = "optimization_history.json", "optimization_history.png"
# What may be moved, whose it is first.
PARTS = (RESULTS, CHECKPOINTS, JOURNAL, f"{Path(PICKLE).stem}*.pkl", HISTORY, PLOT)
SCHEMA = 1


class TuningFiles:
    """The files of one study.

    Parameters
    ----------
    project : Project
    study : Study
    data : TaskData
    split : Split
        What the models that are kept were trained on.
    """

    def __init__(self, project: Project, study: Study, data: TaskData, split: Split) -> None:
        self.project, self.study, self.data, self.split = project, study, data, split
        self.way = registry.direction(data.section.metric)
        self.most = project.config.tune.keep_checkpoints
        self.wanted = bool(project.config.paths.tuning)
        self.folder = output_folder(project, study.slot, project.config.paths.tuning)
        # Where models lie until it is known whether they stay; empty: none are saved.
        self.save_to = ""

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Have the folder for this study, and a place for models, while trials run."""
        if not self.wanted:
            yield
            return
        with full_disk_explained(self.project.root):
            self._claim()
        if not self.most:
            yield
            return
        with driver.workplace(self.project, self.study.slot, "tune") as self.save_to:
            try:
                yield
            except KeyboardInterrupt:
                # Whoever stops a long search wants to see what it found.
                self.write(self._rows())
                raise

    def _claim(self) -> None:
        owned = OwnedFolder(self.project, self.folder, PARTS, "study", "search")
        self.folder = owned.claim(self.study.id, lambda: self._results([], {}, None))

    def keep(self, family: str) -> Callable[[Planned, Ended], None]:
        """What becomes of the models of a family's trials: those among the best so far stay.

        Trials end in any order, so a few more than the best stay for a while; ``write`` removes
        them. A model is in its place, flushed, before the record says that its trial has ended.
        """
        sign = Direction(self.way).sign
        version = registry.family(family, self.data.section.task).VERSION
        best = sorted(
            sign * row.score
            for row in self._rows()
            if row.family == family and row.state is State.COMPLETE and math.isfinite(row.score)
        )[: self.most]

        def keep(plan: Planned, ended: Ended) -> None:
            model = Path(self.save_to) / ended.task.trial_id
            score = sign * ended.score
            is_good = ended.state is State.COMPLETE and math.isfinite(score)
            if not (is_good and model.is_dir() and (len(best) < self.most or score <= best[-1])):
                shutil.rmtree(model, ignore_errors=True)
                return
            best[:] = sorted([*best, score])[: self.most]
            described = execute.manifest(
                self.project, self.data, family, version, ended.task, ended.best_epoch
            )
            facts = {
                "podium": SCHEMA,
                "trial": plan.number,
                "id": ended.task.trial_id,
                "study": self.study.id,
                "phase": plan.phase,
                "metric": self.data.section.metric,
                "value": ended.score,
                "split": self.split.hash,
                **described,
                "files": digest_folder(model),
            }
            (model / "config.json").write_text(json_file(facts))
            place = self.folder / CHECKPOINTS / checkpoint_name(plan.number, ended.task.trial_id)
            place.parent.mkdir(parents=True, exist_ok=True)
            flush_folder(model)
            shutil.rmtree(place, ignore_errors=True)
            shutil.move(model, place)
            flush(place.parent)
            tell_written(place)

        return keep

    def write(
        self,
        rows: Sequence[TrialRow],
        naive: TrialRow | None = None,
        feasible: Collection[str] | None = None,
        chosen: str = "",
    ) -> None:
        """Write every file where they say something else by now.

        Parameters
        ----------
        rows : sequence of TrialRow
            The study's trials, in the order asked.
        naive : TrialRow, optional
            The best baseline.
        feasible : collection of str, optional
            Ids of the trials that may win; default: all.
        chosen : str
            Id of the trial that won over its seeds; empty: not known yet.
        """
        if not self.wanted:
            return
        rows = [row for row in rows if row.state.ended]
        if feasible is None:
            feasible = [row.id for row in rows]
        facts = {
            one["id"]: one for one in trial_facts.trials(self.project.door, [r.id for r in rows])
        }
        with full_disk_explained(self.project.root):
            self._keep_best(rows)
            told = [self.told(row, row.id in feasible, facts[row.id]) for row in rows]
            results = self._results(told, facts, naive, rows, chosen)
            before = self.folder / RESULTS
            if before.is_file() and before.read_text() == results and self._is_whole(rows):
                return
            self._studies(told, rows, facts)
            history = self._history(told, naive)
            write_atomic(self.folder / HISTORY, json_file(history))
            try:
                picture = history_png(
                    told,
                    self.data.section.metric,
                    self.way,
                    None if naive is None else naive.score,
                    f"{self.study.slot}: {len(told)} trials",
                )
                write_atomic(self.folder / PLOT, picture)
            except MissingExtraError as error:
                self.project.reporter.say(f"{PLOT} was not drawn: {error}")
            # Last, since it tells whether the others are up to date.
            write_atomic(before, results)
        self.project.reporter.say(
            f"{self.study.slot}: the search's files are in "
            f"{self.folder.relative_to(self.project.root)}/"
        )

    def _is_whole(self, rows: Sequence[TrialRow]) -> bool:
        names = [JOURNAL, HISTORY, *self._pickles(rows).values()]
        return all((self.folder / name).is_file() for name in names)

    def _rows(self) -> list[TrialRow]:
        return driver.rows_of(self.project, self.study, "tune")

    def _keep_best(self, rows: Sequence[TrialRow]) -> None:
        """Remove the models of trials that are not among the best of their family any more."""
        sign = Direction(self.way).sign
        asked = [row for row in rows if row.phase != KNOWN]
        good = [r for r in asked if r.state is State.COMPLETE and math.isfinite(r.score)]
        good.sort(key=lambda row: sign * row.score)
        stay = set()
        for family in {row.family for row in good}:
            mine = [row for row in good if row.family == family]
            stay |= {checkpoint_name(row.number, row.id) for row in mine[: self.most]}
        place = self.folder / CHECKPOINTS
        for path in sorted(place.iterdir()) if place.is_dir() else []:
            if path.name.startswith("trial_") and path.name not in stay:
                shutil.rmtree(path)

    def _checkpoint(self, row: TrialRow) -> str | None:
        name = f"{CHECKPOINTS}/{checkpoint_name(row.number, row.id)}"
        return name if (self.folder / name).is_dir() else None

    def told(self, row: TrialRow, feasible: bool, facts: Mapping[str, Any]) -> Told:
        """What the history shows of a trial."""
        value = row.score
        if row.state is State.PRUNED:
            value = self.shown(facts, row.epochs)
        return Told(row.number, row.family, row.phase, str(row.state), value, feasible)

    def shown(self, facts: Mapping[str, Any], epochs: int) -> float:
        """The best a trial had shown after so many epochs; NaN where it told nothing."""
        shown = [v for v in self._curve(facts)[:epochs] if math.isfinite(v)]
        return (max if self.way == "max" else min)(shown, default=math.nan)

    def _curve(self, facts: Mapping[str, Any]) -> list[float]:
        """What a trial had shown after each epoch, in the metric or what stands for it."""
        curves = facts["curves"]
        curve = curves.get(f"val_{self.data.section.metric}")
        if not curve and self.way == "min":
            curve = curves.get("val_loss")
        return [math.nan if value is None else value for value in curve or ()]

    def _results(
        self,
        told: Sequence[Told],
        facts: Mapping[str, Mapping[str, Any]],
        naive: TrialRow | None,
        rows: Sequence[TrialRow] = (),
        chosen: str = "",
    ) -> str:
        best = so_far(told, self.way)[-1] if told else None
        trials = []
        for one, row in zip(told, rows, strict=True):
            fact = facts[row.id]
            trials.append(
                {
                    "trial": row.number,
                    "id": row.id,
                    "family": row.family,
                    "phase": row.phase,
                    "state": one.state,
                    "value": row.score,
                    "feasible": one.feasible,
                    "config": row.config,
                    "metrics": fact["results"],
                    "epochs": fact["epochs"],
                    "best_epoch": fact["best_epoch"],
                    "seconds": fact["seconds"],
                    "reason": row.reason,
                    "started_at": fact["started_at"],
                    "ended_at": fact["ended_at"],
                    "checkpoint": self._checkpoint(row),
                }
            )
        return json_file(
            {
                **self._header(),
                "best": None if best is None else rows[best].id,
                "chosen": chosen or None,
                "naive": None
                if naive is None
                else {"value": naive.score, **baselines.described(naive), "id": naive.id},
                "trials": trials,
            }
        )

    def _header(self) -> dict[str, Any]:
        return {
            "podium": SCHEMA,
            "study": self.study.id,
            "slot": self.study.slot,
            "search": self.study.question["search"],
            "metric": self.data.section.metric,
            "direction": registry.direction(self.data.section.metric).verb,
        }

    def _history(self, told: Sequence[Told], naive: TrialRow | None) -> dict[str, Any]:
        places = so_far(told, self.way)
        return {
            **self._header(),
            "naive": None if naive is None else naive.score,
            "trials": [
                {
                    "trial": one.number,
                    "family": one.family,
                    "phase": one.phase,
                    "state": one.state,
                    "value": one.value,
                    "best_value": None if place is None else told[place].value,
                    "best_trial": None if place is None else told[place].number,
                }
                for one, place in zip(told, places, strict=True)
            ],
        }

    def _pickles(self, rows: Sequence[TrialRow]) -> dict[str, str]:
        """Name of each family's pickle, and of the winner's under ``""``."""
        families = list(dict.fromkeys(row.family for row in rows))
        stem = Path(PICKLE).stem
        named = {f: f"{stem}-{f}.pkl" for f in families} if len(families) > 1 else {}
        return {"": PICKLE, **named}

    def _studies(
        self,
        told: Sequence[Told],
        rows: Sequence[TrialRow],
        facts: Mapping[str, Mapping[str, Any]],
    ) -> None:
        """Optuna's journal with a study for each family, and each as a pickle."""
        from podium.importers import _journal as optuna

        metric = self.data.section.metric
        families = list(dict.fromkeys(row.family for row in rows))
        studies: dict[str, tuple[Mapping[str, str], list[optuna.Exported]]] = {}
        for family in families:
            name = self.study.slot if len(families) == 1 else f"{self.study.slot}/{family}"
            _, spec = self.study.question["families"][family]
            ranges = optuna.distributions(spec["parameters"])
            mine = [
                optuna.Exported(**self._exported(row, one, facts[row.id], spec, ranges))
                for one, row in zip(told, rows, strict=True)
                if row.family == family
            ]
            studies[name] = ({f"val_{metric}": registry.direction(metric).verb}, mine)
        write_atomic(self.folder / JOURNAL, optuna.journal(studies))
        pickles = dict(zip(families, optuna.pickled(studies).values(), strict=True))
        best = so_far(told, self.way)[-1] if told else None
        if families:
            pickles[""] = pickles[families[0] if best is None else told[best].family]
        for family, name in self._pickles(rows).items():
            if family in pickles:
                write_atomic(self.folder / name, pickles[family])

    def _exported(
        self,
        row: TrialRow,
        one: Told,
        facts: Mapping[str, Any],
        spec: Mapping[str, Any],
        ranges: Mapping[str, Any],
    ) -> dict[str, Any]:
        """A trial as Optuna has it: what was searched and counts in it, and all else beside."""
        conditions: Mapping[str, Any] = spec.get("conditions", {})
        counting = [
            name
            for name in ranges
            if name in row.config
            and all(
                row.config.get(other) in values
                for other, values in (conditions[name][0] if name in conditions else {}).items()
            )
        ]
        attributes = {
            "id": row.id,
            "number": row.number,
            "phase": row.phase,
            "family": row.family,
            "slot": self.study.slot,
            "config": row.config,
            "results": strict(facts["results"]),
            "checkpoint": self._checkpoint(row),
            "reason": row.reason,
        }
        return {
            "state": one.state,
            "config": {name: row.config[name] for name in counting},
            "values": [row.score],
            "started": facts["started_at"],
            "ended": facts["ended_at"],
            "curve": self._curve(facts),
            "distributions": {name: ranges[name] for name in counting},
            "attributes": {f"podium.{k}": v for k, v in attributes.items() if v not in (None, "")},
            "feasible": one.feasible,
        }


def checkpoint_name(number: int, trial_id: str) -> str:
    """Folder of a trial's model; the id keeps apart what shares a number."""
    return f"trial_{number:04d}_{trial_id.rpartition('-')[2]}"

"""``hyperparameter_tuning_results/``: files of a search for users, written from the record.

Podium reads back only the study that the folder belongs to: the folder of another study is moved
under that study's id, and one that podium did not write stays unchanged.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from podium import registry
from podium.files import flush, flush_folder, full_disk_explained, notify_written
from podium.hashing import digest_bytes, digest_folder, json_file, strict
from podium.ledger import trial_facts, writes
from podium.ledger.reads import TrialRow
from podium.ledger.warm_start import KNOWN
from podium.registry import Direction
from podium.render.history import HistoryTrial, history_png, so_far
from podium.split import Split
from podium.steps.trials import baselines, driver, execute
from podium.steps.trials.context import StudyContext
from podium.steps.trials.execute import Planned
from podium.steps.workspace.output_folder import Content, OutputFolder
from podium.steps.workspace.project import Project
from podium.study import Study
from podium.tasks._base import TaskData
from podium.trial import Ended, State

RESULTS, CHECKPOINTS = "trial_results.json", "checkpoints"
JOURNAL, PICKLE = "optimization_study.log", "optimization_study.pkl"
HISTORY, PLOT = "optimization_history.json", "optimization_history.png"
# Files that move with the folder; the first names its study.
PARTS = (RESULTS, CHECKPOINTS, JOURNAL, f"{Path(PICKLE).stem}*.pkl", HISTORY, PLOT)
# Facts of each trial in the history.
OF_TRIAL = ("family", "phase", "state", "value")
SCHEMA = 1


class SearchTrial(NamedTuple):
    """A trial of a search: its row, its point in the history, and its facts on record."""

    row: TrialRow
    shown: HistoryTrial
    facts: Mapping[str, Any]


class TuningFiles:
    """The files of one study.

    Parameters
    ----------
    project : Project
    study : Study
    data : TaskData
    split : Split
        Split that the stored models were trained on.
    """

    def __init__(self, project: Project, study: Study, data: TaskData, split: Split) -> None:
        self.project, self.study, self.data, self.split = project, study, data, split
        self.metric = data.section.metric
        self.way = registry.direction(self.metric)
        self.most = project.config.tune.keep_checkpoints
        self.wanted = bool(project.config.paths.tuning)
        self.out = OutputFolder(project, study.slot, project.config.paths.tuning, PARTS, "study")
        # Folder of models whose trials run; empty: no models are stored.
        self.save_to = ""

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Claim the folder for this study, with a place for models, while trials run."""
        if not self.wanted:
            yield
            return
        self.out.claim(self.study.id, self._results([], None, ""))
        if not self.most:
            yield
            return
        with driver.work_folder(self.project, self.study.slot, "tune") as self.save_to:
            try:
                yield
            except KeyboardInterrupt:
                # A stopped search shows its results so far.
                self.write(self._rows())
                raise

    def keep(self, family: str) -> Callable[[Planned, Ended], None]:
        """Function that stores the models of a family's trials that are among the best so far.

        Trials end in any order, so a few more than the best are stored for a while; ``write``
        removes them. A model is stored and flushed before its trial has ended on record.
        """
        sign = Direction(self.way).sign
        version = self.data.version(family)
        best = [sign * row.score for row in self._best(self._rows(), family)]

        def keep(plan: Planned, ended: Ended) -> None:
            task, epoch = ended.task, ended.best_epoch
            model = Path(self.save_to) / task.trial_id
            score = sign * ended.score
            is_good = ended.state is State.COMPLETE and math.isfinite(score)
            if not (is_good and model.is_dir() and (len(best) < self.most or score <= best[-1])):
                shutil.rmtree(model, ignore_errors=True)
                return
            best[:] = sorted([*best, score])[: self.most]
            facts = {
                "podium": SCHEMA,
                "trial": plan.number,
                "id": task.trial_id,
                "study": self.study.id,
                "phase": plan.phase,
                "metric": self.metric,
                "value": ended.score,
                "split": self.split.hash,
                **execute.manifest(self.project, self.data, family, version, task, epoch),
                "files": digest_folder(model),
            }
            text = json_file(facts).encode()
            (model / "config.json").write_bytes(text)
            # The file has the hashes of the model's files, and the record has the file's own hash.
            self.project.ledger.write_durably(
                writes.put_receipt,
                self.study.slot,
                CHECKPOINTS,
                task.trial_id,
                checkpoint_hash(text),
            )
            place = self._checkpoints / checkpoint_name(plan.number, task.trial_id)
            place.parent.mkdir(parents=True, exist_ok=True)
            flush_folder(model)
            shutil.rmtree(place, ignore_errors=True)
            shutil.move(model, place)
            flush(place.parent)
            notify_written(place)

        return keep

    def write(
        self,
        rows: Sequence[TrialRow],
        naive: TrialRow | None = None,
        feasible: Collection[str] | None = None,
        chosen: str = "",
    ) -> None:
        """Write every file where they are missing or outdated.

        Parameters
        ----------
        rows : sequence of TrialRow
            The study's trials in their order.
        naive : TrialRow, optional
            The best baseline.
        feasible : collection of str, optional
            Ids of the feasible trials. Default: all.
        chosen : str
            Id of the best trial over the seeds; empty: not known yet.
        """
        if not self.wanted:
            return
        rows = [row for row in rows if row.state.ended]
        with full_disk_explained(self.project.root):
            self._keep_best(rows)
        trials = self.trials(rows, feasible)
        names = (JOURNAL, *_pickles([row.family for row in rows]), HISTORY, PLOT)
        results = self._results(trials, naive, chosen)
        files = partial(self._files, trials, naive)
        self.out.fill(results, "the search's files are", names, files)

    def _files(self, trials: Sequence[SearchTrial], naive: TrialRow | None) -> dict[str, Content]:
        studies = self._studies(trials)
        return {
            **{name: partial(studies.__getitem__, name) for name in studies},
            HISTORY: lambda: json_file(self._history(trials, naive)),
            PLOT: lambda: self.picture(trials, None if naive is None else naive.score),
        }

    def trials(
        self, rows: Sequence[TrialRow], feasible: Collection[str] | None = None
    ) -> list[SearchTrial]:
        """Trials with their points in the history; `feasible`: ids, default: all."""
        known = trial_facts.trials(self.project.reader, [row.id for row in rows])
        facts_of = {facts["id"]: facts for facts in known}
        trials = []
        for row in rows:
            value, facts = row.score, facts_of[row.id]
            if row.state is State.PRUNED:
                value = self.best_shown(facts, row.epochs)
            may_win = feasible is None or row.id in feasible
            shown = HistoryTrial(row.number, row.family, row.phase, str(row.state), value, may_win)
            trials.append(SearchTrial(row, shown, facts))
        return trials

    def picture(self, trials: Sequence[SearchTrial], naive: float | None) -> bytes:
        """Picture of the history, as PNG."""
        title = f"{self.study.slot}: {len(trials)} trials"
        return history_png([one.shown for one in trials], self.metric, self.way, naive, title)

    @property
    def _checkpoints(self) -> Path:
        return self.out.folder / CHECKPOINTS

    def _rows(self) -> list[TrialRow]:
        context = StudyContext(self.project, self.study, self.data, self.split)
        return context.rows("tune")

    def _best(self, rows: Sequence[TrialRow], family: str) -> list[TrialRow]:
        """Trials of a family whose models are stored, the best first."""
        good = [r for r in rows if r.state is State.COMPLETE and math.isfinite(r.score)]
        mine = [row for row in good if row.family == family and row.phase != KNOWN]
        return sorted(mine, key=lambda row: Direction(self.way).sign * row.score)[: self.most]

    def _keep_best(self, rows: Sequence[TrialRow]) -> None:
        """Remove the models of trials that are not among the best of their family any more."""
        families = {row.family for row in rows}
        best = [row for family in families for row in self._best(rows, family)]
        stay = {checkpoint_name(row.number, row.id) for row in best}
        for path in sorted(self._checkpoints.glob("trial_*")):
            if path.name not in stay:
                shutil.rmtree(path)

    def _checkpoint(self, row: TrialRow) -> str | None:
        name = f"{CHECKPOINTS}/{checkpoint_name(row.number, row.id)}"
        return name if (self.out.folder / name).is_dir() else None

    def best_shown(self, facts: Mapping[str, Any], epochs: int) -> float:
        """Best value of a trial in its first epochs; NaN without any."""
        shown = [v for v in self._curve(facts)[:epochs] if math.isfinite(v)]
        return (max if self.way == "max" else min)(shown, default=math.nan)

    def _curve(self, facts: Mapping[str, Any]) -> list[float]:
        """Values of a trial after each epoch: the metric, else the loss."""
        curves = facts["curves"]
        curve = curves.get(f"val_{self.metric}")
        if not curve and self.way == "min":
            curve = curves.get("val_loss")
        return [math.nan if value is None else value for value in curve or ()]

    def _places(self, trials: Sequence[SearchTrial]) -> list[int | None]:
        """Place of the best trial up to each one."""
        return so_far([one.shown for one in trials], self.way)

    def _results(
        self, trials: Sequence[SearchTrial], naive: TrialRow | None, chosen: str
    ) -> dict[str, Any]:
        best = self._places(trials)[-1] if trials else None
        return {
            **self._header(),
            "best": None if best is None else trials[best].row.id,
            "chosen": chosen or None,
            "naive": naive and {"value": naive.score, **baselines.to_dict(naive), "id": naive.id},
            "trials": [
                {
                    "trial": row.number,
                    **{name: getattr(row, name) for name in ("id", "family", "phase")},
                    "state": shown.state,
                    "value": row.score,
                    "feasible": shown.feasible,
                    "config": row.config,
                    "metrics": _of_validation(facts["results"]),
                    **{name: facts[name] for name in ("epochs", "best_epoch", "seconds")},
                    "reason": row.reason,
                    **{name: facts[name] for name in ("started_at", "ended_at")},
                    "checkpoint": self._checkpoint(row),
                }
                for row, shown, facts in trials
            ],
        }

    def _header(self) -> dict[str, Any]:
        return {
            "podium": SCHEMA,
            "study": self.study.id,
            "slot": self.study.slot,
            "search": self.study.question["search"],
            "metric": self.metric,
            "direction": self.way.verb,
        }

    def _history(self, trials: Sequence[SearchTrial], naive: TrialRow | None) -> dict[str, Any]:
        return {
            **self._header(),
            "naive": None if naive is None else naive.score,
            "trials": [
                {
                    "trial": shown.number,
                    **{name: getattr(shown, name) for name in OF_TRIAL},
                    "best_value": None if place is None else trials[place].shown.value,
                    "best_trial": None if place is None else trials[place].shown.number,
                }
                for (_, shown, _), place in zip(trials, self._places(trials), strict=True)
            ],
        }

    def _studies(self, trials: Sequence[SearchTrial]) -> dict[str, bytes]:
        """Optuna's journal with a study for each family, and each as a pickle, by file name."""
        from podium.importers import _journal as optuna

        families = list(dict.fromkeys(one.row.family for one in trials))
        studies: dict[str, tuple[Mapping[str, str], list[optuna.Exported]]] = {}
        for family in families:
            name = self.study.slot if len(families) == 1 else f"{self.study.slot}/{family}"
            _, spec = self.study.question["families"][family]
            ranges = optuna.distributions(spec["parameters"])
            facts = (self._exported(o, spec, ranges) for o in trials if o.row.family == family)
            mine = [optuna.Exported(**fields) for fields in facts]
            studies[name] = ({f"val_{self.metric}": self.way.verb}, mine)
        files = {JOURNAL: optuna.journal(studies)}
        pickles = dict(zip(families, optuna.pickled(studies).values(), strict=True))
        best = self._places(trials)[-1] if trials else None
        winner = None if best is None else trials[best].row.family
        for name, family in _pickles(families).items():
            files[name] = pickles[family or winner or families[0]]
        return files

    def _exported(
        self, trial: SearchTrial, spec: Mapping[str, Any], ranges: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Fields of a trial for Optuna; parameters that do not apply are attributes."""
        row, shown, facts = trial
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
            "results": strict(_of_validation(facts["results"])),
            "checkpoint": self._checkpoint(row),
            "reason": row.reason,
        }
        return {
            "state": shown.state,
            "config": {name: row.config[name] for name in counting},
            "values": [row.score],
            "started": facts["started_at"],
            "ended": facts["ended_at"],
            "curve": self._curve(facts),
            "distributions": {name: ranges[name] for name in counting},
            "attributes": {f"podium.{k}": v for k, v in attributes.items() if v not in (None, "")},
            "feasible": shown.feasible,
        }


def _pickles(families: Collection[str]) -> dict[str, str]:
    """Family of each pickle by its name; empty for the plain name, that of the best family."""
    names = list(dict.fromkeys(families))
    stem = Path(PICKLE).stem
    more = {f"{stem}-{family}.pkl": family for family in names} if len(names) > 1 else {}
    return {PICKLE: "", **more} if names else {}


def checkpoint_hash(config: bytes) -> dict[str, str]:
    """Outputs of the receipt of a stored checkpoint with this ``config.json``."""
    return {"sha256": digest_bytes(config)}


def checkpoint_name(number: int, trial_id: str) -> str:
    """Folder of a trial's model; the id distinguishes trials of the same number."""
    return f"trial_{number:04d}_{trial_id.rpartition('-')[2]}"


def _of_validation(results: Mapping[str, float]) -> dict[str, float]:
    """Results without those of the test, which a later judgement adds."""
    return {name: value for name, value in results.items() if not name.startswith(writes.TEST)}

"""Rank the runs on record, and hand over the path of the best one's model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from podium import registry
from podium.errors import NotFoundError, UsageError, suggest
from podium.files import full_disk_explained, write_atomic
from podium.ledger import run_ranking, runs
from podium.ledger.record_reader import RecordReader
from podium.ledger.runs import Among
from podium.manifest import read_checked
from podium.record import Record, finite_or_none, part_of
from podium.render.answer import Answer, differing
from podium.render.blocks import short
from podium.render.table import counted, number
from podium.resolve import find_model
from podium.steps.search.impact import USUAL
from podium.steps.search.report import FOLDER, no_runs, slot_of_runs
from podium.steps.workspace.project import Project

FILE = f"{FOLDER}/best_model_path.txt"
NOT_KEPT = "not kept"


@dataclass(frozen=True, eq=False)
class Selection(Answer):
    """The best runs on record: the result of ``select``.

    Parameters
    ----------
    slot : str
        Empty in a project without slots.
    metric : str
        Metric of the ranking.
    runs : sequence of Record
        Best first.
    root : Path
        The project's folder.
    left_out : int
        Runs on other data, task or split than the newest run, which are not ranked.
    """

    slot: str
    metric: str
    runs: Sequence[Record]
    root: Path
    left_out: int = 0

    @property
    def best(self) -> Record:
        """The best run."""
        return self.runs[0]

    @property
    def sentence(self) -> str:
        """The best run, its value and its value on the test."""
        run, other = self.best, self._other
        values = f"{self.metric} {number(run.metrics[self.metric])}"
        if other in run.metrics:
            values += f", {other} {number(run.metrics[other])}"
        return f"{self.slot or self.root.name}: best run {run.run_id}: {values}"

    @property
    def _other(self) -> str:
        """The metric on the test, or of a test metric the one on validation."""
        part, _, plain = self.metric.partition("_")
        return {"val": f"test_{plain}", "test": f"val_{plain}"}.get(part, "")

    def path_of(self, run: Record) -> Path | None:
        """File of a run's model; None if it is not on disk."""
        with suppress(OSError):
            if run.checkpoint_path and Path(run.checkpoint_path).exists():
                return Path(run.checkpoint_path)
        return None

    def rows(self) -> list[dict[str, Any]]:
        """The runs: rank, model, settings that vary, both metrics, file of the model."""
        shown = []
        alike: dict[str, list[Mapping[str, Any]]] = {}
        for run in self.runs:
            alike.setdefault(run.model_name, []).append(run.hyperparams)
        for rank, run in enumerate(self.runs, 1):
            # Only settings that vary among the shown runs of the model.
            shared = differing(alike[run.model_name])[0]
            config = {name: v for name, v in run.hyperparams.items() if name not in shared}
            path = self.path_of(run)
            inside = path is not None and path.is_relative_to(self.root)
            metrics = {name: finite_or_none(run.metrics.get(name)) for name in self._columns}
            place = path.relative_to(self.root) if path is not None and inside else path
            row = {"rank": rank, "run": run.run_id, "model": run.model_name}
            checkpoint = NOT_KEPT if place is None else str(place)
            shown.append({**row, **metrics, "config": short(config), "checkpoint": checkpoint})
        return shown

    @property
    def _columns(self) -> list[str]:
        return [self.metric, *filter(None, [self._other])]

    def facts(self, run: Record) -> dict[str, Any]:
        """Everything that is known of a run, under the names of the tracker's file."""
        path = self.path_of(run)
        return {
            "rank": self.runs.index(run) + 1,
            "run_id": run.run_id,
            "model_name": run.model_name,
            "timestamp": run.timestamp,
            "hyperparams": dict(run.hyperparams),
            "metrics": {name: finite_or_none(value) for name, value in run.metrics.items()},
            "checkpoint_path": None if path is None else str(path),
            "training_time_seconds": run.training_time_seconds,
            "notes": run.notes,
        }


def select(
    project: Project,
    slot: str | None = None,
    *,
    model: str = "",
    metric: str = "",
    top_k: int = 5,
    kept: bool = False,
    export_path: bool = False,
) -> Selection:
    """Rank the runs of a slot on record: of sweeps, grids and searches, logged and imported ones.

    The ranking is that of ``HyperparamTracker``: one run a training, by its own value, on the data,
    task and split of the newest run. Nothing is trained.

    Parameters
    ----------
    slot : str, optional
        Default: the default slot; all runs in a project without slots.
    model : str
        Only runs of this family or model. Default: all.
    metric : str
        A metric on record; its direction is that of ``[metrics]`` or of the metric's file, else
        the one implied by the name. Default: ``val_`` and the slot's metric, else ``val_pct_mae``.
    top_k : int
        Number of runs.
    kept : bool
        Only runs whose model is on disk.
    export_path : bool
        Write the path of the best run's model to ``hyperparams/best_model_path.txt``, of slots
        other than the default one below ``slots/SLOT/``.

    Returns
    -------
    Selection

    Raises
    ------
    NotFoundError
        No run matches, or with `export_path` the best run's model is not on disk.
    UsageError
        The direction of the metric is unknown.

    Examples
    --------
    >>> import podium
    >>> with podium.open("demo") as project:  # doctest: +SKIP
    ...     best = project.slot("us4/D/return").select(model="lstm", metric="val_mae").best
    >>> best.checkpoint_path  # doctest: +SKIP
    '/home/me/demo/models/registry/.../model.pt'
    """
    if top_k < 1:
        raise UsageError(f"top_k is {top_k}", "a number of runs, at least 1")
    config, reader = project.config, project.reader
    slot = slot_of_runs(project, slot)
    if not reader.exists:
        raise no_runs(reader, slot)
    metric = metric or _default_metric(project, reader, slot)
    among, left_out = _comparable(reader, slot, model, metric)
    names = [model] if model else None
    if not runs.table(reader, [metric], names, among):
        raise _no_models(project, reader, slot, model)
    try:
        own = _question(reader, slot)
        declared = {own["metric"]: own["direction"]} if "direction" in own else {}
        declared |= config.metrics
        lower = run_ranking.is_lower_better(metric, declared)
    except UsageError as error:
        raise _unknown_metric(project, reader, slot, metric, names, among) or error from None
    ranked = run_ranking.best_runs(
        reader, config, metric, None if kept else top_k, lower=lower, models=names, among=among
    )
    if not ranked:
        raise _unknown_metric(project, reader, slot, metric, names, among) or NotFoundError(
            f"no run of {_title(project, slot)} has a finite {metric}",
            fix="run: podium list trials",
        )
    selection = Selection(slot, metric, ranked, project.root, left_out)
    if kept:
        having = [run for run in ranked if selection.path_of(run) is not None]
        if not having:
            raise _not_kept(selection, ranked[0], config.tune.seed + 1, kept=True)
        selection = Selection(slot, metric, having[:top_k], project.root, left_out)
    if export_path:
        export(project, selection)
    return selection


def export(project: Project, selection: Selection, rank: int = 1) -> Path:
    """Write the path of a run's model to ``hyperparams/best_model_path.txt``; returns the path.

    Models that podium trained are verified first, so that ``podium.load_model`` opens the path.

    Parameters
    ----------
    rank : int
        Rank of the run in the selection, from 1.

    Raises
    ------
    NotFoundError
        The model is not on disk.
    DataError
        Its files have changed.
    """
    config, run = project.config, selection.runs[rank - 1]
    path = selection.path_of(run)
    if path is None:
        raise _not_kept(selection, run, config.tune.seed + 1)
    row = project.reader.first("trial", "origin, artifact_hash", id=run.trial_id)
    # Logged runs and own code have files of other programs.
    if row is not None and not row["origin"] and registry.exists("families", run.model_name):
        place = find_model(path)
        for name in place.manifest["files"]:
            read_checked(place.folder, place.manifest["files"], name)
    inside = selection.slot not in ("", config.root_slot)
    target = project.root / (f"slots/{selection.slot}/{FILE}" if inside else FILE)
    with full_disk_explained(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        # Without a line break, so that its text is the path.
        write_atomic(target, str(path))
    return path


def _default_metric(project: Project, reader: RecordReader, slot: str) -> str:
    """Metric of the slot, or of the newest search, on validation; else one of logged runs."""
    if slot in project.config.slots:
        names = [f"val_{project.config.slots[slot].metric}"]
    else:
        own = str(_question(reader, slot).get("metric", ""))
        names = [f"val_{own}", own]
    names, known = [*names, USUAL], reader.metrics()
    return next((name for name in names if name in known), names[0])


def _question(reader: RecordReader, slot: str) -> dict[str, Any]:
    """Question of the newest search of a slot, or of the project."""
    of_slot = {"slot": slot} if slot else {}
    newest = reader.first("study", "question", order="seq DESC", **of_slot)
    return {} if newest is None else newest["question"]


def _comparable(reader: RecordReader, slot: str, model: str, metric: str) -> tuple[Among, int]:
    """Condition of the runs that can be ranked together, and the number of other runs."""
    measured = "" if part_of(metric)[0] != "val" else metric
    names = [model] if model else None
    among, slots, others = runs.comparable(reader, measured, slot=slot or None, model_names=names)
    if slots:
        raise UsageError(
            f"the runs are of {len(slots)} slots with other data or tasks: {', '.join(slots)}",
            "runs of one slot",
            f"run: podium select {slots[0]}",
        )
    return among, others


def _title(project: Project, slot: str) -> str:
    return slot or project.config.project.name


def _no_models(project: Project, reader: RecordReader, slot: str, model: str) -> NotFoundError:
    """Error of a ranking without runs; it names the models that have runs."""
    among, _, _ = runs.comparable(reader, slot=slot or None)
    counts: dict[str, int] = {}
    for row in runs.table(reader, [], None, among):
        counts[row["model_name"]] = counts.get(row["model_name"], 0) + 1
    if not counts or not model:
        return no_runs(reader, slot)
    searched = ", ".join(f"{n} of {name}" for name, n in sorted(counts.items()))
    again = f"run: podium sweep {slot}".rstrip() + f" --model {model}"
    section = project.config.slots.get(slot)
    fits = section is not None and model in registry.families_of(section.task)
    return NotFoundError(
        f"no run of model '{model}' of {_title(project, slot)} is on record: searched {searched}",
        fix=again if fits else suggest(model, counts),
    )


def _unknown_metric(
    project: Project,
    reader: RecordReader,
    slot: str,
    metric: str,
    names: Sequence[str] | None,
    among: Among,
) -> NotFoundError | None:
    """Error of a metric that no run has, with the known ones; None: a run has it."""
    records = run_ranking.completed(reader, project.config, runs.runs(reader, names, among))
    known = sorted({name for run in records for name in run.metrics})
    if metric in known:
        return None
    count = counted(len(records), "run")
    return NotFoundError(
        f"no run of {_title(project, slot)} has the metric '{metric}': searched {count}",
        fix=suggest(metric, known),
    )


def _not_kept(selection: Selection, run: Record, seed: int, *, kept: bool = False) -> NotFoundError:
    """Error of a run without a model on disk, with the ways to get one.

    Parameters
    ----------
    seed : int
        Another seed than that of the project's searches.
    kept : bool
        Whether no run of the ranking has a model.
    """
    slot = f" {selection.slot}" if selection.slot else ""
    values = "".join(f" --set {name}={value}" for name, value in run.hyperparams.items())
    # With the seed of the run a sweep has it on record and trains nothing.
    again = f"train the config with another seed: podium sweep{slot} --model {run.model_name}"
    again += f"{values} --seed {seed}"
    ways = [
        "" if kept else f"rank only runs with a model: podium select{slot} --kept --export-path",
        again if registry.exists("families", run.model_name) else "",
    ]
    stored = f": {run.checkpoint_path} does not exist" if run.checkpoint_path else ""
    return NotFoundError(
        f"no run has a model on disk; the best is {run.run_id}"
        if kept
        else f"the model of {run.run_id} is not on disk{stored}",
        "a run whose model is kept",
        "; or ".join(filter(None, ways)),
    )

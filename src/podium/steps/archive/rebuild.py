"""Rebuild the task of a recorded trial: bars or samples, and folds, checked by their hashes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from podium import registry
from podium.config import Config
from podium.dataset import Dataset
from podium.errors import DataError, NotFoundError, PodiumError, Problem
from podium.ledger.record_reader import RecordReader
from podium.sections import SlotSection
from podium.sequences import Sequences
from podium.split import Split
from podium.steps.candidates.final_model import FINAL, final_split
from podium.steps.data.bars import load_dataset
from podium.steps.data.sequences import class_data, read_stats
from podium.steps.decisions.refit import KIND as REFIT
from podium.steps.decisions.refit import recorded_refits
from podium.tasks import forecast
from podium.tasks.classify import ClassData
from podium.tasks.forecast import task_spec
from podium.trial import Job
from podium.view import View

Row = dict[str, Any]
# Parts of a task's hash besides the versions.
_PARTS = ("features", "target", "horizon", "window")


@dataclass(frozen=True, eq=False)
class Rebuilt:
    """Data and split of a recorded trial.

    Parameters
    ----------
    view : View or Sequences
        Bars before the sealed test, or the samples of a classifier.
    description : str
        Description of the data.
    task : str
        Name of the task.
    """

    view: View | Sequences
    split: Split
    description: str
    task: str

    def job(self, family: str, metric: str, save_to: str = "") -> Job:
        """Job for a runner that trains on the data."""
        folds = {fold.number: fold for fold in self.split.folds}
        return Job(family, metric, self.view, folds, self.task, save_to)


def rebuild(config: Config, reader: RecordReader, row: Row) -> Rebuilt:
    """Rebuild the task of a recorded trial.

    All settings come from the record; podium.toml only gives the paths of the data.

    Parameters
    ----------
    row : dict
        Row of the trial.

    Returns
    -------
    Rebuilt

    Raises
    ------
    DataError
        Names every change: bars, family, features, target, folds. Results would differ.
    """
    problems: list[Problem] = []

    def attempt(function: Callable[[], Any]) -> Any:
        try:
            return function()
        except PodiumError as error:
            problems.extend(error.problems)
            return None

    spec = attempt(lambda: _spec(reader, row)) or {}
    attempt(lambda: _require_family(row, spec.get("task", "forecast")))
    if registry.holds(spec.get("task", "forecast")) == "sequences" and not problems:
        return _samples(config, reader, row)
    bars = attempt(lambda: _recorded_bars(config, reader, row["dataset_fingerprint"]))
    DataError.raise_for(problems)
    dataset, description = bars
    layout = _spec_of(reader, "split", row["split_hash"])
    bounds = [
        moment for fold in layout["folds"] for moment in (*fold["train"], *fold["validation"])
    ]
    # The last decision of any fold is the last one with a known target.
    stop = dataset.bar_at_or_after(max(bounds)) + layout["horizon"] + 1
    view = View.of(dataset.slice(0, stop), **{name: spec[name] for name in _PARTS})
    split = _split(layout, view)
    if split.hash != row["split_hash"]:
        raise DataError(
            f"splitter {layout['name']} makes other folds of these bars than for {row['id']}",
            f"the split {row['split_hash'][:12]} on record",
            "install the podium that trained it",
        )
    return Rebuilt(view, split, description, spec.get("task", "forecast"))


def _samples(config: Config, reader: RecordReader, row: Row) -> Rebuilt:
    """Samples of a classifier's trial, from the files of its training."""
    [link, *_] = reader.select("study_trial", trial_id=row["id"])
    [study] = reader.select("study", id=link["study_id"])
    flags = (row["extras"] or {}).get("flags", {})
    training, validation = (
        Path(flags[name]) if flags.get(name) else None for name in ("train_npz", "val_npz")
    )
    again = partial(class_data, config, study["slot"], training=training, validation=validation)
    data = again()
    split = _split_of_samples(data, _spec_of(reader, "split", row["split_hash"]))
    stats = flags.get("feature_stats")
    if data.dataset.fingerprint != row["dataset_fingerprint"] and stats and Path(stats).is_file():
        data = again(stats=read_stats(Path(stats)))
    for what, now, then in (
        ("samples with fingerprint", data.dataset.fingerprint, row["dataset_fingerprint"]),
        ("split", split.hash, row["split_hash"]),
    ):
        if now != then:
            raise DataError(
                f"slot {study['slot']} has {what} {now[:12]}",
                f"{then[:12]}, as recorded for {row['id']}",
                "restore the files; results on other data differ",
            )
    description = f"dataset '{data.dataset.name}', {len(data.dataset)} samples"
    return Rebuilt(data.dataset, split, description, data.section.task)


def _split_of_samples(data: ClassData, layout: Row) -> Split:
    """Split of a search, a final training, or a cross-validation."""
    if layout["name"] == FINAL:
        return final_split(data, 0.0)
    if len(layout["folds"]) == 1:
        return data.split
    split: Split = registry.load("splitters", layout["name"]).split(
        data.dataset, **layout["parameters"]
    )
    return split


def _require_family(row: Row, task: str) -> None:
    version = registry.family(row["family"], task).VERSION
    if version != row["family_version"]:
        raise DataError(
            f"family {row['family']} is VERSION {version} here",
            f"VERSION {row['family_version']}, which trained {row['id']}",
            "install the podium, or the plugin, that trained it",
        )


def _recorded_bars(config: Config, reader: RecordReader, fingerprint: str) -> tuple[Dataset, str]:
    """The bars of a fingerprint, found among those there are now; bars that came later are cut."""
    known = reader.select("dataset", fingerprint=fingerprint)
    if not known:
        raise NotFoundError(f"no dataset {fingerprint[:12]} on record", fix="run: podium doctor")
    then = next((row for row in known if row["name"] in config.datasets), known[-1])
    name = then["name"]
    if name not in config.datasets:
        raise DataError(
            f"podium.toml has no dataset '{name}' any more",
            f"[datasets.{name}] with the bars of {then['first_at'][:10]} to {then['last_at'][:10]}",
        )
    now = load_dataset(config, name)
    tickers = tuple(then["tickers"])
    old = now.select(tickers)
    start = old.bar_at_or_after(then["first_at"])
    stop = old.bar_at_or_after(then["last_at"]) + 1
    old = old.slice(start, stop)
    if old.fingerprint == fingerprint:
        description = f"dataset '{name}', {len(old)} bars with fingerprint {fingerprint[:12]}"
        others = len(now) - len(old)
        return old, description + (f" (others beside them: {others})" if others else "")
    where = f"dataset '{name}' in {config.datasets[name].path}"
    if len(old) != then["bars"]:
        found = (
            f"{where} has {len(old)} bars from {then['first_at'][:10]} to {then['last_at'][:10]}"
        )
        expected = f"{then['bars']}, as recorded"
    else:
        found = f"{where} has fingerprint {old.fingerprint[:12]} over the recorded bars"
        figures = ", a covariate's figure" if old.covariates else ""
        expected = (
            f"{fingerprint[:12]}: a price, a volume, an adjustment{figures} or a time stamp was "
            "changed"
        )
    raise DataError(
        found,
        expected,
        "restore the files from a backup or version control; results on other data differ",
    )


def _spec(reader: RecordReader, row: Row) -> Row:
    """Features, target, horizon and window of a task; their versions must be the present ones."""
    then = _spec_of(reader, "task", row["task_hash"])
    if registry.holds(then.get("task", "forecast")) == "sequences":
        return then
    section = SlotSection(dataset="", test_from="", **{name: then[name] for name in _PARTS})
    now = task_spec(section)
    problems = [
        Problem(
            f"{name} is VERSION {now['versions'].get(name)} here",
            f"VERSION {version}, which made the samples of {row['id']}",
            "install the podium, or the plugin, that trained it",
        )
        for name, version in then["versions"].items()
        if now["versions"].get(name) != version
    ]
    DataError.raise_for(problems)
    return then


def _split(layout: Row, view: View) -> Split:
    if layout["name"] == REFIT:
        return recorded_refits(layout, view)
    is_final = layout["name"] == FINAL
    splitter = registry.load("splitters", "holdout" if is_final else layout["name"])
    split: Split = splitter.split(view, **layout["parameters"])
    if is_final:
        return replace(split, name=FINAL, folds=(split.folds[0], forecast.whole(view)))
    return split


def _spec_of(reader: RecordReader, table: str, hash_: str) -> Row:
    """Split or task of a hash."""
    row = reader.first(table, hash=hash_)
    if row is None:
        raise NotFoundError(f"no {table} {hash_[:12]} on record", fix="run: podium doctor")
    spec: Row = row["spec"]
    return spec

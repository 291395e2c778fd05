"""Check a dataset's files: the errors of loading, warnings and notes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from podium import registry
from podium.config import Config, holds_sequences
from podium.dataset import Dataset
from podium.errors import NotFoundError, PodiumError, suggest
from podium.feature_stats import RULE
from podium.readers._bars import Inspection
from podium.readers._findings import DataIssue, by_severity, error, has_errors, note, warning
from podium.readers._members import check_members
from podium.sequences import Sequences
from podium.steps.data.bars import reading_options, resampled
from podium.steps.data.covariates import listed, with_covariates
from podium.steps.data.reading import inspect_path, reader_of

# Tickers whose first and last bar are listed.
MAX_LISTED = 20
# A universe without delistings over this many years suggests survivorship bias.
YEARS = 3


@dataclass(frozen=True)
class DatasetCheck:
    """Result of checking a dataset.

    Parameters
    ----------
    findings : tuple of DataIssue
        Errors first, then warnings, then notes.
    fingerprint : str
        Empty if there are errors.
    """

    name: str
    findings: tuple[DataIssue, ...]
    fingerprint: str

    @property
    def refused(self) -> bool:
        """Whether there are errors, so that loading fails."""
        return has_errors(self.findings)


def check(
    config: Config | None,
    what: str,
    *,
    tickers: Sequence[str] = (),
    timeframe: str = "",
    **options: Any,
) -> DatasetCheck:
    """Check a dataset of podium.toml, or a file, folder or pattern.

    Parameters
    ----------
    config : Config or None
        None outside a project.
    what : str
        A dataset's name, else a path.
    tickers, timeframe, options
        For a path: as in a dataset's table.

    Raises
    ------
    NotFoundError
        No dataset or file of this name.
    UsageError
        An invalid setting. Errors in the files are part of the result and are not raised.
    """
    names = config.datasets if config else {}
    if config and what in names:
        section = config.datasets[what]
        path = config.root / section.path
        if holds_sequences(section.reader):
            others = [config.root / section.validation] if section.validation else []
            return _sequences(section.reader, what, [path, *others])
        examine = registry.load("readers", section.reader).examine
        result: Inspection = examine(path, name=what, **reading_options(section))
        findings, dataset = list(result.findings), result.dataset
        if dataset is not None and section.members:
            dataset, more = check_members(dataset, config.root / section.members)
            findings += more
            dataset = None if has_errors(more) else dataset
        if dataset is not None:
            try:
                dataset, more = with_covariates(config.root, section, resampled(dataset, section))
            except PodiumError as refused:
                more = _errors(refused)
            findings += more
            dataset = None if has_errors(more) else dataset
        universe = section.align == "union" or bool(section.members)
        return _checked(what, findings, dataset, universe=universe)
    place = Path(what)
    if not place.exists() and not set("*?[") & set(what):
        slots = config.slots if config else {}
        raise NotFoundError(f"no dataset or file '{what}'", fix=suggest(what, [*names, *slots]))
    reader = reader_of(place)
    if holds_sequences(reader):
        return _sequences(reader, place.stem, [place])
    about: dict[str, Any] = {"tickers": tickers, "timeframe": timeframe, "adjust": None}
    summary = inspect_path(reader, place, name=place.stem, options=options, **about)
    universe = options.get("align") == "union"
    findings = [*summary.result.findings, *(note("assumed", words) for words in summary.assumed)]
    return _checked(place.stem, findings, summary.result.dataset, universe=universe)


def _checked(
    name: str, findings: Sequence[DataIssue], dataset: Dataset | None, *, universe: bool
) -> DatasetCheck:
    facts = [] if dataset is None else _facts(dataset)
    if dataset is not None and universe:
        facts += _lives(dataset)
    fingerprint = "" if dataset is None else dataset.fingerprint
    return DatasetCheck(name, by_severity([*findings, *facts]), fingerprint)


def _facts(dataset: Dataset) -> list[DataIssue]:
    """Return notes on the size, order and fingerprint of the bars."""
    size = sum(values.nbytes for values in dataset.fields.values()) + dataset.times.nbytes
    order = "by name" if list(dataset.tickers) == sorted(dataset.tickers) else "not by name"
    bars = f"{len(dataset)} bars of {dataset.timeframe} for {len(dataset.tickers)} tickers"
    return [
        note("bars", f"{bars}, {dataset.times[0]} to {dataset.times[-1]} UTC"),
        note("order", f"{listed(dataset.tickers)} ({order})"),
        note("memory", f"{size / 2**20:.1f} MiB"),
        note("fingerprint", dataset.fingerprint),
    ]


def _lives(dataset: Dataset) -> list[DataIssue]:
    """Return notes on the span of each ticker, members per year and survivorship."""
    alive = dataset.alive
    first, last = alive.argmax(axis=0), len(alive) - 1 - alive[::-1].argmax(axis=0)
    notes = [
        note("lives", f"{ticker}: {dataset.times[start]} to {dataset.times[stop]}")
        for ticker, start, stop in zip(dataset.tickers, first, last, strict=True)
    ]
    if len(notes) > MAX_LISTED:
        notes[MAX_LISTED:] = [note("lives", f"and {len(notes) - MAX_LISTED} more tickers")]
    members = alive if dataset.members is None else dataset.members
    year = dataset.times.astype("datetime64[Y]")
    counts = {str(y): int(members[year == y].any(axis=0).sum()) for y in np.unique(year)}
    by_year = ", ".join(f"{y} {count}" for y, count in counts.items())
    notes.append(note("members", f"members per year: {by_year}"))
    years = float((dataset.times[-1] - dataset.times[0]) / np.timedelta64(365, "D"))
    if years >= YEARS and members[-1].all():
        bias = "survivorship bias makes every result too good"
        text = f"no ticker of this dataset ended in {years:.0f} years: {bias}"
        notes.append(note("survivors", text))
    return notes


def _sequences(reader: str, name: str, paths: Sequence[Path]) -> DatasetCheck:
    findings: list[DataIssue] = []
    parts: list[Sequences] = []
    read = registry.load("readers", reader).read
    for path in paths:
        try:
            parts.append(read(path, name=name))
        except PodiumError as refused:
            findings += _errors(refused)
    for path, part in zip(paths, parts, strict=False):
        findings += _of_samples(path, part)
    if len(parts) == 2:
        findings += _shared(parts[0], parts[1])
    fingerprint = parts[0].fingerprint if parts and not has_errors(findings) else ""
    return DatasetCheck(name, by_severity(findings), fingerprint)


def _of_samples(path: Path, part: Sequences) -> list[DataIssue]:
    steps, features = part.x.shape[1:]
    issues = list(_of_values(path, part.feature_names, part.x[part.mask]))
    facts = [("repaired", text) for text in part.notes]
    lengths = " to ".join(map(str, sorted({part.lengths.min(), part.lengths.max()})))
    facts.append(("samples", f"{len(part)} samples of {lengths} steps, {features} features"))
    if part.classifies:
        counts = part.class_counts
        shares = ", ".join(f"{name} {n} ({n / len(part):.1%})" for name, n in counts.items())
        facts.append(("classes", shares))
        empty = [name for name, n in counts.items() if not n]
        if empty:
            issues.append(warning("classes", f"{path.name} has no sample of {', '.join(empty)}"))
    if part.times is not None:
        span = f"{part.times.min()} to {part.times.max()} UTC"
        if part.ends is not None:
            span += f"; labels are known by {part.ends.max()} at the latest"
        facts.append(("times", span))
    if part.groups is not None:
        facts.append(("groups", f"{len(np.unique(part.groups))} groups"))
    facts.append(("memory", f"{part.x.nbytes / 2**20:.1f} MiB, padded to {steps}"))
    facts.append(("fingerprint", part.fingerprint))
    return issues + [note(what, f"{path.name}: {text}") for what, text in facts]


def _of_values(
    path: Path, names: Sequence[str], values: NDArray[np.float32]
) -> Iterator[DataIssue]:
    """Yield issues about missing and constant features; ``values`` is (steps, F)."""
    missing = np.isnan(values)
    none = np.all(missing, axis=0, keepdims=True)[0]
    if none.any():
        text = f"{path.name}: {listed(_where(names, none))} has no value in any sample"
        fix = "leave the feature out of X"
        yield warning("no value", text, "at least one", fix, count=int(none.sum()))
    if missing.any():
        shares = zip(names, missing.mean(axis=0).tolist(), strict=True)
        texts = listed([f"{name} {share:.1%} of the steps" for name, share in shares if share])
        yield note("missing", f"{path.name}: {texts}; filled with the {RULE}")
    known = np.where(none, np.float32(0), values)
    flat: NDArray[np.bool_] = ~none & (np.nanmin(known, axis=0) == np.nanmax(known, axis=0))
    if flat.any():
        text = f"{path.name}: {listed(_where(names, flat))} has one value in all samples"
        yield warning("constant", text, count=int(flat.sum()))


def _where(names: Sequence[str], marked: NDArray[np.bool_]) -> list[str]:
    return [name for name, mark in zip(names, marked.tolist(), strict=True) if mark]


def _shared(train: Sequences, validation: Sequences) -> list[DataIssue]:
    """Return warnings about groups or samples that are in both files."""
    issues = []
    if train.groups is not None and validation.groups is not None:
        both = np.intersect1d(train.groups, validation.groups)
        if len(both):
            text = f"{len(both)} groups are in both files: {listed(both.tolist())}"
            expected, fix = "groups of one file only", "move each group to one of the files"
            issues.append(warning("shared groups", text, expected, fix, count=len(both)))
    one, two = train.samples().contents, validation.samples().contents
    if one is not None and two is not None:
        copies = int(np.isin(two, one).sum())
        if copies:
            text = f"{copies} samples of the validation file are also in the training file"
            issues.append(warning("copies", text, "samples of one file only", count=copies))
    return issues


def _errors(refused: PodiumError) -> list[DataIssue]:
    return [error("refused", *problem) for problem in refused.problems]

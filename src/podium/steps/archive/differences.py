"""Compare the results of a training with the record, to the last bit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from podium import artifact, registry
from podium.errors import NotFoundError
from podium.hashing import digest_bytes, digest_folder
from podium.ledger import trial_facts, writes
from podium.ledger.record_reader import RecordReader
from podium.record import nan_if_null
from podium.sequences import Sequences, Subset
from podium.split import Windows
from podium.steps.archive.rebuild import Rebuilt, Row
from podium.tasks.forecast import DERIVED
from podium.trial import Ended


@dataclass(frozen=True)
class ResultCheck:
    """Comparison of one result with the recorded one.

    Parameters
    ----------
    trial : str
    what : str
    same : bool
        Equal to the last bit.
    harmless : bool
        Different without an effect on any forecast.
    comparison : str
        What is compared, or the size of the difference.
    """

    trial: str
    what: str
    same: bool
    comparison: str
    harmless: bool = False


@dataclass(frozen=True)
class Part:
    """A recorded trial to train again, and the artefact with its model."""

    row: Row
    folder: Path | None = None
    artifact_hash: str = ""
    checkpoint: str = ""


def numbers(reader: RecordReader, row: Row, ended: Ended) -> list[ResultCheck]:
    """Compare all recorded results of a trial with those of the new training."""
    id_, metric = row["id"], row["metric"]
    if row["state"] != ended.state:
        reason = f" ({ended.reason.strip().splitlines()[-1]})" if ended.reason else ""
        message = f"it was {row['state']} and is now {ended.state}{reason}"
        return [ResultCheck(id_, "state", False, message)]
    findings = [ResultCheck(id_, "state", True, f"{ended.state} again")]
    if row["loss_hash"]:
        losses = _series(reader, id_, "losses", row["loss_hash"], ended.losses)
        findings.append(losses)
        forecasts = ended.prediction.values.astype(np.float32) if ended.prediction else np.empty(0)
        findings.append(_series(reader, id_, "forecasts", row["prediction_hash"], forecasts))
        findings.append(_score(reader, row, ended, losses.same))
    findings += _curves(reader, id_, ended)
    recorded = trial_facts.results(reader, [id_])[id_]
    # Results of a candidate on the test are no part of the training.
    results = {n: nan_if_null(v) for n, v in recorded.items() if not n.startswith(writes.TEST)}
    # Errors computed from the forecasts are compared with the forecasts.
    again = writes.results_of(ended, metric)
    for name in {*DERIVED, *(f"val_{m}" for m in registry.names("metrics"))} - {*again}:
        results.pop(name, None)
    findings += _results(id_, results, again)
    if row["best_epoch"] != ended.best_epoch:
        message = f"{row['best_epoch']} recorded, {ended.best_epoch} now"
        findings.append(ResultCheck(id_, "best epoch", False, message))
    return findings


def _series(
    reader: RecordReader, id_: str, what: str, recorded: str | None, now: NDArray[Any]
) -> ResultCheck:
    """Compare a stored series with the new one by hash; read the numbers where it differs."""
    if recorded is None:
        return ResultCheck(id_, what, False, "none were recorded")
    if digest_bytes(now.dtype.str.encode(), now.tobytes()) == recorded:
        return ResultCheck(id_, what, True, f"{len(now)} windows")
    try:
        then = reader.array(recorded)
    except NotFoundError:
        return ResultCheck(id_, what, False, f"the series {recorded[:12]} is not on record")
    if len(then) != len(now):
        return ResultCheck(id_, what, False, f"{len(then)} windows recorded, {len(now)} now")
    apart = np.abs(then.astype(np.float64) - now)
    count = int(np.count_nonzero(apart))
    message = (
        f"differ in {count} of {len(now)} windows, by at most {np.nanmax(apart):.3g} "
        f"(their mean is {np.nanmean(then):.6g})"
    )
    return ResultCheck(id_, what, False, message)


def _score(reader: RecordReader, row: Row, ended: Ended, losses_equal: bool) -> ResultCheck:
    rows = reader.select("score", "value", order="metric", trial_id=row["id"], part="best")
    recorded = [nan_if_null(row["score"]), *(nan_if_null(r["value"]) for r in rows)]
    wrong = [value for value in recorded if not _equal(value, ended.score)]
    if not wrong:
        return ResultCheck(row["id"], row["metric"], True, f"{ended.score!r}")
    message = f"{wrong[0]!r} recorded, {ended.score!r} now"
    if losses_equal:
        message += "; the losses are equal, so the recorded score is not their mean"
    return ResultCheck(row["id"], row["metric"], False, message)


def _curves(reader: RecordReader, id_: str, ended: Ended) -> list[ResultCheck]:
    """Compare each metric over the epochs, and name the first epoch that differs."""
    then: dict[str, dict[int, float]] = {}
    for row in trial_facts.scores(reader, [id_])[id_]:
        then.setdefault(row["name"], {})[row["epoch"]] = nan_if_null(row["value"])
    now: dict[str, dict[int, float]] = {}
    for epoch in ended.epochs:
        for name, value in epoch.scores.items():
            now.setdefault(name, {})[epoch.epoch] = value
    return [
        _curve(id_, name, then.get(name, {}), now.get(name, {})) for name in sorted({*then, *now})
    ]


def _curve(id_: str, name: str, then: Mapping[int, float], now: Mapping[int, float]) -> ResultCheck:
    what = f"{name} by epoch"
    wrong = [
        epoch
        for epoch in sorted({*then, *now})
        if epoch not in then or epoch not in now or not _equal(then[epoch], now[epoch])
    ]
    if not wrong:
        return ResultCheck(id_, what, True, f"{len(now)} epochs")
    apart = [abs(then[e] - now[e]) for e in wrong if e in then and e in now]
    most = f", by at most {max(apart):.3g}" if apart else ""
    lost = f"; {len(then)} epochs recorded, {len(now)} now" if len(then) != len(now) else ""
    where = f"differs in {len(wrong)} of {len({*then, *now})} epochs, first in {wrong[0]}"
    return ResultCheck(id_, what, False, f"{where}{most}{lost}")


def _results(id_: str, then: Mapping[str, float], now: Mapping[str, float]) -> list[ResultCheck]:
    """Differing results by which listings rank."""
    # A missing result is the same as NaN.
    both = {name: (then.get(name, math.nan), now.get(name, math.nan)) for name in {*then, *now}}
    return [
        ResultCheck(id_, f"result {name}", False, f"{old!r} recorded, {new!r} now")
        for name, (old, new) in sorted(both.items())
        if not _equal(old, new)
    ]


def files(rebuilt: Rebuilt, part: Part, folder: Path) -> list[ResultCheck]:
    """Compare the model's files, and the forecasts where bytes differ."""
    assert part.folder is not None
    id_ = part.row["id"]
    manifest = artifact.verify(part.folder, part.artifact_hash)
    start = f"{part.checkpoint}/"
    then = {
        name.removeprefix(start): value
        for name, value in manifest["files"].items()
        # last.pt, from which podium train continues, is no part of the model.
        if name.startswith(start) and not name.endswith("/last.pt")
    }
    now = digest_folder(folder)
    odd = sorted(name for name in {*then, *now} if then.get(name) != now.get(name))
    equal = [name for name in sorted(now) if name not in odd]
    findings = [ResultCheck(id_, f"{start}{name}", True, "the same bytes") for name in equal]
    if not odd:
        return findings
    family = registry.family(part.row["family"], rebuilt.task)
    old = artifact.load(part.folder, part.artifact_hash, part.checkpoint).model
    new = family.load(lambda name: (folder / name).read_bytes())
    fold = rebuilt.split.folds[part.row["fold"]]
    rows = fold.validation if len(fold.validation) else fold.train
    view = rebuilt.view
    shown: Windows | Subset
    shown = Subset(view, rows) if isinstance(view, Sequences) else Windows.of(view, rows)
    windows = shown.blind()
    apart = np.abs(old.predict(windows).values - new.predict(windows).values)
    most = float(np.nanmax(apart))
    message = f"other bytes, and forecasts differ by at most {most:.3g}"
    if most == 0:
        message = f"other bytes, but all {len(windows)} forecasts are equal to the last bit"
    changed = [ResultCheck(id_, f"{start}{name}", False, message, most == 0) for name in odd]
    return [*findings, *changed]


def _equal(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))

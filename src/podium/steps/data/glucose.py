"""Labelled windows of a glucose sensor: rare classes, missing readings, days as groups."""

from __future__ import annotations

import gzip
import io
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podium.errors import DataError, MissingExtraError

STEP = 300  # seconds between readings
WINDOW, AHEAD, FILL = 24, 6, 3  # steps: two hours back, half an hour ahead, a quarter filled
LOW, HIGH = 70.0, 180.0  # mg/dl
CLASSES = ("normal", "rises above 180", "falls below 70")
FEATURES = ("glucose", "isig")
VALIDATION_FRACTION = 0.3
_NAMES = ("CGM.csv.gz", "CGM.csv")


def readings() -> pd.DataFrame:
    """Load the sensor's readings of the package bokeh-sampledata.

    Raises
    ------
    MissingExtraError
        The package is not installed.
    """
    # Located without an import, which reads data that are not needed here.
    spec = find_spec("bokeh_sampledata")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError(
            "the glucose data are in the package bokeh-sampledata, which is not installed",
            fix="run: pip install bokeh-sampledata",
        )
    folder = Path(next(iter(spec.submodule_search_locations))) / "_data"
    for name in _NAMES:
        if (folder / name).is_file():
            return load(folder / name)
    raise DataError(f"no {_NAMES[0]} in {folder}", fix="pip install --upgrade bokeh-sampledata")


def load(path: Path) -> pd.DataFrame:
    """Load readings of a file with the columns datetime, isig and glucose."""
    opened: Any = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rb") as handle:
        frame = pd.read_csv(handle, parse_dates=["datetime"])
    missing = [column for column in ("datetime", *FEATURES) if column not in frame.columns]
    if missing:
        raise DataError(f"{path} has no column {', '.join(missing)}", "datetime, isig, glucose")
    return frame


def sequences(frame: pd.DataFrame) -> dict[str, dict[str, NDArray[Any]]]:
    """Return training and validation samples, each as the arrays of an .npz file.

    A sample is decided every five minutes from the last two hours, unless the reading is low
    already; its class is the outcome of the next half hour. A missing reading repeats the last
    one, at most three in a row; later readings are not used.

    The group of a sample is the day of its decision. The last days validate; samples whose input
    or outcome crosses the boundary between the parts are dropped, so no day is shared.
    """
    # The sensor writes "nil" for a missing reading.
    numbers = frame[list(FEATURES)].apply(pd.to_numeric, errors="coerce")
    whole = numbers.assign(datetime=frame["datetime"]).dropna().sort_values("datetime")
    if not len(whole):
        raise DataError("the glucose data have no reading", "numbers of glucose and isig")
    seconds = whole["datetime"].to_numpy("datetime64[s]").astype(np.int64)
    values = whole[list(FEATURES)].to_numpy(np.float32)
    grid = np.arange(-(-seconds[0] // STEP) * STEP, seconds[-1] + 1, STEP)
    last = np.searchsorted(seconds, grid, side="right") - 1
    known = grid - seconds[last] < (1 + FILL) * STEP
    steps = values[last]
    decided = np.arange(WINDOW - 1, len(grid) - AHEAD)
    glucose = steps[:, FEATURES.index("glucose")]
    ahead = decided[:, np.newaxis] + np.arange(1, AHEAD + 1)
    back = decided[:, np.newaxis] + np.arange(1 - WINDOW, 1)
    keep = known[back].all(axis=1) & known[ahead].all(axis=1) & (glucose[decided] >= LOW)
    decided, ahead, back = decided[keep], ahead[keep], back[keep]
    labels = np.zeros(len(decided), dtype=np.int64)
    labels[(glucose[decided] <= HIGH) & (glucose[ahead].max(axis=1) > HIGH)] = 1
    labels[glucose[ahead].min(axis=1) < LOW] = 2
    if not len(decided):
        raise DataError("the glucose data have no two whole hours followed by half an hour")
    day = grid[decided] // 86_400
    days = np.unique(day)
    boundary = days[int(len(days) * (1 - VALIDATION_FRACTION))]
    train = grid[decided + AHEAD] // 86_400 < boundary
    validation = grid[decided - WINDOW + 1] // 86_400 >= boundary
    return {
        part: {
            "X": steps[back[rows]],
            "y": labels[rows],
            "groups": np.datetime_as_string(day[rows].astype("datetime64[D]")),
            "feature_names": np.array(FEATURES),
            "class_names": np.array(CLASSES),
        }
        for part, rows in (("train", train), ("val", validation))
    }


def packed(arrays: dict[str, NDArray[Any]]) -> bytes:
    """Return the arrays as an .npz file."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()

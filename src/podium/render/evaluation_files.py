"""Files of an evaluation: written from arrays, and checked where they come from elsewhere."""

from __future__ import annotations

import csv
import io
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from podium.arrays import Floats
from podium.errors import DataError, Problem, Problems
from podium.files import csv_text
from podium.hashing import json_file
from podium.render import png
from podium.render.evaluation import EvaluationReport, evaluation_page
from podium.stats.class_figures import Counts, confusion, macro_f1
from podium.stats.classification import ClassDifferences, Evaluation
from podium.stats.improvement import Improvement

SCHEMA = 1
METRICS, PREDICTIONS, CONFUSION = "metrics.json", "predictions.csv", "confusion_matrix.csv"
REPORT = ("classification_report.json", "classification_report.csv")
CURVES = ("pr_curves.csv", "roc_curves.csv")
PNGS = ("confusion_matrix.png", "pr_curves.png", "roc_curves.png")
# Points of a class's curve in a file; areas are computed from all points.
_POINTS = 1000
# Tolerance of a figure of a bundle against its predictions.
_TOLERANCE = 1e-9
_PNG = b"\x89PNG\r\n\x1a\n"


def bundle(report: EvaluationReport, *, plots: bool = True) -> dict[str, bytes]:
    """Every file of an evaluation by its name.

    Parameters
    ----------
    report : EvaluationReport
    plots : bool
        Whether to include the PNGs, which need matplotlib.

    Raises
    ------
    DataError
        Arrays that do not match.
    MissingExtraError
        Plots without matplotlib installed.

    Examples
    --------
    >>> p = np.array([[0.9, 0.1], [0.2, 0.8]])
    >>> report = EvaluationReport("a", np.array([0, 1]), p, ["calm", "storm"])
    >>> files = bundle(report, plots=False)
    >>> print(files["predictions.csv"].decode().splitlines()[1])
    0,,0,0,calm,calm,0.9,0.1
    """
    model, classifiers = report.model, report.classifiers
    summary = classification_report(model)
    files = {
        METRICS: _json(_metrics(report)),
        REPORT[0]: _json(summary),
        REPORT[1]: _csv(
            ["class", "precision", "recall", "f1-score", "support"],
            (
                [name, row["precision"], row["recall"], row["f1-score"], row["support"]]
                for name, row in summary.items()
                if isinstance(row, dict)
            ),
        ),
        CONFUSION: _csv(
            ["true", *model.class_names],
            ([n, *c] for n, c in zip(model.class_names, model.confusion.tolist(), strict=True)),
        ),
        PREDICTIONS: _predictions(report),
        "evaluation.html": evaluation_page(report).encode(),
        **_tables(model),
    }
    if report.differences:
        files["differences.csv"] = _differences(report.differences, model.class_names)
    if plots:
        drawn = png.confusion_png(model), png.pr_png(classifiers), png.roc_png(classifiers)
        files |= dict(zip(PNGS, drawn, strict=True))
        files["calibration.png"] = png.calibration_png(classifiers)
    return files


def classification_report(model: Evaluation) -> dict[str, Any]:
    """Figures of each class and their means, as scikit-learn's ``classification_report``.

    Examples
    --------
    >>> from podium.stats.classification import evaluate
    >>> figures = evaluate([0, 1], [[0.9, 0.1], [0.2, 0.8]], ["calm", "storm"])
    >>> classification_report(figures)["macro avg"]["f1-score"]
    1.0
    """
    columns = np.stack([model.precision, model.recall, model.f1], axis=1)
    heads = ("precision", "recall", "f1-score")

    def row(values: Floats, support: int) -> dict[str, float]:
        return {**dict(zip(heads, values.tolist(), strict=True)), "support": support}

    weights = model.support / model.samples
    return {
        **{
            name: row(columns[k], int(model.support[k])) for k, name in enumerate(model.class_names)
        },
        "accuracy": model.accuracy,
        "macro avg": row(columns.mean(axis=0), model.samples),
        "weighted avg": row(weights @ columns, model.samples),
    }


def check_bundle(files: Mapping[str, bytes]) -> list[Problem]:
    """Problems of the files of an evaluation, which another program may have written.

    All files must exist and be readable, macro-F1 and confusion matrix must agree with the
    predictions, and the PNGs must be complete.

    Parameters
    ----------
    files : mapping of file name to bytes

    Returns
    -------
    list of Problem
        All problems; empty for a consistent bundle.

    Examples
    --------
    >>> print(check_bundle({})[0])
    metrics.json is missing. Expected JSON with class_names and macro_f1.
    """
    expected = {
        METRICS: "JSON with class_names and macro_f1",
        PREDICTIONS: "CSV with the columns truth and chosen",
        CONFUSION: "CSV with a row and a column for each class",
    }
    expected |= dict.fromkeys(CURVES, "CSV with the points of each class's curve")
    expected |= dict.fromkeys(PNGS, "the plot that a reviewer signs off")
    missing = {name: content for name, content in expected.items() if name not in files}
    if not any(name in files for name in REPORT):
        missing[REPORT[0]] = f"precision, recall and F1 of each class, there or in {REPORT[1]}"
    problems = Problems(Problem(f"{name} is missing", content) for name, content in missing.items())
    for name in sorted(files):
        if name.endswith(".png") and not _is_png(files[name]):
            size = f"{len(files[name]):,} bytes"
            problems.add(f"{name} is not a complete PNG ({size})", "a picture that can be opened")
    try:
        _check_figures(files)
    except DataError as error:
        problems += error.problems
    return problems


def _metrics(report: EvaluationReport) -> dict[str, Any]:
    def others(who: str, name: str) -> dict[str, Any] | None:
        figures = report.figures.get(who)
        return None if figures is None else {"name": name, "metrics": figures.spec()["metrics"]}

    metrics: dict[str, Any] = {
        "schema": SCHEMA,
        "facts": dict(report.facts),
        **report.model.spec(),
        "champion": others("champion", report.champion_name),
        "naive": others("naive", report.naive_name),
        "differences": report.differences.spec() if report.differences else None,
    }
    if report.parent is not None:
        metrics["parent"] = others("parent", report.parent_name)
        metrics["improvements"] = {name: _change(one) for name, one in report.improvements.items()}
    return metrics


def _change(change: Improvement) -> dict[str, Any]:
    """JSON of a change, null for NaN."""
    return {
        name: None if value is None or value != value else value
        for name, value in asdict(change).items()
    }


def _predictions(report: EvaluationReport) -> bytes:
    names = list(report.class_names)
    probabilities = np.asarray(report.probabilities, dtype=np.float64)
    chosen = probabilities.argmax(axis=1).tolist()
    truth = report.truth.tolist()
    groups = [""] * len(truth) if report.groups is None else map(str, report.groups.tolist())
    columns = zip(
        report.numbered.tolist(), groups, truth, chosen, probabilities.tolist(), strict=True
    )
    return _csv(
        ["row", "group", "truth", "chosen", "truth_class", "chosen_class"]
        + [f"probability_{k}" for k in range(len(names))],
        ([row, group, t, c, names[t], names[c], *p] for row, group, t, c, p in columns),
    )


def _tables(model: Evaluation) -> dict[str, bytes]:
    """Curves, thresholds and calibration as CSV."""
    pr, roc, thresholds = list[list[Any]](), list[list[Any]](), list[list[Any]]()

    def rows(name: str, *columns: Floats) -> list[list[Any]]:
        return [[name, *row] for row in np.stack(columns, axis=1).tolist()]

    for name, whole in zip(model.class_names, model.curves, strict=True):
        few, curve = whole.thinned(), whole.thinned(_POINTS)
        thresholds += rows(name, few.thresholds, few.precision, few.recall, few.f1, few.flagged)
        pr += rows(name, curve.thresholds, curve.precision, curve.recall)
        # A ROC starts where no sample is flagged, which has no threshold.
        roc.append([name, None, 0.0, 0.0])
        roc += rows(name, curve.thresholds, curve.false_positive_rate, curve.recall)
    table = model.reliability
    columns = (table.edges[:-1], table.edges[1:], table.count, table.confidence, table.accuracy)
    bins = zip(*(column.tolist() for column in columns), strict=True)
    return {
        CURVES[0]: _csv(["class", "threshold", "precision", "recall"], pr),
        CURVES[1]: _csv(["class", "threshold", "false_positive_rate", "recall"], roc),
        "thresholds.csv": _csv(
            ["class", "threshold", "precision", "recall", "f1", "flagged"], thresholds
        ),
        "calibration.csv": _csv(
            ["above", "to", "samples", "mean_probability", "share_right"], bins
        ),
    }


def _differences(diffs: ClassDifferences, names: Sequence[str]) -> bytes:
    rows: list[list[Any]] = [["", "macro_f1", *vars(diffs.macro_f1).values(), diffs.p_value]]
    for figure in ("recall", "precision", "f1"):
        rows += (
            [name, figure, *vars(d).values(), None]
            for name, d in zip(names, getattr(diffs, figure), strict=True)
        )
    return _csv(["class", "figure", "difference", "low", "high", "p_value"], rows)


def _csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    return csv_text(
        [list(columns), *([None if v != v else v for v in row] for row in rows)]
    ).encode()


def _json(value: Any) -> bytes:
    return json_file(value).encode()


def _is_png(data: bytes) -> bool:
    """Whether the bytes are PNG chunks with valid checksums from header to end."""
    at, first = len(_PNG), True
    if not data.startswith(_PNG):
        return False
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        kind, end = data[at + 4 : at + 8], at + 8 + length
        if (first and kind != b"IHDR") or end + 4 > len(data):
            return False
        if zlib.crc32(data[at + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            return False
        if kind == b"IEND":
            return True
        at, first = end + 4, False
    return False


def _check_figures(files: Mapping[str, bytes]) -> None:
    """Compare macro-F1 and the confusion matrix with the predictions."""
    if METRICS not in files:
        return
    metrics = _read_metrics(files[METRICS])
    names = metrics.get("class_names")
    if not (isinstance(names, list) and len(names) > 1 and all(isinstance(n, str) for n in names)):
        raise DataError(f"{METRICS}: class_names is {names!r:.60}", "a list of two or more texts")
    if PREDICTIONS not in files:
        return
    truth, chosen = (
        classes_of(predicted(files[PREDICTIONS], [column]), column, names)
        for column in ("truth", "chosen")
    )
    counts = confusion(truth, chosen, len(names))
    problems = Problems()
    nested = metrics.get("metrics")
    f1 = (nested if isinstance(nested, dict) else metrics).get("macro_f1")
    exact = macro_f1(counts)
    # A whole number in JSON may be too large for a float.
    if not (isinstance(f1, int | float) and -1 < f1 < 2 and abs(f1 - exact) <= _TOLERANCE):
        message = f"{METRICS} has no macro_f1"
        message = message if f1 is None else f"{METRICS}: macro_f1 is {f1!r:.40}"
        expected = f"{exact!r}, the mean F1 of the classes in {PREDICTIONS}"
        problems.add(message, expected)
    if CONFUSION in files and _matrix(files[CONFUSION]) != counts.tolist():
        shape = f"{len(names)} rows and columns of counts after a header and a column of names"
        expected = f"{json.dumps(counts.tolist())}: {shape}"
        problems.add(f"{CONFUSION} is not the matrix of {PREDICTIONS}", expected)
    DataError.raise_for(problems)


def _read_metrics(data: bytes) -> dict[str, Any]:
    try:
        metrics = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{METRICS} is not JSON: {error}", "an object") from None
    if not isinstance(metrics, dict):
        raise DataError(f"{METRICS} is a JSON {type(metrics).__name__}", "an object")
    if metrics.get("schema", SCHEMA) != SCHEMA:
        message = f"{METRICS} has schema {metrics['schema']!r:.20}"
        raise DataError(message, f"{SCHEMA}", "a newer podium reads it")
    return metrics


def _table(name: str, data: bytes) -> list[list[str]]:
    """Rows of a CSV file, header included."""
    try:
        return [row for row in csv.reader(io.StringIO(data.decode("utf-8-sig"))) if row]
    except (ValueError, csv.Error) as error:
        raise DataError(f"{name} cannot be read: {error}", "CSV in UTF-8") from None


def _matrix(data: bytes) -> list[list[int]]:
    """Counts of a confusion matrix; empty if they are not numbers."""
    try:
        return [[int(float(value)) for value in row[1:]] for row in _table(CONFUSION, data)[1:]]
    except (ValueError, OverflowError):
        return []


def predicted(data: bytes, columns: Sequence[str]) -> list[list[str]]:
    """Columns of a file of predictions, a row per sample; missing cells are empty.

    Raises
    ------
    DataError
        The file is not CSV, has no sample, or lacks a column.
    """
    rows = _table(PREDICTIONS, data)
    if not rows:
        raise DataError(f"{PREDICTIONS} has no row", "a row for each sample")
    header, *body = rows
    missing = [column for column in columns if column not in header]
    if missing or not body:
        message = f"has no column {', '.join(missing)}" if missing else "has no sample"
        raise DataError(f"{PREDICTIONS} {message}", f"{' and '.join(columns)} of each sample")
    places = [header.index(column) for column in columns]
    return [[row[place] if place < len(row) else "" for place in places] for row in body]


def classes_of(rows: Sequence[Sequence[str]], column: str, names: Sequence[str]) -> Counts:
    """Classes in the first column of the rows, (N,).

    Raises
    ------
    DataError
        A cell is not a class.
    """
    # A class is its number or its name, which CSV may precede with a quote.
    known = {f"'{name}": k for k, name in enumerate(names)}
    known |= {name: k for k, name in enumerate(names)}
    known |= {str(k): k for k in range(len(names))}
    classes = np.array([known.get(row[0].strip(), -1) for row in rows], dtype=np.int64)
    bad = np.flatnonzero(classes < 0)
    if len(bad):
        raise DataError(
            f"{PREDICTIONS}, sample {bad[0] + 1}: {column} is {rows[bad[0]][0]!r:.40} "
            f"(one of {len(bad)})",
            f"0 to {len(names) - 1}, or one of {', '.join(names)}",
        )
    return classes

"""``backtesting_results/``: files of a backtest for users, written from the record.

Podium reads back only the candidate that the folder belongs to.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from podium.arrays import Floats, Times
from podium.candidate import Candidate
from podium.errors import MissingExtraError
from podium.evidence import Evidence
from podium.files import csv_text
from podium.ledger import reads
from podium.render.trading import drawdown_png, drawdowns, equity_png
from podium.steps.candidates.register import JudgedModel
from podium.steps.decisions.refit import FROZEN, KIND, fits
from podium.steps.evidence.trading import BENCHMARKS, CANDIDATE, FILLS, NAIVE, TRADES
from podium.steps.workspace.output_folder import Content, OutputFolder
from podium.steps.workspace.project import Project

RESULTS, EQUITY, DRAWDOWN = "results.json", "equity", "drawdown"
MONTHLY, FILLED, SIGNALS = "monthly", "trades", "signals"
TABLES = (EQUITY, DRAWDOWN, MONTHLY, FILLED)
PICTURES = (f"{EQUITY}.png", f"{DRAWDOWN}.png")
FILES = (*(f"{table}.{form}" for form in ("csv", "parquet") for table in TABLES), *PICTURES)
PARTS = (RESULTS, *(f"{name}.*" for name in (*TABLES, SIGNALS)))
PORTFOLIOS = (CANDIDATE, NAIVE, *BENCHMARKS)
# Facts of the candidate in the results.
OF_CANDIDATE = ("version", "family", "config", "artifact_hash", "trained_until")
SCHEMA = 1
Table = Mapping[str, Any]


def files_of(project: Project, candidate: Candidate) -> OutputFolder | None:
    """Folder of a candidate's files, claimed for it; None without ``paths.backtesting``."""
    name = project.config.paths.backtesting
    if not name:
        return None
    out = OutputFolder(project, candidate.slot, name, PARTS, "candidate")
    out.claim(candidate.id, {"podium": SCHEMA, "candidate": candidate.id})
    return out


def write(
    project: Project, entry: JudgedModel, evidence: Mapping[str, Evidence], rule: str
) -> None:
    """Write every file where they are missing or outdated.

    Parameters
    ----------
    rule : str
        Rule that chose the candidate.
    """
    out = files_of(project, entry.candidate)
    if out is not None:
        files = partial(_files, project, entry, evidence)
        out.fill(_results(entry, evidence, rule), "the backtest's files are", FILES, files)


def _files(
    project: Project, entry: JudgedModel, evidence: Mapping[str, Evidence]
) -> dict[str, Content]:
    times, curves, fills = _series(project, evidence["backtest"], evidence.get(KIND))
    tables: dict[str, Table] = {
        EQUITY: {"time": times, **curves},
        DRAWDOWN: {"time": times, **{n: drawdowns(c) for n, c in curves.items()}},
        MONTHLY: monthly(times, curves),
        FILLED: _trades(times, curves[CANDIDATE], fills, entry, project),
    }
    title = f"{entry.candidate.slot}: {entry.candidate.id} on the sealed test"
    return {
        **{f"{name}.csv": partial(as_csv, table) for name, table in tables.items()},
        **{f"{name}.parquet": partial(parquet, table) for name, table in tables.items()},
        f"{EQUITY}.png": partial(equity_png, times, curves, title),
        f"{DRAWDOWN}.png": partial(drawdown_png, times, curves, title),
    }


def _series(
    project: Project, trading: Evidence, refit: Evidence | None
) -> tuple[Times, dict[str, Floats], dict[str, np.ndarray]]:
    """Times, equity of every portfolio and the candidate's fills, from the record."""
    names = ("times", *PORTFOLIOS, *(f"{TRADES}{name}" for name in FILLS))
    arrays = _arrays(project, trading, names)
    curves = {name: arrays[name] for name in PORTFOLIOS}
    if refit is not None and fits(refit, trading):
        curves[KIND] = _arrays(project, refit, (KIND,))[KIND]
    return arrays["times"], curves, {name: arrays[f"{TRADES}{name}"] for name in FILLS}


def _arrays(project: Project, evidence: Evidence, names: Sequence[str]) -> dict[str, np.ndarray]:
    arrays = project.ledger.read(reads.arrays, [evidence.series[name] for name in names])
    return {name: arrays[evidence.series[name]] for name in names}


def _results(entry: JudgedModel, evidence: Mapping[str, Evidence], rule: str) -> dict[str, Any]:
    candidate, test, trading = entry.candidate, evidence["test"], evidence["backtest"]
    refit = evidence.get(KIND)
    return {
        "podium": SCHEMA,
        "kind": "backtest",
        "slot": candidate.slot,
        "candidate": candidate.id,
        **{name: getattr(candidate, name) for name in OF_CANDIDATE},
        "rule": rule,
        "tickers": entry.data.dataset.tickers,
        "tickers_note": "; ".join(filter(None, [entry.realigned, trading.notes.get("tickers")])),
        "test": {
            "from": entry.data.test_interval[0],
            "to": entry.data.test_interval[1],
            **{name: int(test.scalar(name)) for name in ("looks", "windows")},
        },
        "metric": test.notes["metric"],
        "naive_method": test.notes["naive_method"],
        "losses": _whole(test),
        **{name: trading.notes[name] for name in ("signal", "execution", "costs")},
        "measures": {name: trading.part(name) for name in PORTFOLIOS},
        "refit": None
        if refit is None or not fits(refit, trading)
        else {
            **{k: v for k, v in refit.notes.items() if v},
            **_whole(refit),
            "measures": {name: refit.part(name) for name in (KIND, FROZEN)},
        },
        "evidence": {kind: one.id for kind, one in sorted(evidence.items())},
    }


def _whole(evidence: Evidence) -> dict[str, float]:
    """Scalars that belong to no portfolio or ticker."""
    return {name: one.value for name, one in evidence.scalars.items() if ":" not in name}


def monthly(times: Times, curves: Mapping[str, Floats]) -> dict[str, Sequence[Any]]:
    """Return of each calendar month: its last equity over that of the previous month.

    Parameters
    ----------
    times : (T,) datetime64
        Ascending; the first month begins at the first bar.
    curves : mapping of name to (T,) float

    Examples
    --------
    >>> days = np.array(["2020-01-30", "2020-01-31", "2020-02-03"], dtype="datetime64[D]")
    >>> table = monthly(days, {"mine": np.array([1.0, 1.5, 3.0])})
    >>> table["month"], [float(r) for r in table["mine"]]
    (['2020-01', '2020-02'], [0.5, 1.0])
    """
    months = times.astype("datetime64[M]")
    last = np.flatnonzero(np.append(months[1:] != months[:-1], True))
    table: dict[str, Sequence[Any]] = {"month": [str(m) for m in months[last]]}
    for name, curve in curves.items():
        ends = curve[last]
        table[name] = ends / np.concatenate([curve[:1], ends[:-1]]) - 1.0
    return table


def _trades(
    times: Times,
    equity: Floats,
    fills: Mapping[str, np.ndarray],
    entry: JudgedModel,
    project: Project,
) -> Table:
    """Every fill of the candidate; weights are shares of the equity of the bar before."""
    bar, quantity, price = fills["bar"], fills["quantity"], fills["price"]
    capital = project.config.backtest.initial_cash * equity[np.maximum(bar - 1, 0)]
    tickers = np.asarray(entry.data.dataset.tickers, dtype=object)
    return {
        "time": times[bar],
        "ticker": tickers[fills["item"]],
        "side": np.where(quantity > 0, "buy", "sell").tolist(),
        "quantity": quantity,
        "price": price,
        "fee": fills["fee"],
        "weight": quantity * price / capital,
    }


def as_csv(table: Table) -> str:
    """A table as CSV; a text that a spreadsheet would run has a quote before it."""
    arrays = map(np.asarray, table.values())
    columns = [(a.astype(str) if a.dtype.kind == "M" else a).tolist() for a in arrays]
    return csv_text([list(table), *zip(*columns, strict=True)])


def parquet(table: Table) -> bytes:
    """A table as Parquet; times are timestamps without a zone, UTC."""
    import pandas as pd

    buffer = io.BytesIO()
    try:
        pd.DataFrame(dict(table)).to_parquet(buffer, index=False)
    except ImportError as error:
        raise MissingExtraError(
            "Parquet needs the package 'pyarrow', which is not installed",
            fix="run: pip install 'podium[parquet]'",
        ) from error
    return buffer.getvalue()

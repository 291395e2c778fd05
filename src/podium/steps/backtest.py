"""Judge a candidate on the sealed test: losses against naive, and its forecasts traded."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from podium import artifact, plugin, registry
from podium.backtest import Backtest, periods_per_year, simulate, summary
from podium.candidate import Candidate
from podium.config import BacktestSection, SlotSection
from podium.dataset import Floats
from podium.errors import NotFoundError
from podium.evidence import Evidence, Scalar
from podium.hashing import digest
from podium.ledger import reads, writes
from podium.prediction import Prediction
from podium.resolve import get_active_model_path
from podium.space import ConfigDict
from podium.split import Windows
from podium.stats import diebold_mariano, panel_loss
from podium.steps._errors import errors_of
from podium.steps._evidence import evidence_about
from podium.steps._improvement import improvement_over_parent
from podium.steps._kept import Kept, kept_candidate
from podium.steps._project import Project
from podium.steps._task import SlotData, plugin_versions, require_task, view_of
from podium.steps._terms import trading_terms
from podium.steps._trials import index_of
from podium.steps.finalize import Final, naive_name
from podium.steps.finalize import finalize as _finalize
from podium.steps.tune import tuned

STEP = "backtest"
AGAINST = "against_champion"
BENCHMARKS = ("equal weight", "buy and hold")
ALWAYS_SAID = ("fee_bps", "slippage_bps", "execution")


@dataclass(frozen=True, eq=False)
class Judged:
    """A candidate with its evidence from the sealed test.

    Parameters
    ----------
    evidence : mapping of kind to Evidence
        ``validation``, ``test`` and ``backtest``.
    rule : str
        Which rule chose the candidate.
    """

    candidate: Candidate
    evidence: dict[str, Evidence]
    rule: str


def backtest(
    project: Project, slot: str | None = None, *, model_path: Path | str | None = None
) -> Judged:
    """Judge a slot's candidate on its sealed test, once; asked again, the record answers.

    Every candidate that is judged on an interval counts as a look at it. A named model wins; then
    the candidate that the slot's finished search leads to, made if need be; else the active model
    of its grids, which becomes a candidate of its own by that.

    Parameters
    ----------
    slot : str, optional
        Default: the model's, else the default one.
    model_path : path, optional
        A kept model of this project, by any path into its folder.

    Raises
    ------
    NotFoundError
        There is nothing to judge.
    DataError
        The model answers another question than the slot asks, or has seen bars of the test.
    """
    if model_path is not None:
        kept = kept_candidate(project, Path(model_path), slot)
        return _judged(project, kept, f"model {model_path}, named explicitly")
    name = project.default_slot(slot)
    require_task(project.config, name)
    try:
        tuned(project, name)
    except NotFoundError as error:
        kept, path = _active(project, name, error)
        shown = os.path.relpath(path, project.root)
        return _judged(project, kept, f"active model {shown}, because {error.problems[0].found}")
    return judged(project, _finalize(project, name))


def judged(project: Project, final: Final) -> Judged:
    """Judge a finalized candidate, and hold it against the slot's champion if that is another."""
    return _judged(project, _made(final), f"candidate of the search of {final.candidate.slot}")


def on_record(project: Project, final: Final) -> bool:
    """Whether these inputs gave evidence before; nothing is written."""
    kept, ledger = _made(final), project.ledger
    with ledger.reading() as tx:
        return reads.receipt(ledger, tx, kept.data.slot, STEP, _inputs(project, kept)) is not None


def _made(final: Final) -> Kept:
    analysis = final.analysis
    return Kept(analysis.extension.tuned.forecast, analysis.naive.config, final.candidate)


def _judged(project: Project, kept: Kept, rule: str) -> Judged:
    _judge(project, kept)
    _against_champion(project, kept)
    improvement_over_parent(project, kept.candidate, kept.data.test_windows.at)
    with project.ledger.reading() as tx:
        evidence = reads.evidence_of(project.ledger, tx, kept.candidate.id)
    return Judged(kept.candidate, evidence, rule)


def _active(project: Project, slot: str, unfinished: NotFoundError) -> tuple[Kept, Path]:
    """The active model of a slot whose search is not finished, and its path."""
    try:
        path = get_active_model_path(project.root, slot=slot)
    except NotFoundError as error:
        found = [unfinished.problems[0].found, error.problems[0].found]
        raise NotFoundError(
            f"{slot} has nothing to judge: {'; '.join(found)}",
            "a finished search, or a grid",
            f"run: podium tune {slot}, or: podium grid {slot}",
        ) from None
    return kept_candidate(project, path, slot), path


def _judge(project: Project, kept: Kept) -> None:
    """Test and backtest evidence, unless the same inputs gave them before."""
    data, naive, candidate = kept.data, kept.naive, kept.candidate
    ledger, inputs = project.ledger, _inputs(project, kept)
    with ledger.reading() as tx:
        if reads.receipt(ledger, tx, data.slot, STEP, inputs) is not None:
            return
    project.reporter.progress(f"{data.slot}: backtest", 0, 1)
    model = artifact.forecaster(project.store / candidate.artifact_path, candidate.artifact_hash)
    windows = Windows.of(data.view, np.arange(data.test_start, len(data.view), dtype=np.int64))
    forecast = model.predict(windows)
    with ledger.transaction(durable=True) as tx:
        looks = writes.count_look(ledger, tx, data.dataset.name, data.test_interval, candidate.id)
        scores, losses = _scores(data, forecast, _naive(data, naive), looks)
        trading, curves = _trade(project, data, forecast)
        found = {
            kind: _evidence(project, data, candidate, kind, *parts, tx)
            for kind, parts in (
                ("test", (*scores, losses)),
                ("backtest", (trading, _notes(project, data), curves)),
            )
        }
        for evidence in found.values():
            writes.put_evidence(ledger, tx, evidence)
        outputs = {kind: evidence.id for kind, evidence in found.items()}
        writes.put_receipt(ledger, tx, data.slot, STEP, inputs, outputs)
    project.reporter.progress(f"{data.slot}: backtest", 1, 1)


def _inputs(project: Project, kept: Kept) -> str:
    data = kept.data
    return digest(
        [
            kept.candidate.artifact_hash,
            data.dataset.fingerprint,
            data.test_interval,
            kept.naive,
            registry.versioned("signals", data.section.signal),
            _settings(project.config.backtest),
            *_plugins(data.section),
        ]
    )


def _against_champion(project: Project, kept: Kept) -> None:
    """Evidence on the very windows of the test, where the champion answers the same question."""
    data, candidate, ledger = kept.data, kept.candidate, project.ledger
    with ledger.reading() as tx:
        holder = reads.champion_of(ledger, tx, data.slot)
        if holder is None or holder == candidate.id:
            return
        champion = reads.candidate_by_id(ledger, tx, holder)
        hashes = [candidate.artifact_hash, champion.artifact_hash]
        inputs = digest(
            [*hashes, data.dataset.fingerprint, data.test_interval, *_plugins(data.section)]
        )
        if reads.receipt(ledger, tx, data.slot, AGAINST, inputs) is not None:
            return
    try:
        models = [
            artifact.forecaster(project.store / c.artifact_path, c.artifact_hash)
            for c in (candidate, champion)
        ]
    except artifact.OtherVersionError as error:
        # The gate will say that it cannot decide; the newcomer itself was judged.
        project.reporter.say(f"not compared with the champion {holder}: {error}")
        return
    asked = [(m.section.target, m.section.horizon, m.section.metric) for m in models]
    if asked[0] != asked[1] or set(models[1].tickers) != set(data.dataset.tickers):
        return
    metric = data.section.metric
    losses_of = registry.load("metrics", metric).losses
    windows = data.test_windows
    bars = data.dataset.slice(0, len(data.view))
    forecasts = []
    for model in models:
        view = view_of(bars.select(model.tickers), model.section)
        # By name, in the order of the candidate's tickers: nothing is read by position.
        grid = model.predict(Windows.of(view, data.test_bars)).grid(
            data.view.times, data.view.tickers
        )
        forecasts.append(grid[windows.at, windows.item])
    # A model with a longer window has no forecast yet of a ticker that was just listed.
    there = slice(None) if data.view.members is None else np.isfinite(forecasts).all(axis=0)
    losses = [losses_of(windows.truth()[there], forecast[there]) for forecast in forecasts]
    mine, other = (panel_loss(loss, windows.at[there])[1] for loss in losses)
    test = diebold_mariano(mine, other, data.view.horizon)
    scalars = {
        "loss": Scalar(float(losses[0].mean()), metric, "min"),
        "champion_loss": Scalar(float(losses[1].mean()), metric, "min"),
        "dm_statistic": Scalar(test.statistic),
        "dm_p_value": Scalar(test.p_value, "probability"),
    }
    notes = {"metric": metric, "champion": holder, "dm_reason": test.reason or ""}
    with ledger.transaction(durable=True) as tx:
        found = _evidence(project, data, candidate, AGAINST, scalars, notes, {}, tx)
        writes.put_evidence(ledger, tx, found)
        writes.put_receipt(ledger, tx, data.slot, AGAINST, inputs, {AGAINST: found.id})


def _settings(section: BacktestSection) -> dict[str, Any]:
    """Terms of trading as inputs of a receipt; a term that says nothing is none.

    So receipts from before there was such a term stay what they were.
    """
    said = asdict(section)
    return {
        part.name: said[part.name]
        for part in fields(section)
        if part.name in ALWAYS_SAID or said[part.name] != part.default
    }


def _plugins(section: SlotSection) -> list[dict[str, str]]:
    """Versions of the plugins that make inputs, truth and losses, as inputs of a receipt.

    Podium's own members add none: their receipts stay what they were.
    """
    found = {**plugin_versions(section), **plugin.versions([("metrics", section.metric)])}
    return [found] if found else []


def _naive(data: SlotData, config: ConfigDict) -> tuple[str, Prediction]:
    """The naive method that was best on validation, fitted on everything before the test."""
    family = registry.family("naive")
    bars = np.arange(data.tuning.first_bar, data.tuning.last_labelled + 1, dtype=np.int64)
    before = Windows.of(data.tuning, bars).labelled()
    model = family.fit(config, before, None, seed=0, report=lambda epoch, scores: None)
    return naive_name(config), model.predict(data.test_windows.blind())


def _quoted(errors: dict[str, float], prefix: str = "") -> dict[str, Scalar]:
    """Errors as people quote them, where they are known."""
    return {
        f"{prefix}{name}": Scalar(value, "", "max" if name == "r2" else "min")
        for name, value in errors.items()
        if value == value
    }


def _scores(
    data: SlotData, forecast: Prediction, naive: tuple[str, Prediction], looks: int
) -> tuple[tuple[dict[str, Scalar], dict[str, str]], dict[str, np.ndarray]]:
    metric = data.section.metric
    losses_of = registry.load("metrics", metric).losses
    windows = data.test_windows
    truth = windows.truth()
    # The forecast reaches to the newest bar; only what has an outcome is judged.
    mean = forecast.grid(data.view.times, data.view.tickers)[windows.at, windows.item]
    mine = losses_of(truth, mean)
    bar = losses_of(truth, naive[1].mean)
    days, mine_a_day = panel_loss(mine, windows.at)
    _, naive_a_day = panel_loss(bar, windows.at)
    test = diebold_mariano(mine_a_day, naive_a_day, data.view.horizon)
    there = [pair for pair in enumerate(data.view.tickers) if (windows.item == pair[0]).any()]
    by_ticker = {
        f"loss:{ticker}": Scalar(float(mine[windows.item == n].mean()), metric, "min")
        for n, ticker in there
    } | {
        f"naive_loss:{ticker}": Scalar(float(bar[windows.item == n].mean()), metric, "min")
        for n, ticker in there
    }
    scalars = {
        "loss": Scalar(float(mine.mean()), metric, "min"),
        "naive_loss": Scalar(float(bar.mean()), metric, "min"),
        **_quoted(errors_of(data, windows, mean)),
        **_quoted(errors_of(data, windows, naive[1].mean), "naive_"),
        "dm_statistic": Scalar(test.statistic),
        "dm_p_value": Scalar(test.p_value, "probability"),
        "looks": Scalar(looks, "candidates"),
        "windows": Scalar(len(windows), "windows"),
        "days": Scalar(len(days), "bars"),
        **by_ticker,
    }
    notes = {
        "metric": metric,
        "naive_method": naive[0],
        "dm_reason": test.reason or "",
        "from": str(data.view.times[data.test_bars[0]]),
        "to": str(data.view.times[data.test_bars[-1]]),
    }
    arrays = {"loss": mine.astype(np.float32), "naive_loss": bar.astype(np.float32)}
    if data.view.members is not None:
        # Where tickers come and go, which window a loss belongs to cannot be counted out.
        arrays["index"] = index_of(windows)
    return (scalars, notes), arrays


def _trade(
    project: Project, data: SlotData, forecast: Prediction
) -> tuple[dict[str, Scalar], dict[str, np.ndarray]]:
    """Trade the forecasts every ``horizon`` bars, and the benchmarks with the same costs."""
    bars = slice(data.test_start, len(data.view))
    times = data.view.times[bars]
    grid = forecast.grid(times, data.view.tickers)
    every = np.arange(len(times)) % data.view.horizon == 0
    targets = registry.load("signals", data.section.signal).weights(grid)
    equal = registry.load("signals", "equal").weights(grid)
    bought = np.arange(len(times)) == int(np.isfinite(equal).any(axis=1).argmax())
    plans = {
        "candidate": np.where(every[:, None], targets, np.nan),
        "equal weight": np.where(every[:, None], equal, np.nan),
        "buy and hold": np.where(bought[:, None], equal, np.nan),
    }
    periods = periods_per_year(times)
    scalars: dict[str, Scalar] = {}
    curves: dict[str, np.ndarray] = {"times": times}
    for name, weights in plans.items():
        result = _simulate(project, data, bars, weights)
        curves[name] = result.equity / result.equity[0]
        for measure, value in summary(result, periods).items():
            scalars[f"{name}:{measure}"] = Scalar(value, *_MEASURES.get(measure, ("", "none")))
    return scalars, curves


def _simulate(project: Project, data: SlotData, bars: slice, weights: Floats) -> Backtest:
    return simulate(weights=weights, **trading_terms(project, data, bars))


_MEASURES = {
    "sharpe": ("a year", "max"),
    "sortino": ("a year", "max"),
    "cagr": ("a year", "max"),
    "volatility": ("a year", "min"),
    "max_drawdown": ("fraction", "max"),
    "max_drawdown_bars": ("bars", "min"),
    "calmar": ("a year", "max"),
    "hit_rate": ("fraction", "max"),
    "turnover": ("a year", "min"),
    "total_return": ("fraction", "max"),
    "win_rate": ("fraction", "max"),
    "tail_ratio": ("ratio", "max"),
    "exposure": ("of equity", "none"),
}


def _notes(project: Project, data: SlotData) -> dict[str, str]:
    settings = project.config.backtest
    more = "".join(
        f", {name} {value:g}"
        for name, value in _settings(settings).items()
        if name not in ALWAYS_SAID
    )
    return {
        "signal": data.section.signal,
        "execution": f"decided at the close, filled at the {settings.execution.replace('_', ' ')}, "
        f"every {data.view.horizon} bars",
        "costs": f"{settings.fee_bps:g} bps fee and {settings.slippage_bps:g} bps slippage on "
        f"traded value{more}",
    }


def _evidence(
    project: Project,
    data: SlotData,
    candidate: Candidate,
    kind: str,
    scalars: dict[str, Scalar],
    notes: dict[str, str],
    arrays: dict[str, np.ndarray],
    tx: sa.Connection,
) -> Evidence:
    return evidence_about(
        candidate,
        kind,
        STEP,
        dataset=data.dataset.fingerprint,
        split=digest(["test", *data.test_interval]),
        scalars=scalars,
        series={
            name: writes.put_array(project.ledger, tx, values) for name, values in arrays.items()
        },
        notes=notes,
    )

"""Judge a candidate on the sealed test: losses against the baseline, and its forecasts traded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from podium import __version__, artifact, plugin, registry
from podium.arrays import Floats, Mask
from podium.candidate import Candidate
from podium.errors import UsageError
from podium.evidence import Evidence, Scalar
from podium.gates._base import WITH_TEST
from podium.index import Index
from podium.ledger import looks
from podium.ledger.ledger import Transaction
from podium.prediction import Prediction
from podium.record import finite_or_none
from podium.render.answer import Answer, against
from podium.render.table import p_clause
from podium.sections import BacktestSection, SlotSection
from podium.split import Windows
from podium.stats import block_bootstrap_mean
from podium.steps.candidates.final_model import FinalModel
from podium.steps.candidates.register import JudgedModel
from podium.steps.candidates.select_model import found_model, named_model, slot_of
from podium.steps.data.bars import require_task
from podium.steps.data.tickers import ends_early
from podium.steps.decisions import backtest_files, refit
from podium.steps.evidence import intervals
from podium.steps.evidence.comparison import compare_forecasts
from podium.steps.evidence.evidence import evidence_of_test
from podium.steps.evidence.improvement import improvement_over_parent
from podium.steps.evidence.trading import BENCHMARKS as BENCHMARKS
from podium.steps.evidence.trading import CANDIDATE, NAIVE, trade
from podium.steps.trials import baselines
from podium.steps.trials.baselines import Configured
from podium.steps.trials.once import evidence_once
from podium.steps.workspace import recorded
from podium.steps.workspace.project import Project
from podium.tasks.forecast import SlotData, plugin_versions, view_of

STEP = "backtest"
AGAINST = "against_champion"
# The schedule of refits is no term of trading.
REFIT = ("refit_every", "refit_window")
# Settings that the note of the costs omits, or names in any case.
UNNAMED = (*REFIT, "fee_bps", "slippage_bps", "execution")
# Figures of a backtest's table, with the factor of their unit.
ERRORS = {
    "mae": "MAE",
    "pct_mae": "MAE, %",
    "r2": "R2",
    "mase": "MASE",
    "crps": "CRPS",
    "coverage_80": "inside the 80 % interval",
    "coverage_90": "inside the 90 % interval",
}
TRADING = {
    "cagr": ("return a year, %", 100),
    "volatility": ("volatility a year, %", 100),
    "sharpe": ("Sharpe ratio", 1),
    "max_drawdown": ("max drawdown, %", 100),
    "hit_rate": ("hit rate, %", 100),
    "turnover": ("turnover a year", 1),
    "exposure": ("exposure, %", 100),
}


@dataclass(frozen=True, eq=False)
class BacktestResult(Answer):
    """A candidate with its evidence from the sealed test: the result of ``backtest``.

    Parameters
    ----------
    candidate : Candidate
    evidence : mapping of kind to Evidence
        ``validation``, ``test``, ``backtest``, and ``against_champion`` and ``refit`` where there
        are any.
    rule : str
        Rule that chose the candidate.
    champion : mapping of kind to Evidence
        Evidence of the slot's champion; empty where it has none on the same bars and terms.
    """

    candidate: Candidate
    evidence: dict[str, Evidence]
    rule: str
    champion: Mapping[str, Evidence] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        """The candidate's loss on the sealed test against that of the baseline."""
        test = self.evidence["test"]
        look = int(test.scalar("looks"))
        score = against(
            test.scalar("loss"),
            test.scalar("naive_loss"),
            test.notes["naive_method"],
            lower_is_better=True,
            p=f"{p_clause(finite_or_none(test.scalar('dm_p_value')))}, look {look}",
        )
        return f"{self.candidate.title} on the sealed test: {test.notes['metric']} {score}"

    def rows(self) -> list[dict[str, Any]]:
        """Errors and trading figures: a row a figure, a column a portfolio."""
        test, trading = self.evidence["test"], self.evidence[STEP]
        columns = {
            CANDIDATE: {**_errors(test), **_trading_figures(trading, CANDIDATE)},
            "baseline": {**_errors(test, "naive_"), **_trading_figures(trading, NAIVE)},
        }
        if self.champion:
            theirs = _trading_figures(self.champion[STEP], CANDIDATE)
            columns["champion"] = {**_errors(self.champion["test"]), **theirs}
        renewed = self.evidence.get(refit.KIND)
        if renewed is not None and refit.fits(renewed, trading):
            loss = {renewed.notes["metric"]: renewed.scalar("loss")}
            columns[refit.KIND] = {**loss, **_trading_figures(renewed, refit.KIND)}
        columns |= {name: _trading_figures(trading, name) for name in BENCHMARKS}
        return [
            {"figure": name, **{who: finite_or_none(of.get(name)) for who, of in columns.items()}}
            for name in columns[CANDIDATE]
        ]


def _errors(test: Evidence, prefix: str = "") -> dict[str, float]:
    metric = test.notes["metric"]
    errors = {
        label: test.scalars[prefix + key].value
        for key, label in ERRORS.items()
        if prefix + key in test.scalars and key != metric
    }
    return {metric: test.scalar(f"{prefix}loss"), **errors}


def _trading_figures(trading: Evidence, portfolio: str) -> dict[str, float]:
    values = trading.part(portfolio)
    units = TRADING.items()
    return {label: factor * values[key] for key, (label, factor) in units if key in values}


def backtest(
    project: Project,
    slot: str | None = None,
    *,
    model_path: Path | str | None = None,
    checkpoint: str | None = None,
) -> BacktestResult:
    """Judge a candidate on its slot's sealed test, once; later calls read the record.

    Every candidate that is judged on the same bars counts as a look at them. Without `model_path`
    the model is the one in ``final_model/``, else the best of ``extended_training_results/``, else
    of ``hyperparameter_tuning_results/checkpoints/``, else the active model of the slot's grids; it
    becomes a candidate if it is none yet. Only refits (``backtest.refit_every``) are trained.

    Parameters
    ----------
    slot : str, optional
        Default: the slot of the model, else the default slot.
    model_path : path, optional
        Any path into the folder of a model of this project, or of a copy of it.
    checkpoint : {"best", "final"}, optional
        Checkpoint of the model. Default: the one that is served.

    Returns
    -------
    BacktestResult

    Raises
    ------
    NotFoundError
        The slot has no model.
    DataError
        The model belongs to other data or another task, has changed, or was trained on bars of
        the test; a ticker that it was trained on is missing.
    UsageError
        ``refit_window`` without ``refit_every``.

    Examples
    --------
    >>> import podium
    >>> with podium.open("demo") as project:  # doctest: +SKIP
    ...     project.slot("us4/D/return").backtest(fee_bps=2.0).frame()
    """
    if project.overrides("backtest.refit_window") and not project.config.backtest.refit_every:
        raise UsageError("refit_window is set without refit_every", "both, or neither")
    if slot is None and model_path is not None:
        slot = slot_of(Path(model_path))
    name = project.default_slot(slot)
    with project.locked(name, "backtest"):
        if model_path is not None:
            entry = named_model(project, Path(model_path), name, checkpoint)
            return _judged(project, entry, f"model {model_path}, named explicitly")
        require_task(project.config, name)
        entry, rule = found_model(project, name, checkpoint)
        made = entry.candidate
        which = f"candidate {made.id} (version {made.version})"
        project.reporter.say(f"{name}: judging {which}: {rule}")
        return _judged(project, entry, rule)


def judged(project: Project, final: FinalModel) -> BacktestResult:
    """Judge a finalized candidate, also against the slot's champion."""
    return _judged(project, entry_of(final), f"candidate of the search of {final.candidate.slot}")


def entry_of(final: FinalModel) -> JudgedModel:
    """A finalized candidate with its data and its reference."""
    analysis = final.analysis
    return JudgedModel(analysis.extension.tuned.forecast, analysis.reference, final.candidate)


def _judged(project: Project, entry: JudgedModel, rule: str) -> BacktestResult:
    if entry.realigned:
        project.reporter.say(entry.realigned)
    judge(project, entry)
    against_champion(project, entry)
    data = entry.data
    improvement_over_parent(project, entry.candidate, data.test_windows.at, data.section.horizon)
    if project.config.backtest.refit_every:
        refit.refit(project, entry)
    return result(project, entry, rule)


def result(project: Project, entry: JudgedModel, rule: str) -> BacktestResult:
    """Result of a judged candidate from the record; its files are written."""
    evidence = recorded.evidence(project, entry.candidate.id)
    backtest_files.write(project, entry, evidence, rule)
    rival = recorded.rival(project, entry.candidate)
    theirs = recorded.evidence(project, rival.id) if rival else {}
    mine, other = evidence[STEP], theirs.get(STEP)
    alike = other is not None and refit.fits(other, mine) and other.notes == mine.notes
    return BacktestResult(entry.candidate, evidence, rule, theirs if alike else {})


def judge(project: Project, entry: JudgedModel) -> bool:
    """Put the evidence of the test and of its trades on record once.

    Returns
    -------
    bool
        Whether the evidence is new.
    """
    settings = project.config.backtest
    inputs = judge_inputs(entry.data, settings, entry.candidate, entry.reference)
    return evidence_once(project, entry.candidate, STEP, inputs, lambda: _judge(project, entry))


def judge_inputs(
    data: SlotData,
    settings: BacktestSection,
    candidate: Candidate | None,
    reference: Configured | None,
) -> dict[str, Any]:
    """Inputs of the test and its trades by name; None where a value is not known yet.

    Looks at the test are no input: they are counted when the evidence is made.
    """
    return {
        "candidate": candidate and candidate.artifact_hash,
        "reference": reference and baselines.to_dict(reference),
        "data": data.dataset.fingerprint,
        "test": [*data.test_interval],
        "signal": registry.versioned("signals", data.section.signal),
        **{f"backtest.{k}": v for k, v in vars(settings).items() if k not in REFIT},
        **_plugins(data.section),
    }


def _judge(project: Project, entry: JudgedModel) -> Callable[[Transaction], list[Evidence]]:
    data, reference, candidate = entry.data, entry.reference, entry.candidate
    project.reporter.progress(f"{data.slot}: backtest", 0, 1)
    decisions, served = _decisions(data), recorded.forecaster(project, candidate)
    forecast = served.predict(decisions)
    model = baselines.fit(reference, baselines.labelled(data.tuning))
    theirs = model.predict(decisions.blind())
    traded = trade(project, data, forecast, theirs)
    fraction = project.config.finalize.validation_fraction
    rival = intervals.calibration_of(reference, data, fraction)
    scores = {
        **intervals.scalars(data, decisions, forecast, served.calibration),
        **{f"naive_{k}": v for k, v in intervals.scalars(data, decisions, theirs, rival).items()},
    }
    early = ends_early(project, data)
    if early:
        project.reporter.say(early)
    notes = {**_notes(project, data), **({"tickers": early} if early else {})}
    curves = {**traded.curves(), **traded.fills()}
    project.reporter.progress(f"{data.slot}: backtest", 1, 1)

    def write(tx: Transaction) -> list[Evidence]:
        look = looks.count_look(
            tx, data.dataset.name, data.test_interval, candidate, data.test_marks
        )
        tested = _tested(
            data,
            forecast,
            reference,
            theirs,
            look,
            scores,
            itself=baselines.same(candidate, reference),
        )
        return [
            evidence_of_test(project, tx, data, candidate, kind, *parts)
            for kind, parts in (("test", tested), (STEP, (traded.scalars(), notes, curves)))
        ]

    return write


def _decisions(data: SlotData) -> Windows:
    """Every decision from the test's first bar to the newest, with or without an outcome."""
    return Windows.of(data.view, np.arange(data.test_start, len(data.view), dtype=np.int64))


def against_inputs(
    data: SlotData, candidate: Candidate | None, rival: Candidate | None
) -> dict[str, Any]:
    """Inputs of the comparison with the champion by name."""
    return {
        "candidate": candidate and candidate.artifact_hash,
        "champion": rival.artifact_hash if rival else "none",
        "podium": __version__,
        "data": data.dataset.fingerprint,
        "test": [*data.test_interval],
        **_plugins(data.section),
    }


def against_champion(project: Project, entry: JudgedModel) -> bool:
    """Put the comparison with the champion on the windows of the test on record.

    Nothing is recorded without a champion, or where its target, horizon, metric or tickers differ.

    Returns
    -------
    bool
        Whether the comparison is new.
    """
    rival = recorded.rival(project, entry.candidate)
    if rival is None:
        return False
    inputs = against_inputs(entry.data, entry.candidate, rival)
    make = partial(_against, project, entry, rival)
    return evidence_once(project, entry.candidate, AGAINST, inputs, make)


def _against(
    project: Project, entry: JudgedModel, rival: Candidate
) -> Callable[[Transaction], list[Evidence]]:
    data, candidate, champion = entry.data, entry.candidate, rival

    if champion.model_type == WITH_TEST and champion.parent_id:
        # It was trained on these windows, so its parent, which was judged on them, is compared.
        champion = recorded.candidate(project, champion.parent_id)
        if champion.id == candidate.id:
            return lambda tx: []
    try:
        models = [recorded.forecaster(project, one) for one in (candidate, champion)]
    except artifact.OtherVersionError as error:
        # The gate is undecidable then; the candidate itself is judged.
        project.reporter.say(f"not compared with the champion {rival.id}: {error}")
        return lambda tx: []
    tasks = [(m.section.target, m.section.horizon, m.section.metric) for m in models]
    if tasks[0] != tasks[1] or set(models[1].tickers) != set(data.dataset.tickers):
        return lambda tx: []
    metric, windows = data.section.metric, data.test_windows
    bars = data.dataset.slice(0, len(data.view))
    forecasts = []
    for model in models:
        view = view_of(bars.select(model.tickers), model.section)
        # By name, in the order of the candidate's tickers.
        forecasts.append(model.predict(Windows.of(view, data.test_bars)).on(windows))
    # A model with a longer window has no forecast yet of a ticker that was just listed.
    shared: Mask = np.ones(len(windows), dtype=bool)
    if data.view.members is not None:
        shared = np.asarray(np.isfinite(forecasts).all(axis=0))
    pair = compare_forecasts(
        metric, windows.take(shared), *(forecast[shared] for forecast in forecasts)
    )
    scalars = pair.scalars("champion")
    spread = block_bootstrap_mean(pair.daily - pair.other_daily, horizon=data.section.horizon)
    if spread.reason is None:
        scalars["loss_difference_low"] = Scalar(spread.low, metric)
        scalars["loss_difference_high"] = Scalar(spread.high, metric)
    notes = {"metric": pair.metric, "champion": rival.id, "dm_reason": pair.test.reason or ""}
    return lambda tx: [evidence_of_test(project, tx, data, candidate, AGAINST, scalars, notes)]


def _plugins(section: SlotSection) -> dict[str, str]:
    """Versions of the plugins of features, target and metric, as inputs of a receipt."""
    versions = {**plugin_versions(section), **plugin.versions([("metrics", section.metric)])}
    return {f"plugin {name}": version for name, version in versions.items()}


def _error_scalars(errors: dict[str, float], prefix: str = "") -> dict[str, Scalar]:
    """Scalars of the errors that are known."""
    return {
        f"{prefix}{name}": Scalar(value, "", "max" if name == "r2" else "min")
        for name, value in errors.items()
        if value == value
    }


def _score_scalars(
    data: SlotData, windows: Windows, forecasts: Mapping[str, Floats]
) -> dict[str, Scalar]:
    """Scalars of the slot's metric by prefix, if it is a score without losses."""
    if not data.loss:
        return {}
    metric, way = data.section.metric, data.direction
    score = registry.load("metrics", metric).score
    return {
        f"{prefix}{metric}": Scalar(float(score(windows.truth(), values)), "", way)
        for prefix, values in forecasts.items()
    }


def _tested(
    data: SlotData,
    forecast: Prediction,
    reference: Configured,
    theirs: Prediction,
    look: int,
    scores: Mapping[str, Scalar],
    *,
    itself: bool,
) -> tuple[dict[str, Scalar], dict[str, str], dict[str, np.ndarray]]:
    """Scalars, notes and arrays of the evidence from the test."""
    metric, windows, view = data.section.metric, data.test_windows, data.view
    # The forecast reaches to the newest bar; only windows with an outcome are judged.
    mean, naive_mean = forecast.on(windows), theirs.on(windows)
    pair = compare_forecasts(metric, windows, mean, naive_mean)
    losses = {"loss": pair.losses, "naive_loss": pair.other_losses}
    by_ticker = {
        f"{name}:{ticker}": Scalar(float(each[windows.item == n].mean()), pair.metric, "min")
        for name, each in losses.items()
        for n, ticker in enumerate(view.tickers)
        if (windows.item == n).any()
    }
    scalars = {
        **pair.scalars("naive"),
        "dm_p_value_one_sided": Scalar(pair.test.one_sided, "probability"),
        **_error_scalars(data.errors_of(windows, mean)),
        **_error_scalars(data.errors_of(windows, naive_mean), "naive_"),
        **_score_scalars(data, windows, {"": mean, "naive_": naive_mean}),
        "looks": Scalar(look, "candidates"),
        "windows": Scalar(len(windows), "windows"),
        "days": Scalar(pair.bars, "bars"),
        **by_ticker,
        **scores,
    }
    notes = {
        "metric": pair.metric,
        **baselines.notes(reference),
        "dm_reason": pair.test.reason or "",
        **({"itself": "yes"} if itself else {}),
        "from": str(view.times[data.test_bars[0]]),
        "to": str(view.times[data.test_bars[-1]]),
    }
    arrays: dict[str, np.ndarray] = {name: each.astype(np.float32) for name, each in losses.items()}
    if view.members is not None:
        # Where tickers come and go, the window of a loss does not follow from its position.
        arrays["index"] = Index.of(windows).pack()
    return scalars, notes, arrays


def _notes(project: Project, data: SlotData) -> dict[str, str]:
    settings = project.config.backtest
    terms = {
        part.name: getattr(settings, part.name)
        for part in fields(settings)
        if part.name not in UNNAMED and getattr(settings, part.name) != part.default
    }
    more = "".join(f", {name} {value:g}" for name, value in terms.items())
    return {
        "signal": data.section.signal,
        "execution": f"decided at the close, filled at the {settings.execution.replace('_', ' ')}, "
        f"every {data.view.horizon} bars",
        "costs": f"{settings.fee_bps:g} bps fee and {settings.slippage_bps:g} bps slippage on "
        f"traded value{more}",
    }

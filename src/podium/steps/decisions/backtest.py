"""Judge a candidate on the sealed test: losses against naive, and its forecasts traded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from podium import __version__, artifact, plugin, registry
from podium.arrays import Mask
from podium.candidate import Candidate
from podium.errors import UsageError
from podium.evidence import Evidence, Scalar
from podium.families._base import Model
from podium.gates._base import WITH_TEST
from podium.index import Index
from podium.ledger import writes
from podium.ledger.ledger import Transaction
from podium.prediction import Prediction
from podium.sections import BacktestSection, SlotSection
from podium.split import Windows
from podium.stats import block_bootstrap_mean
from podium.steps.candidates.final_model import FinalModel
from podium.steps.candidates.register import KeptModel
from podium.steps.candidates.select_model import found_model, named_model, slot_of
from podium.steps.data.bars import require_task
from podium.steps.data.tickers import ends_early
from podium.steps.decisions import backtest_files, refit
from podium.steps.decisions.rival import rival_of
from podium.steps.evidence.comparison import compare_forecasts
from podium.steps.evidence.evidence import evidence_of_test
from podium.steps.evidence.improvement import improvement_over_parent
from podium.steps.evidence.trading import BENCHMARKS as BENCHMARKS
from podium.steps.evidence.trading import trade
from podium.steps.trials import baselines
from podium.steps.trials.baselines import Configured
from podium.steps.trials.once import evidence_once
from podium.steps.workspace import recorded
from podium.steps.workspace.project import Project
from podium.tasks.forecast import SlotData, plugin_versions, view_of

STEP = "backtest"
AGAINST = "against_champion"
ALWAYS_SAID = ("fee_bps", "slippage_bps", "execution")
# How often the model is trained again is no term of trading.
REFIT = ("refit_every", "refit_window")


@dataclass(frozen=True, eq=False)
class BacktestResult:
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
    project: Project,
    slot: str | None = None,
    *,
    model_path: Path | str | None = None,
    checkpoint: str | None = None,
) -> BacktestResult:
    """Judge a candidate on its slot's sealed test, once; asked again, the record answers.

    Every candidate that is judged on an interval counts as a look at it. A named model wins; else
    it is what the verbs before left: ``final_model/``, then the best of
    ``extended_training_results/``, then of ``hyperparameter_tuning_results/checkpoints/``, then the
    active model of the slot's grids. What was no candidate yet becomes one by that. Nothing is
    trained.

    Parameters
    ----------
    slot : str, optional
        Default: the model's, else the default one.
    model_path : path, optional
        A model of this project: any path into its folder, wherever a copy of it lies.
    checkpoint : {"best", "final"}, optional
        Which of the model's checkpoints; default: the one that is served.

    Raises
    ------
    NotFoundError
        There is nothing to judge.
    DataError
        The model answers another question than the slot asks, was changed, or has seen bars of
        the test; a ticker it was trained on is missing.
    """
    if project.overrides("backtest.refit_window") and not project.config.backtest.refit_every:
        raise UsageError("a window (refit_window) is set without refit_every", "both, or neither")
    if slot is None and model_path is not None:
        slot = slot_of(Path(model_path))
    name = project.default_slot(slot)
    with project.locked(name, "backtest"):
        if model_path is not None:
            kept = named_model(project, Path(model_path), name, checkpoint)
            return _judged(project, kept, f"model {model_path}, named explicitly")
        require_task(project.config, name)
        kept, rule = found_model(project, name, checkpoint)
        project.reporter.say(
            f"{name}: candidate {kept.candidate.id} (version {kept.candidate.version}) is judged; "
            f"{rule}"
        )
        return _judged(project, kept, rule)


def judged(project: Project, final: FinalModel) -> BacktestResult:
    """Judge a finalized candidate, and hold it against the slot's champion if that is another."""
    return _judged(project, kept_of(final), f"candidate of the search of {final.candidate.slot}")


def kept_of(final: FinalModel) -> KeptModel:
    """A finalized candidate with what it is judged on and held against."""
    analysis = final.analysis
    return KeptModel(analysis.extension.tuned.forecast, analysis.reference, final.candidate)


def _judged(project: Project, kept: KeptModel, rule: str) -> BacktestResult:
    if kept.realigned:
        project.reporter.say(kept.realigned)
    judge(project, kept)
    against_champion(project, kept)
    improvement_over_parent(project, kept.candidate, kept.data.test_windows.at)
    if project.config.backtest.refit_every:
        refit.refit(project, kept)
    return result(project, kept, rule)


def result(project: Project, kept: KeptModel, rule: str) -> BacktestResult:
    """What is on record of a judged candidate, with its files written."""
    evidence = recorded.evidence(project, kept.candidate.id)
    backtest_files.write(project, kept, evidence, rule)
    return BacktestResult(kept.candidate, evidence, rule)


def judge(project: Project, kept: KeptModel) -> bool:
    """Put the evidence of the test and of its trades on record, unless it is there.

    Returns
    -------
    bool
        Whether something was put on record.
    """
    settings = project.config.backtest
    inputs = judge_inputs(kept.data, settings, kept.candidate, kept.reference)
    return evidence_once(project, kept.candidate, STEP, inputs, lambda: _judge(project, kept))


def judge_inputs(
    data: SlotData,
    settings: BacktestSection,
    candidate: Candidate | None,
    reference: Configured | None,
) -> dict[str, Any]:
    """Everything that test and trades depend on, by name; None where it is not known yet.

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


def _judge(project: Project, kept: KeptModel) -> Callable[[Transaction], list[Evidence]]:
    data, reference, candidate = kept.data, kept.reference, kept.candidate
    ledger = project.ledger
    project.reporter.progress(f"{data.slot}: backtest", 0, 1)
    forecast = _forecast(project, kept)
    model = baselines.fit(reference, baselines.labelled(data.tuning))
    traded = trade(project, data, forecast, model.predict(_decisions(data).blind()))
    early = ends_early(project, data)
    if early:
        project.reporter.say(early)
    notes = {**_notes(project, data), **({"tickers": early} if early else {})}
    curves = {**traded.curves(), **traded.fills()}
    project.reporter.progress(f"{data.slot}: backtest", 1, 1)

    def write(tx: Transaction) -> list[Evidence]:
        looks = writes.count_look(ledger, tx, data.dataset.name, data.test_interval, candidate.id)
        tested = _tested(data, forecast, reference, model, looks)
        return [
            evidence_of_test(project, tx, data, candidate, kind, *parts)
            for kind, parts in (("test", tested), (STEP, (traded.scalars(), notes, curves)))
        ]

    return write


def _decisions(data: SlotData) -> Windows:
    """Every decision from the test's first bar to the newest, also those without an outcome."""
    return Windows.of(data.view, np.arange(data.test_start, len(data.view), dtype=np.int64))


def _forecast(project: Project, kept: KeptModel) -> Prediction:
    return recorded.forecaster(project, kept.candidate).predict(_decisions(kept.data))


def against_inputs(
    data: SlotData, candidate: Candidate | None, rival: Candidate | None
) -> dict[str, Any]:
    """Everything that the comparison with the champion depends on, by name."""
    return {
        "candidate": candidate and candidate.artifact_hash,
        "champion": rival.artifact_hash if rival else "none",
        "podium": __version__,
        "data": data.dataset.fingerprint,
        "test": [*data.test_interval],
        **_plugins(data.section),
    }


def against_champion(project: Project, kept: KeptModel) -> bool:
    """Put the comparison with the champion on record, on the very windows of the test.

    Without a champion, or where it answers another question, nothing is put on record.

    Returns
    -------
    bool
        Whether the two were compared just now.
    """
    rival = rival_of(project, kept.candidate)
    if rival is None:
        return False
    inputs = against_inputs(kept.data, kept.candidate, rival)
    return evidence_once(
        project, kept.candidate, AGAINST, inputs, lambda: _against(project, kept, rival)
    )


def _against(
    project: Project, kept: KeptModel, holder: Candidate
) -> Callable[[Transaction], list[Evidence]]:
    data, candidate, champion = kept.data, kept.candidate, holder

    def nothing(tx: Transaction) -> list[Evidence]:
        del tx
        return []

    if champion.model_type == WITH_TEST and champion.parent_id:
        # It has seen these windows; the one that was judged on them stands for it.
        champion = recorded.candidate(project, champion.parent_id)
        if champion.id == candidate.id:
            return nothing
    try:
        models = [recorded.forecaster(project, one) for one in (candidate, champion)]
    except artifact.OtherVersionError as error:
        # The gate will say that it cannot decide; the newcomer itself was judged.
        project.reporter.say(f"not compared with the champion {holder.id}: {error}")
        return nothing
    asked = [(m.section.target, m.section.horizon, m.section.metric) for m in models]
    if asked[0] != asked[1] or set(models[1].tickers) != set(data.dataset.tickers):
        return nothing
    metric, windows = data.section.metric, data.test_windows
    bars = data.dataset.slice(0, len(data.view))
    forecasts = []
    for model in models:
        view = view_of(bars.select(model.tickers), model.section)
        # By name, in the order of the candidate's tickers: nothing is read by position.
        forecasts.append(model.predict(Windows.of(view, data.test_bars)).on(windows))
    # A model with a longer window has no forecast yet of a ticker that was just listed.
    there: Mask = np.ones(len(windows), dtype=bool)
    if data.view.members is not None:
        there = np.asarray(np.isfinite(forecasts).all(axis=0))
    pair = compare_forecasts(
        metric, windows.take(there), *(forecast[there] for forecast in forecasts)
    )
    scalars = pair.scalars("champion")
    spread = block_bootstrap_mean(pair.daily - pair.other_daily)
    if spread.reason is None:
        scalars["loss_difference_low"] = Scalar(spread.low, metric)
        scalars["loss_difference_high"] = Scalar(spread.high, metric)
    notes = {"metric": metric, "champion": holder.id, "dm_reason": pair.test.reason or ""}
    return lambda tx: [evidence_of_test(project, tx, data, candidate, AGAINST, scalars, notes)]


def _settings(section: BacktestSection) -> dict[str, Any]:
    """Terms of trading that say something."""
    said = asdict(section)
    return {
        part.name: said[part.name]
        for part in fields(section)
        if part.name not in REFIT and (part.name in ALWAYS_SAID or said[part.name] != part.default)
    }


def _plugins(section: SlotSection) -> dict[str, str]:
    """Versions of the plugins that make inputs, truth and losses, as inputs of a receipt."""
    found = {**plugin_versions(section), **plugin.versions([("metrics", section.metric)])}
    return {f"plugin {name}": version for name, version in found.items()}


def _quoted(errors: dict[str, float], prefix: str = "") -> dict[str, Scalar]:
    """Errors as people quote them, where they are known."""
    return {
        f"{prefix}{name}": Scalar(value, "", "max" if name == "r2" else "min")
        for name, value in errors.items()
        if value == value
    }


def _tested(
    data: SlotData, forecast: Prediction, reference: Configured, model: Model, looks: int
) -> tuple[dict[str, Scalar], dict[str, str], dict[str, np.ndarray]]:
    """Scalars, notes and arrays of the evidence from the test."""
    metric, windows, view = data.section.metric, data.test_windows, data.view
    # The forecast reaches to the newest bar; only what has an outcome is judged.
    mean, naive_mean = forecast.on(windows), model.predict(windows.blind()).mean
    pair = compare_forecasts(metric, windows, mean, naive_mean)
    losses = {"loss": pair.losses, "naive_loss": pair.other_losses}
    by_ticker = {
        f"{name}:{ticker}": Scalar(float(each[windows.item == n].mean()), metric, "min")
        for name, each in losses.items()
        for n, ticker in enumerate(view.tickers)
        if (windows.item == n).any()
    }
    scalars = {
        **pair.scalars("naive"),
        **_quoted(data.errors_of(windows, mean)),
        **_quoted(data.errors_of(windows, naive_mean), "naive_"),
        "looks": Scalar(looks, "candidates"),
        "windows": Scalar(len(windows), "windows"),
        "days": Scalar(pair.bars, "bars"),
        **by_ticker,
    }
    notes = {
        "metric": metric,
        **baselines.notes(reference),
        "dm_reason": pair.test.reason or "",
        "from": str(view.times[data.test_bars[0]]),
        "to": str(view.times[data.test_bars[-1]]),
    }
    arrays: dict[str, np.ndarray] = {name: each.astype(np.float32) for name, each in losses.items()}
    if view.members is not None:
        # Where tickers come and go, which window a loss belongs to cannot be counted out.
        arrays["index"] = Index.of(windows).pack()
    return scalars, notes, arrays


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

"""What a choice among configs is worth: arrays in, numbers and evidence out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from podium.arrays import Floats
from podium.evidence import Scalar
from podium.stats import (
    BootstrapInterval,
    DieboldMariano,
    block_bootstrap_mean,
    deflated_sharpe,
    diebold_mariano,
    expected_max_sharpe,
    holm,
    model_confidence_set,
    probability_of_backtest_overfitting,
    sharpe_ratios,
)

# Blocks of CSCV: 16 where there are bars for it, else as many as have this many bars each.
BLOCKS, BARS_A_BLOCK = 16, 4


@dataclass(frozen=True, eq=False)
class Ranking:
    """Configs and the best naive one over the same periods, in the order they were given.

    Parameters
    ----------
    losses : (T, M + 1) float
        Loss per period; naive's is the last column.
    against_naive : list of DieboldMariano
        Each config against naive, without the naive one.
    corrected : (M,) float
        Their p-values after Holm's correction for looking at M of them.
    included : (M + 1,) bool
        Who cannot be told from the best; everybody where that is undecidable. Naive is the last.
    p_values : (M + 1,) float
        Largest level at which each would still be included; NaN where that is undecidable.
    reason : str
        Why the confidence set is undecidable.
    """

    losses: Floats
    against_naive: Sequence[DieboldMariano]
    corrected: Floats
    included: Sequence[bool]
    p_values: Floats
    reason: str

    def intervals(self) -> list[BootstrapInterval]:
        """Block bootstrap interval of each mean loss; the naive one's is the last."""
        return [block_bootstrap_mean(column) for column in self.losses.T]

    def scalars(self, chosen: int) -> dict[str, Scalar]:
        """What evidence says of one of the configs."""
        told = self.reason == ""
        return {
            "dm_p_value_corrected": Scalar(float(self.corrected[chosen]), "probability"),
            "in_confidence_set": Scalar(float(self.included[chosen]) if told else math.nan),
            "confidence_set_p_value": Scalar(float(self.p_values[chosen]), "probability", "max"),
            "confidence_set_size": Scalar(float(sum(self.included)), "configs, naive counted"),
            "confidence_set_of": Scalar(float(len(self.included)), "configs, naive counted"),
            "naive_in_confidence_set": Scalar(float(self.included[-1]) if told else math.nan),
        }

    def notes(self) -> dict[str, str]:
        """What evidence says of it that is no number."""
        return {"confidence_set_reason": self.reason}


def ranking(losses: Floats, naive: Floats, horizon: int) -> Ranking:
    """Rank configs beside naive.

    Parameters
    ----------
    losses : (T, M) float
        Loss per period and config.
    naive : (T,) float
        Of the best naive config in the same periods.
    horizon : int
        Steps ahead, for Diebold-Mariano.
    """
    every = np.column_stack([losses, naive])
    tests = [diebold_mariano(column, naive, horizon) for column in losses.T]
    corrected = holm([test.p_value for test in tests])
    best = model_confidence_set(every)
    included = [bool(one) for one in best.included]
    return Ranking(every, tests, corrected, included, best.p_values, best.reason or "")


@dataclass(frozen=True)
class SelectionBias:
    """How much of a choice among many configs is luck.

    Parameters
    ----------
    basis : {"returns", "losses"}
        What it was reckoned from: the forecasts traded by the slot's signal, or, where no
        forecasts were kept, what each config loses less than naive.
    n_trials : int
        Distinct configs ever looked at; some of them may have left nothing to reckon with.
    judged, bars : int
        Configs and bars it was reckoned from.
    sharpe, trial_sharpe_std, luck_sharpe : float
        Sharpe ratio a bar of the chosen config, the spread of all configs' ones, and what the best
        of `n_trials` without skill is expected to reach. NaN without returns.
    deflated_sharpe : float
        Probability that the chosen config's true Sharpe ratio is above `luck_sharpe`.
    pbo, probability_of_loss : float
        From CSCV; a loss is a negative mean return, or losing more than naive.
    told_apart : float
        Configs that can be told from the best of all that were judged; NaN if undecidable.
    sharpe_reason, reason : str
        Why the first half, or the second half of these figures is NaN.
    """

    basis: Literal["returns", "losses"]
    n_trials: int
    judged: int = 0
    bars: int = 0
    sharpe: float = math.nan
    trial_sharpe_std: float = math.nan
    luck_sharpe: float = math.nan
    deflated_sharpe: float = math.nan
    pbo: float = math.nan
    probability_of_loss: float = math.nan
    told_apart: float = math.nan
    sharpe_reason: str = ""
    reason: str = ""

    def scalars(self) -> dict[str, Scalar]:
        """What evidence says of it."""
        return {
            "n_trials": Scalar(self.n_trials, "configs"),
            "configs_judged": Scalar(self.judged, "configs"),
            "bars_judged": Scalar(self.bars, "bars"),
            "sharpe": Scalar(self.sharpe, "a bar", "max"),
            "trial_sharpe_std": Scalar(self.trial_sharpe_std, "a bar"),
            "luck_sharpe": Scalar(self.luck_sharpe, "a bar"),
            "deflated_sharpe": Scalar(self.deflated_sharpe, "probability", "max"),
            "pbo": Scalar(self.pbo, "probability", "min"),
            "probability_of_loss": Scalar(self.probability_of_loss, "probability", "min"),
            "configs_told_apart": Scalar(self.told_apart, "configs"),
        }

    def notes(self) -> dict[str, str]:
        """What evidence says of it that is no number."""
        return {
            "luck_basis": self.basis,
            "deflated_sharpe_reason": self.sharpe_reason,
            "overfitting_reason": self.reason,
        }


def bias_of_returns(
    returns: Floats, chosen: int, n_trials: int, given_up: int = 0
) -> SelectionBias:
    """Judge a choice by what the configs' forecasts would have earned.

    Parameters
    ----------
    returns : (T, N) float
        Return per bar and config, after costs; every config whose forecasts were kept.
    chosen : int
        Column of the config that was chosen.
    n_trials : int
        Distinct configs ever looked at, N at least.
    given_up : int
        How many of them a schedule dropped, so that their returns are unknown. Those that are left
        are the better ones and alike, and their spread says too little of what luck can do: where
        there are any, it is taken to be that of strategies without skill that have nothing in
        common, one over the root of T, at least.

    Examples
    --------
    >>> noise = 0.01 * np.random.default_rng(0).standard_normal((1000, 50))
    >>> found = luck_of_returns(noise, int(noise.mean(axis=0).argmax()), 50)
    >>> found.deflated_sharpe < 0.95, found.probability_of_loss > 0.1
    (True, True)
    """
    sharpes = sharpe_ratios(returns)
    mine = float(sharpes[chosen])
    varied = sharpes[np.isfinite(sharpes)]
    # A config that never trades took no part in the search for a lucky one.
    spread = float(varied.std(ddof=1)) if varied.size > 1 else math.nan
    if n_trials == 1:
        spread = 0.0
    elif given_up:
        spread = float(np.nanmax([spread, 1.0 / math.sqrt(len(returns))]))
    reason = ""
    if math.isnan(mine):
        reason = "its forecasts never lead to a return that varies"
    elif math.isnan(spread):
        reason = f"{n_trials} configs were looked at, and the returns of {varied.size} are known"
    bar = math.nan if math.isnan(spread) else expected_max_sharpe(n_trials, spread)
    deflated = math.nan
    if not reason:
        deflated = deflated_sharpe(returns[:, chosen], n_trials=n_trials, trial_sharpe_std=spread)
        reason = "" if math.isfinite(deflated) else f"{len(returns)} bars are too few"
    return replace(
        _of_choosing("returns", returns, n_trials),
        sharpe=mine,
        trial_sharpe_std=spread,
        luck_sharpe=bar,
        deflated_sharpe=deflated,
        sharpe_reason=reason,
    )


def bias_of_losses(gains: Floats, n_trials: int) -> SelectionBias:
    """Judge a choice by losses, where there are no forecasts to trade.

    Parameters
    ----------
    gains : (T, N) float
        What naive loses more than each config in each period.
    """
    reason = "there are losses and no forecasts to trade"
    return replace(_of_choosing("losses", gains, n_trials), sharpe_reason=reason)


def no_bias(n_trials: int, reason: str) -> SelectionBias:
    """Where nothing is left to judge a choice by."""
    return SelectionBias("returns", n_trials, sharpe_reason=reason, reason=reason)


def _of_choosing(
    basis: Literal["returns", "losses"], performance: Floats, n_trials: int
) -> SelectionBias:
    """What CSCV and the confidence set of all configs say, (T, N); nothing of Sharpe ratios."""
    bars, configs = performance.shape
    blocks = max(2, min(BLOCKS, bars // BARS_A_BLOCK // 2 * 2))
    found = probability_of_backtest_overfitting(
        performance, blocks, score="sharpe" if basis == "returns" else "mean"
    )
    told = math.nan
    if configs > 1:
        best = model_confidence_set(-performance)
        told = math.nan if best.reason else float(np.count_nonzero(~best.included))
    return SelectionBias(
        basis,
        n_trials,
        configs,
        bars,
        pbo=found.probability,
        probability_of_loss=found.probability_of_loss,
        told_apart=told,
        reason=found.reason or "",
    )

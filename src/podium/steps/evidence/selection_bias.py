"""Selection bias of a choice among configs: arrays in, numbers and evidence out."""

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

# Blocks of CSCV: 16, or fewer so that each has at least this many bars.
BLOCKS, BARS_A_BLOCK = 16, 4
# CSCV repeats a choice, so it needs the results of at least this share of the counted configs.
SHARE_JUDGED = 0.5


@dataclass(frozen=True, eq=False)
class Ranking:
    """Configs, then baselines, over the same periods, each in the order of their means.

    Parameters
    ----------
    losses : (T, M + R) float
        Loss per period of M configs and R baselines.
    configs : int
        M.
    against_naive : list of DieboldMariano
        Test of each against the best baseline.
    corrected : (M + R,) float
        Their p-values after Holm's correction for all configs looked at; NaN for a baseline.
    included : (M + R,) bool
        Whether each is in the model confidence set; all are if undecidable.
    p_values : (M + R,) float
        Largest level at which each is still included; NaN if undecidable.
    reason : str
        Why the confidence set is undecidable.
    horizon : int
        Steps ahead; losses overlap by ``horizon - 1`` periods.
    """

    losses: Floats
    configs: int
    against_naive: Sequence[DieboldMariano]
    corrected: Floats
    included: Sequence[bool]
    p_values: Floats
    reason: str
    horizon: int

    def intervals(self) -> list[BootstrapInterval]:
        """Block bootstrap interval of each mean loss."""
        return [block_bootstrap_mean(column, horizon=self.horizon) for column in self.losses.T]

    def scalars(self, chosen: int) -> dict[str, Scalar]:
        """Scalars of evidence about one config."""
        is_decided = self.reason == ""
        return {
            "dm_p_value_corrected": Scalar(float(self.corrected[chosen]), "probability"),
            "in_confidence_set": Scalar(float(self.included[chosen]) if is_decided else math.nan),
            "confidence_set_p_value": Scalar(float(self.p_values[chosen]), "probability", "max"),
            "confidence_set_size": Scalar(float(sum(self.included)), "configs and baselines"),
            "confidence_set_of": Scalar(float(len(self.included)), "configs and baselines"),
            "naive_in_confidence_set": Scalar(
                float(self.included[self.configs]) if is_decided else math.nan
            ),
        }

    def notes(self) -> dict[str, str]:
        """Notes of evidence."""
        return {"confidence_set_reason": self.reason}


def ranking(losses: Floats, baselines: Floats, horizon: int, looked_at: int) -> Ranking:
    """Rank configs and baselines.

    Parameters
    ----------
    losses : (T, M) float
        Loss per period and config.
    baselines : (T, R) float
        Loss of each baseline in the same periods, the best one first.
    horizon : int
        Steps ahead.
    looked_at : int
        Number of configs from which these were chosen on the same bars.
    """
    every, configs = np.column_stack([losses, baselines]), losses.shape[1]
    tests = [diebold_mariano(column, baselines[:, 0], horizon) for column in every.T]
    corrected = np.full(len(tests), np.nan)
    corrected[:configs] = holm([test.p_value for test in tests[:configs]], of=max(looked_at, 1))
    best = model_confidence_set(every, horizon=horizon)
    included = [bool(one) for one in best.included]
    decided = (included, best.p_values, best.reason or "")
    return Ranking(every, configs, tests, corrected, *decided, horizon)


@dataclass(frozen=True)
class SelectionBias:
    """Selection bias of a choice among many configs.

    Parameters
    ----------
    basis : {"returns", "losses"}
        Basis of the figures: returns of the forecasts traded by the slot's signal, or, without
        stored forecasts, the loss of the baseline less that of each config.
    n_trials : int
        Distinct configs ever scored, with or without stored forecasts or losses.
    judged, bars : int
        Configs and bars that the figures are computed from.
    sharpe, trial_sharpe_std, luck_sharpe : float
        Sharpe ratio per bar of the chosen config, the standard deviation over all configs, and the
        expected maximum of `n_trials` without skill. NaN without returns.
    deflated_sharpe : float
        Probability that the chosen config's true Sharpe ratio exceeds `luck_sharpe`.
    pbo, probability_of_loss : float
        From CSCV; a loss is a negative mean return, or a mean loss above the baseline's. NaN where
        fewer than half of the `n_trials` configs were judged.
    distinguishable : float
        Configs that differ significantly from the best; NaN if undecidable.
    equal_weight_sharpe : float
        Sharpe ratio per bar of equal weights over the same bars, without forecasts.
    sharpe_reason, reason : str
        Why the Sharpe figures, or those of CSCV and the confidence set, are NaN.
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
    distinguishable: float = math.nan
    equal_weight_sharpe: float = math.nan
    sharpe_reason: str = ""
    reason: str = ""

    def scalars(self) -> dict[str, Scalar]:
        """Scalars of evidence."""
        return {
            "n_trials": Scalar(self.n_trials, "configs"),
            "configs_judged": Scalar(self.judged, "configs"),
            "bars_judged": Scalar(self.bars, "bars"),
            "sharpe": Scalar(self.sharpe, "a bar", "max"),
            "equal_weight_sharpe": Scalar(self.equal_weight_sharpe, "a bar", "max"),
            "trial_sharpe_std": Scalar(self.trial_sharpe_std, "a bar"),
            "luck_sharpe": Scalar(self.luck_sharpe, "a bar"),
            "deflated_sharpe": Scalar(self.deflated_sharpe, "probability", "max"),
            "pbo": Scalar(self.pbo, "probability", "min"),
            "probability_of_loss": Scalar(self.probability_of_loss, "probability", "min"),
            "configs_told_apart": Scalar(self.distinguishable, "configs"),
        }

    def notes(self) -> dict[str, str]:
        """Notes of evidence."""
        return {
            "luck_basis": self.basis,
            "deflated_sharpe_reason": self.sharpe_reason,
            "overfitting_reason": self.reason,
        }


def bias_of_returns(returns: Floats, chosen: int, n_trials: int) -> SelectionBias:
    """Selection bias from the returns of the configs' forecasts.

    Parameters
    ----------
    returns : (T, N) float
        Return per bar and config, after costs, for every config with stored forecasts.
    chosen : int
        Column of the chosen config.
    n_trials : int
        Distinct configs ever scored, at least N.

    Notes
    -----
    Where the returns of some of the `n_trials` configs are unknown (pruned, failed, tested on other
    windows), the known ones may be more alike than all, so their standard deviation is at least
    that of independent strategies without skill, one over the root of T. Otherwise a second search
    near the chosen config, on a slightly longer validation slice, would lower the expected maximum
    while `n_trials` grows.

    Examples
    --------
    >>> noise = 0.01 * np.random.default_rng(0).standard_normal((1000, 50))
    >>> bias = bias_of_returns(noise, int(noise.mean(axis=0).argmax()), 50)
    >>> bias.deflated_sharpe < 0.95, bias.probability_of_loss > 0.1
    (True, True)
    """
    sharpes = sharpe_ratios(returns)
    mine = float(sharpes[chosen])
    varied = sharpes[np.isfinite(sharpes)]
    # A config that never trades is not a trial.
    spread = float(varied.std(ddof=1)) if varied.size > 1 else math.nan
    if n_trials == 1:
        spread = 0.0
    elif 1 < varied.size < n_trials:
        spread = max(spread, 1.0 / math.sqrt(len(returns)))
    reason = ""
    if math.isnan(mine):
        reason = "the returns of its forecasts are constant"
    elif math.isnan(spread):
        reason = f"{n_trials} configs were scored, and the returns of {varied.size} are known"
    threshold = math.nan if math.isnan(spread) else expected_max_sharpe(n_trials, spread)
    deflated = math.nan
    if not reason:
        deflated = deflated_sharpe(returns[:, chosen], n_trials=n_trials, trial_sharpe_std=spread)
        reason = "" if math.isfinite(deflated) else f"{len(returns)} bars are too few"
    return replace(
        _bias_without_sharpe("returns", returns, n_trials),
        sharpe=mine,
        trial_sharpe_std=spread,
        luck_sharpe=threshold,
        deflated_sharpe=deflated,
        sharpe_reason=reason,
    )


def bias_of_losses(gains: Floats, n_trials: int, horizon: int = 1) -> SelectionBias:
    """Selection bias from losses, without forecasts to trade.

    Parameters
    ----------
    gains : (T, N) float
        Loss of the baseline less that of each config in each period.
    horizon : int
        Steps ahead; losses overlap by ``horizon - 1`` periods.
    """
    reason = "there are losses but no forecasts to trade"
    return replace(_bias_without_sharpe("losses", gains, n_trials, horizon), sharpe_reason=reason)


def no_bias(n_trials: int, reason: str) -> SelectionBias:
    """Selection bias without data: every figure is NaN."""
    return SelectionBias("returns", n_trials, sharpe_reason=reason, reason=reason)


def _bias_without_sharpe(
    basis: Literal["returns", "losses"], performance: Floats, n_trials: int, horizon: int = 1
) -> SelectionBias:
    """CSCV and confidence set of all configs from their performance, (T, N)."""
    bars, configs = performance.shape
    if configs < SHARE_JUDGED * n_trials:
        reason = f"{configs} of {n_trials:,} configs were judged on these windows, fewer than half"
        return SelectionBias(basis, n_trials, configs, bars, reason=reason)
    blocks = max(2, min(BLOCKS, bars // BARS_A_BLOCK // 2 * 2))
    overfitting = probability_of_backtest_overfitting(
        performance, blocks, score="sharpe" if basis == "returns" else "mean"
    )
    distinguishable = math.nan
    if configs > 1:
        best = model_confidence_set(-performance, horizon=horizon)
        distinguishable = math.nan if best.reason else float(np.count_nonzero(~best.included))
    return SelectionBias(
        basis,
        n_trials,
        configs,
        bars,
        pbo=overfitting.probability,
        probability_of_loss=overfitting.probability_of_loss,
        distinguishable=distinguishable,
        reason=overfitting.reason or "",
    )

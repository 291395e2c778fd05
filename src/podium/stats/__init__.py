"""Tests and estimates of luck: arrays in, numbers out, no input or output."""

from podium.stats.block_bootstrap import BootstrapInterval, block_bootstrap, block_bootstrap_mean
from podium.stats.block_length import optimal_block_length
from podium.stats.confidence_set import ModelConfidenceSet, model_confidence_set
from podium.stats.corrections import benjamini_hochberg, holm
from podium.stats.crps import crps_from_samples
from podium.stats.deflated_sharpe import (
    deflated_sharpe,
    deflated_sharpe_from_moments,
    expected_max_sharpe,
)
from podium.stats.diebold_mariano import DieboldMariano, diebold_mariano, panel_loss
from podium.stats.forecast_errors import forecast_errors
from podium.stats.improvement import Improvement, improvement, improvement_of_losses
from podium.stats.mcnemar import McNemar, mcnemar
from podium.stats.overfitting import BacktestOverfitting, probability_of_backtest_overfitting
from podium.stats.paired_bootstrap import PairedBootstrap, paired_bootstrap
from podium.stats.predictive_ability import SuperiorPredictiveAbility, superior_predictive_ability
from podium.stats.quantiles import coverage, pinball
from podium.stats.sharpe import probabilistic_sharpe, sharpe_ratio, sharpe_ratios
from podium.stats.stability import (
    Baseline,
    Drift,
    feature_baseline,
    feature_drift,
    stability_index,
)
from podium.stats.track_record import min_backtest_length, min_track_record_length

__all__ = [
    "BacktestOverfitting",
    "Baseline",
    "BootstrapInterval",
    "DieboldMariano",
    "Drift",
    "Improvement",
    "McNemar",
    "ModelConfidenceSet",
    "PairedBootstrap",
    "SuperiorPredictiveAbility",
    "benjamini_hochberg",
    "block_bootstrap",
    "block_bootstrap_mean",
    "coverage",
    "crps_from_samples",
    "deflated_sharpe",
    "deflated_sharpe_from_moments",
    "diebold_mariano",
    "expected_max_sharpe",
    "feature_baseline",
    "feature_drift",
    "forecast_errors",
    "holm",
    "improvement",
    "improvement_of_losses",
    "mcnemar",
    "min_backtest_length",
    "min_track_record_length",
    "model_confidence_set",
    "optimal_block_length",
    "paired_bootstrap",
    "panel_loss",
    "pinball",
    "probabilistic_sharpe",
    "probability_of_backtest_overfitting",
    "sharpe_ratio",
    "sharpe_ratios",
    "stability_index",
    "superior_predictive_ability",
]

"""Statistical tests and estimates: arrays in, numbers out, no files."""

from podium.stats.block_bootstrap import BootstrapInterval as BootstrapInterval
from podium.stats.block_bootstrap import block_bootstrap as block_bootstrap
from podium.stats.block_bootstrap import block_bootstrap_mean as block_bootstrap_mean
from podium.stats.block_length import optimal_block_length as optimal_block_length
from podium.stats.confidence_set import ModelConfidenceSet as ModelConfidenceSet
from podium.stats.confidence_set import model_confidence_set as model_confidence_set
from podium.stats.corrections import benjamini_hochberg as benjamini_hochberg
from podium.stats.corrections import holm as holm
from podium.stats.crps import crps_from_samples as crps_from_samples
from podium.stats.deflated_sharpe import deflated_sharpe as deflated_sharpe
from podium.stats.deflated_sharpe import (
    deflated_sharpe_from_moments as deflated_sharpe_from_moments,
)
from podium.stats.deflated_sharpe import expected_max_sharpe as expected_max_sharpe
from podium.stats.diebold_mariano import DieboldMariano as DieboldMariano
from podium.stats.diebold_mariano import diebold_mariano as diebold_mariano
from podium.stats.diebold_mariano import panel_loss as panel_loss
from podium.stats.forecast_errors import forecast_errors as forecast_errors
from podium.stats.improvement import Improvement as Improvement
from podium.stats.improvement import improvement as improvement
from podium.stats.improvement import improvement_of_losses as improvement_of_losses
from podium.stats.intervals import Score as Score
from podium.stats.intervals import interval_scores as interval_scores
from podium.stats.intervals import mean_absolute_scaled_error as mean_absolute_scaled_error
from podium.stats.mcnemar import McNemar as McNemar
from podium.stats.mcnemar import mcnemar as mcnemar
from podium.stats.overfitting import BacktestOverfitting as BacktestOverfitting
from podium.stats.overfitting import (
    probability_of_backtest_overfitting as probability_of_backtest_overfitting,
)
from podium.stats.paired_bootstrap import PairedBootstrap as PairedBootstrap
from podium.stats.paired_bootstrap import paired_bootstrap as paired_bootstrap
from podium.stats.predictive_ability import SuperiorPredictiveAbility as SuperiorPredictiveAbility
from podium.stats.predictive_ability import (
    superior_predictive_ability as superior_predictive_ability,
)
from podium.stats.quantiles import coverage as coverage
from podium.stats.quantiles import pinball as pinball
from podium.stats.sequential import p_value_of_look as p_value_of_look
from podium.stats.sharpe import probabilistic_sharpe as probabilistic_sharpe
from podium.stats.sharpe import sharpe_ratio as sharpe_ratio
from podium.stats.sharpe import sharpe_ratios as sharpe_ratios
from podium.stats.stability import Baseline as Baseline
from podium.stats.stability import Drift as Drift
from podium.stats.stability import feature_baseline as feature_baseline
from podium.stats.stability import feature_drift as feature_drift
from podium.stats.stability import stability_index as stability_index
from podium.stats.track_record import min_backtest_length as min_backtest_length
from podium.stats.track_record import min_track_record_length as min_track_record_length

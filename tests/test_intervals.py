"""Calibrated quantiles: coverage on planted data, oracles, paths, and the adaptive form."""

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import scoringrules
from mapie.regression import ConformalizedQuantileRegressor

from podium import artifact, registry
from podium.config import load
from podium.decision import Result
from podium.errors import DataError, UsageError
from podium.gates import coverage
from podium.gates._base import Case
from podium.intervals import INTERVALS, LEVELS, Calibration
from podium.prediction import Prediction
from podium.split import Windows
from podium.stats import interval_scores, mean_absolute_scaled_error
from podium.steps.data.bars import slot_data
from podium.steps.serving.predict import MEMORY, predict
from podium.steps.workspace import recorded
from podium.steps.workspace.session import open_project
from podium.tasks.forecast import view_of
from podium.testing.series import bars
from podium.view import View
from projects import LENIENT, SLOT, run_project, small_project

START = np.datetime64("2020-01-01", "s")


def forecasts(outputs, item="A", form="mean", levels=()):
    """A forecast a day of one ticker, or of several in turn."""
    names = np.resize(np.atleast_1d(item), len(outputs))
    days = START + 86400 * (np.arange(len(outputs)) // len(np.atleast_1d(item)))
    return Prediction(names, days, days + 86400, np.asarray(outputs, float), form, levels)


def covered(truth, quantiles, nominal):
    low, high = (quantiles[..., LEVELS.index(level)] for level in INTERVALS[nominal])
    return (low <= truth) & (truth <= high)


def test_stationary_errors_are_covered_as_often_as_nominal():
    random = np.random.default_rng(1)
    mean = random.standard_normal(25_000)
    # Skewed errors: intervals around the mean would not have the right tails.
    truth = mean + random.exponential(size=25_000)
    made = Calibration.of(forecasts(mean[:5_000]), truth[:5_000], 1)
    quantiles = made.quantiles(forecasts(mean[5_000:]))
    for nominal in INTERVALS:
        assert covered(truth[5_000:], quantiles, nominal).mean() == pytest.approx(
            nominal / 100, abs=0.02
        )
    for level in LEVELS:
        below = (truth[5_000:] <= quantiles[:, LEVELS.index(level)]).mean()
        assert below == pytest.approx(level, abs=0.02)


def test_after_a_break_the_adaptive_form_covers_again_and_the_fixed_one_does_not():
    random = np.random.default_rng(2)
    zeros, truth = np.zeros(2_500), random.standard_normal(2_500)
    truth[1_250:] *= 2.5
    made = Calibration.of(forecasts(zeros[:500]), truth[:500], 1)
    later = forecasts(zeros[500:])
    fixed, (adaptive, after) = made.quantiles(later), made.adaptive(later, truth[500:])
    for nominal in INTERVALS:
        assert covered(truth[1_250:], fixed[750:], nominal).mean() < nominal / 100 - 0.2
        assert covered(truth[1_250:], adaptive[750:], nominal).mean() == pytest.approx(
            nominal / 100, abs=0.04
        )
    # The calibration after all outcomes is the one of the next decision.
    assert after.quantiles(later)[0, -1] > 1.5 * fixed[0, -1]


def test_an_outcome_changes_no_quantile_before_it_is_known():
    zeros, truth = np.zeros(60), np.random.default_rng(3).standard_normal(60)
    made = Calibration.of(forecasts(zeros), truth, 5)
    usual = made.adaptive(forecasts(zeros), truth)[0]
    changed = truth.copy()
    changed[20] = 99.0
    first = np.flatnonzero((made.adaptive(forecasts(zeros), changed)[0] != usual).any(axis=1))[0]
    assert first == 20 + 5


def test_native_quantiles_are_corrected_as_mapie_does():
    random = np.random.default_rng(4)
    x, levels = random.uniform(1, 2, 400), (0.05, 0.5, 0.95)
    truth, bounds = x * random.standard_normal(400), np.outer(x, (-1.0, 0.1, 1.2))

    class Quantile:
        def __init__(self, column):
            self.column, self.fitted_ = column, True

        def fit(self, x, y):
            return self

        def predict(self, x):
            return bounds[x[:, 0].astype(int), self.column]

    rows = np.arange(400)[:, None]
    theirs = ConformalizedQuantileRegressor(
        [Quantile(0), Quantile(2), Quantile(1)], confidence_level=0.9, prefit=True
    ).conformalize(rows[:200], truth[:200])
    _, expected = theirs.predict_interval(rows[200:], symmetric_correction=False)
    made = Calibration.of(forecasts(bounds[:200], form="quantiles", levels=levels), truth[:200], 1)
    ours = made.quantiles(forecasts(bounds[200:], form="quantiles", levels=levels))
    np.testing.assert_allclose(ours[:, [0, -1]], expected[:, :, 0])


def test_each_ticker_with_enough_windows_has_its_own_width():
    random = np.random.default_rng(5)
    truth = random.standard_normal(600) * np.resize([1.0, 10.0], 600)
    names = ["A", "B"]
    made = Calibration.of(forecasts(np.zeros(600), names), truth, 1)
    width = np.ptp(made.quantiles(forecasts(np.zeros(3), ["A", "B", "new"])), axis=1)
    assert 8 < width[1] / width[0] < 12
    # One without its own has the pooled offsets.
    assert width[0] < width[2] < width[1]
    few = Calibration.of(forecasts(np.zeros(100), names), truth[:100], 1)
    assert not few.tickers
    assert len(few.pooled) == 1
    assert Calibration.of(forecasts(np.zeros(19), names), truth[:19], 1) is None


def test_a_path_has_offsets_of_every_horizon():
    random = np.random.default_rng(6)
    truth = random.standard_normal((500, 3)).cumsum(axis=1)
    made = Calibration.of(forecasts(np.zeros((500, 3))), truth, 3)
    quantiles = made.quantiles(forecasts(np.zeros((4, 3))))
    assert quantiles.shape == (4, 3, len(LEVELS))
    assert (np.diff(np.ptp(quantiles[0], axis=1)) > 0).all()
    again = Calibration.from_bytes(made.to_bytes())
    np.testing.assert_array_equal(again.quantiles(forecasts(np.zeros((4, 3)))), quantiles)
    with pytest.raises(DataError, match="1 horizons"):
        made.quantiles(forecasts(np.zeros(4)))


def test_scores_of_quantiles_equal_those_of_another_library():
    random = np.random.default_rng(7)
    truth, quantiles = random.standard_normal(200), random.standard_normal((200, 11))
    quantiles.sort(axis=1)
    made = interval_scores(truth, quantiles, LEVELS, np.arange(200), INTERVALS)
    theirs = scoringrules.crps_quantile(truth, quantiles[:, 1:-1], np.array(LEVELS[1:-1]))
    assert made["crps"].value == pytest.approx(theirs.mean())
    assert made["wql"].value == pytest.approx(theirs.mean() / np.abs(truth).mean())
    for nominal in INTERVALS:
        score = made[f"coverage_{nominal}"]
        assert score.value == covered(truth, quantiles, nominal).mean()
        assert score.low <= score.value <= score.high
    mase = mean_absolute_scaled_error(truth, np.zeros(200), 2.0, np.arange(200))
    assert mase.value == pytest.approx(np.abs(truth).mean() / 2)


# Candidates of projects


@pytest.fixture(scope="module")
def judged(ladder):
    return ladder.project("judged")


def test_a_candidate_is_calibrated_on_its_validation_part_and_scored_on_the_test(judged):
    with open_project(judged) as project:
        [row] = project.reader.rows("candidates", slot=SLOT)
        made = recorded.candidate(project, row["id"])
        model = recorded.forecaster(project, made)
        data = slot_data(project.config, SLOT)
        fold = data.held_out(project.config.finalize.validation_fraction).folds[0]
        best = artifact.forecaster(
            project.store / made.artifact_path, made.artifact_hash, "best_model"
        )
        test = recorded.evidence(project, made.id)["test"]
    _, validation = fold.windows(data.tuning)
    expected = Calibration.of(best.predict(validation), validation.truth(), data.horizon)
    # The served model was trained on the validation part too and has no errors of its own.
    for one in (model, best):
        np.testing.assert_allclose(one.calibration.pooled, expected.pooled, rtol=1e-5)
    windows = data.test_windows
    quantiles = model.calibration.quantiles(model.predict(windows))
    for nominal in INTERVALS:
        share = covered(windows.truth(), quantiles, nominal).mean()
        assert test.scalar(f"coverage_{nominal}") == share
        low, high = (test.scalar(f"coverage_{nominal}_{end}") for end in ("low", "high"))
        assert low <= share <= high
    for name in ("pinball", "crps", "wql", "mase", "width_80", "width_90"):
        assert test.scalar(name) > 0 < test.scalar(f"naive_{name}")


def test_predict_has_intervals_that_adapt_to_the_outcomes_since_the_training(judged):
    with open_project(judged) as project:
        [row] = project.reader.rows("candidates", slot=SLOT)
        forecast = predict(project, candidate=row["id"], bars=3)
        model = recorded.forecaster(project, recorded.candidate(project, row["id"]))
        data = slot_data(project.config, SLOT)
    view = view_of(data.dataset, data.section)
    later = Windows.of(view, np.arange(max(data.test_start, len(view) - MEMORY), len(view)))
    adaptive, _ = model.calibration.adaptive(model.predict(later), later.truth())
    np.testing.assert_array_equal(forecast.quantiles, adaptive[-len(forecast.quantiles) :])
    for made in forecast.rows():
        assert made["low_90"] <= made["low_80"] <= made["high_80"] <= made["high_90"]


def test_predict_df_has_the_columns_of_forecasting_packages(judged, tmp_path):
    with open_project(judged) as project:
        [row] = project.reader.rows("candidates", slot=SLOT)
        model = recorded.forecaster(project, recorded.candidate(project, row["id"]))
        dataset = slot_data(project.config, SLOT).dataset
    names = ("open", "high", "low", "close", "volume")
    frame = pd.DataFrame(
        {
            "time": np.repeat(dataset.times, len(dataset.tickers)),
            "ticker": np.tile(dataset.tickers, len(dataset)),
            **{name: dataset[name].ravel() for name in names},
        }
    )
    made = model.predict_df(frame)
    deciles = [f"0.{n}" for n in range(1, 10)]
    assert [*made] == ["item_id", "timestamp", "target_name", "predictions", *deciles]
    assert [*made["item_id"]] == [*dataset.tickers]
    assert (made["timestamp"] > dataset.times[-1]).all()
    assert np.is_busday(made["timestamp"].to_numpy().astype("datetime64[D]")).all()
    newest = model.predict(frame).groupby("ticker")["forecast"].last()
    assert [*made["predictions"]] == [newest[name] for name in made["item_id"]]
    assert (np.diff(made[deciles].to_numpy(), axis=1) >= 0).all()
    with pytest.raises(UsageError, match=r"0\.55"):
        model.predict_df(frame, quantile_levels=(0.5, 0.55))


@pytest.mark.parametrize(
    ("bounds", "result"),
    [
        ((0.79, 0.77, 0.81), Result.PASS),
        # The interval reaches to within two points of 80 per cent.
        ((0.70, 0.60, 0.785), Result.PASS),
        ((0.70, 0.65, 0.77), Result.REFUSE),
        ((0.90, 0.83, 0.95), Result.REFUSE),
        ((0.79, math.nan, math.nan), Result.UNDECIDABLE),
    ],
)
def test_the_gate_refuses_intervals_that_hold_too_few_or_too_many(bounds, result):
    ends = zip(("", "_low", "_high"), bounds, strict=True)
    figures = {f"coverage_80{end}": value for end, value in ends}
    figures |= {f"coverage_90{end}": 0.9 for end in ("", "_low", "_high")}
    evidence = SimpleNamespace(scalars=figures, scalar=figures.__getitem__)
    made = coverage.judge(Case({"test": evidence}, None, coverage.LIMITS))
    assert made[0] is result
    assert result is Result.UNDECIDABLE or "80 per cent intervals hold" in made[1]


def test_without_a_calibration_the_gate_is_undecidable():
    evidence = SimpleNamespace(scalars={}, scalar={}.__getitem__)
    result, finding = coverage.judge(Case({"test": evidence}, None, coverage.LIMITS))
    assert result is Result.UNDECIDABLE
    assert "no validation part" in finding


# The quantile head


@pytest.mark.slow
def test_a_network_with_the_quantile_loss_forecasts_its_levels(judged, tmp_path):
    with open_project(judged) as project:
        view = slot_data(project.config, SLOT).tuning
    bars = np.arange(view.first_bar, view.last_labelled + 1)
    cut = len(bars) * 3 // 4
    train, validation = (Windows.of(view, part) for part in (bars[:cut], bars[cut + 5 :]))
    family, told = registry.family("lstm"), []
    usual = {**family.space(view).usual, "learning_rate": 0.01, "batch_size": 16}
    config = {**usual, "layers": 1, "max_epochs": 15, "loss": "quantile"}
    assert not family.space(view).problems(config)

    def fit():
        return registry.family("lstm").fit(
            config, train, validation, seed=3, report=lambda epoch, scores: told.append(scores)
        )

    model = fit()
    made = model.predict(validation)
    assert (made.form, made.levels) == ("quantiles", LEVELS)
    np.testing.assert_array_equal(made.outputs, fit().predict(validation).outputs)
    best = told[model.epochs - 1]
    truth = validation.truth()
    losses = scoringrules.quantile_score(truth[:, None], made.outputs, np.array(LEVELS))
    assert best["val_pinball"] == pytest.approx(losses.mean())
    assert best["val_loss"] == pytest.approx(np.mean((truth - made.mean) ** 2))
    assert 0 <= best["val_crossings"] <= 1
    # It has learned spread: outcomes are outside the outer quantiles less often than inside.
    inside = (made.outputs[:, 0] <= truth) & (truth <= made.outputs[:, -1])
    assert 0.5 < inside.mean() < 1
    model.save(tmp_path)
    again = family.load(lambda name: (tmp_path / name).read_bytes())
    np.testing.assert_array_equal(again.predict(validation).outputs, made.outputs)
    # Its own quantiles are corrected like those of any other forecaster.
    calibration = Calibration.of(made, truth, view.horizon)
    assert covered(truth, calibration.quantiles(made), 90).mean() == pytest.approx(0.9, abs=0.02)


# Paths


def test_a_view_at_a_step_has_the_target_of_that_horizon_and_stays_blind():
    dataset = bars(80)
    for target in ("return", "volatility", "price"):
        settings = {"features": ("log_return",), "target": target, "window": 4}
        view = View.of(dataset, horizon=3, path=True, **settings)
        for step in (1, 2, 3):
            expected = View.of(dataset, horizon=step, **settings)
            made = view.at_step(step)
            known = np.isfinite(view.target)
            np.testing.assert_allclose(made.target[known], expected.target[known])
            np.testing.assert_allclose(made.past, expected.past)
            assert np.isnan(made.target[~known]).all()
            assert np.isnan(view.blind().at_step(step).target).all()
        # A cut view does not know what its bars would tell of later ones.
        assert np.isnan(view.until(40).at_step(1).target[37:]).all()


def test_a_family_without_paths_is_fitted_for_each_step(tmp_path):
    view = View.of(
        bars(200), features=("log_return",), target="volatility", horizon=3, window=4, path=True
    )
    windows = Windows.of(view, np.arange(view.first_bar, view.last_labelled + 1))
    alone = windows.at_step(3)
    for name in ("naive", "drift", "seasonal_naive", "ridge", "har", "lstm"):
        family, config = registry.family(name, path=True), None
        space = family.space(view)
        config = {**space.constants, **(space.usual or next(iter(space.grid())))}
        config = {**config, "max_epochs": 1} if name == "lstm" else config
        how = {"seed": 3, "report": lambda epoch, scores: None}
        model = family.fit(config, windows, None, **how)
        made = model.predict(windows.blind())
        assert made.path.shape == (len(windows), 3)
        usual = registry.family(name).fit(config, alone, None, **how)
        np.testing.assert_array_equal(made.mean, usual.predict(alone.blind()).mean)
        folder = tmp_path / name
        folder.mkdir()
        model.save(folder)
        again = family.load(lambda file, folder=folder: (folder / file).read_bytes())
        np.testing.assert_array_equal(again.predict(windows).path, made.path)


@pytest.mark.slow
def test_a_slot_with_a_path_forecasts_every_step_with_its_interval(tmp_path):
    slots = {SLOT: {"path": True, "families": ["ridge"]}}
    root = small_project(tmp_path / "p", slots=slots, policies=LENIENT)
    run_project(root)
    with open_project(root) as project:
        [row] = project.reader.rows("candidates", slot=SLOT)
        forecast = predict(project, candidate=row["id"])
        test = recorded.evidence(project, row["id"])["test"]
    rows = [made for made in forecast.rows() if made["ticker"] == "AAPL"]
    assert [made["bars_ahead"] for made in rows] == [1, 2, 3, 4, 5]
    assert all(made["low_90"] < made["high_90"] for made in rows)
    for step in range(1, 5):
        assert 0 < test.scalar(f"coverage_90:step_{step}") <= 1
    assert test.scalar("coverage_90_low") <= test.scalar("coverage_90")


def test_a_path_of_one_step_is_refused(tmp_path):
    root = small_project(tmp_path / "p", slots={SLOT: {"path": True, "horizon": 1}})
    with pytest.raises(UsageError, match="path = true and horizon 1"):
        load(root)

"""Errors in the units people quote: of every trial's validation windows, and of the sealed test."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

import projects
from podium import registry
from podium.cli.main import run as podium
from podium.errors import DataError
from podium.stats import forecast_errors

NUMBERS = st.floats(-1e3, 1e3)


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=2, max_size=30))
def test_they_are_scikit_learns(pairs):
    truth, forecast = np.array(pairs).T
    found = forecast_errors(truth, forecast)
    assert found["mae"] == pytest.approx(metrics.mean_absolute_error(truth, forecast), abs=1e-9)
    if np.var(truth) > 1e-6:
        assert found["r2"] == pytest.approx(metrics.r2_score(truth, forecast), rel=1e-6, abs=1e-6)


def test_a_truth_that_does_not_vary_has_no_r2():
    assert math.isnan(forecast_errors([1.0, 1.0], [0.0, 2.0])["r2"])


def test_prices_come_all_or_none_and_of_one_shape():
    with pytest.raises(DataError, match="1 of three prices"):
        forecast_errors([0.1], [0.0], last=[10.0])
    with pytest.raises(DataError, match=r"truth has shape \(2,\), forecast \(1,\)"):
        forecast_errors([0.1, 0.2], [0.0])


@pytest.mark.parametrize("name", ["return", "log_return", "price"])
def test_a_target_leads_to_the_price_that_came(name):
    from podium.testing.series import bars

    dataset = bars(60, seed=3)
    kind = registry.load("targets", name)
    close, horizon = dataset["close"], 4
    change = kind.increments(dataset)
    mean = np.stack([change[t + 1 : t + 1 + horizon].mean(axis=0) for t in range(1, 50)])
    target = kind.aggregate(mean, horizon)
    if hasattr(kind, "level"):
        target = target + kind.level(dataset)[1:50]
    np.testing.assert_allclose(
        kind.to_price(target, close[1:50]), close[1 + horizon : 50 + horizon]
    )


@pytest.fixture(scope="module")
def ran(ladder):
    """A small project that forecasts a return, run to its end."""
    slot = {"target": "return", "features": ["log_return"], "signal": "sign"}
    return ladder.project("finished", slots={projects.SLOT: slot})


def test_every_trial_has_them_as_results(ran, capsys):
    rows = projects.query(
        ran,
        "SELECT r.metric, r.value, t.id FROM result r JOIN trial t ON t.id = r.trial_id "
        "WHERE t.state = 'complete'",
    )
    by_trial = {}
    for row in rows:
        by_trial.setdefault(row["id"], {})[row["metric"]] = row["value"]
    judged = [found for found in by_trial.values() if "val_mse" in found]
    assert judged
    for found in judged:
        assert {"val_mae", "val_r2", "val_price_mae", "val_pct_mae"} <= set(found)
        # A return of the price, in per cent of the last one.
        assert found["val_pct_mae"] == pytest.approx(100 * found["val_mae"])
    capsys.readouterr()
    command = ["list", "trials", "--where", "val_pct_mae>0", "--sort", "val_pct_mae", "-o", "ids"]
    assert podium([*command, "--project", str(ran)]) == 0
    ids = capsys.readouterr().out.split()
    values = [by_trial[id_]["val_pct_mae"] for id_ in ids]
    assert values == sorted(values)


def test_the_test_evidence_has_them_beside_naives(ran):
    import json

    [row] = projects.query(ran, "SELECT scalars FROM evidence WHERE kind = 'test'")
    scalars = json.loads(row["scalars"])
    for name in ("mae", "r2", "price_mae", "pct_mae", "naive_mae", "naive_pct_mae"):
        assert math.isfinite(scalars[name][0]), name
    assert scalars["r2"][2] == "max"
    assert scalars["pct_mae"][0] == pytest.approx(100 * scalars["mae"][0])


def test_a_trial_on_record_is_still_reproduced_to_the_bit(ran):
    [row] = projects.query(ran, "SELECT id FROM trial WHERE run_id IS NOT NULL LIMIT 1")
    assert podium(["reproduce", row["id"], "--project", str(ran), "--quiet"]) == 0

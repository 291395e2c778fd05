"""Scaling of samples: training steps alone, filled from the past, read and written as JSON."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from looped import looped
from podium.errors import DataError
from podium.feature_stats import FeatureStats
from podium.steps.data.check import check

NAN = np.nan


def of(x, lengths=None, names=("a", "b")):
    x = np.asarray(x, dtype=np.float32)
    lengths = np.full(len(x), x.shape[1]) if lengths is None else np.asarray(lengths)
    return FeatureStats.of(x, lengths, names[: x.shape[2]])


def told(text, names=()):
    with pytest.raises(DataError) as caught:
        FeatureStats.parse(text, "stats.json", names)
    return [str(problem) for problem in caught.value.problems]


def test_mean_and_spread_are_those_of_the_steps_that_count():
    x = [[[1.0, 10.0], [3.0, NAN], [99.0, 99.0]], [[5.0, 20.0], [NAN, 30.0], [7.0, 40.0]]]
    found = of(x, lengths=[2, 3])
    assert found.mean == pytest.approx((4.0, 25.0))
    assert found.std == pytest.approx((np.std([1, 3, 5, 7]), np.std([10, 20, 30, 40])))
    assert found.n_steps == 5


def test_a_feature_that_does_not_vary_becomes_nothing():
    found = of([[[0.1], [0.1], [0.1]]])
    assert found.std == (1.0,)
    assert not found.apply(np.full((1, 3, 1), 0.1, np.float32), np.array([3])).any()


def test_a_feature_of_small_numbers_is_scaled_like_any_other():
    x = np.array([[[1e-9], [3e-9]]], dtype=np.float32)
    assert of(x).apply(x, np.array([2]))[0, :, 0] == pytest.approx([-1, 1])


def test_features_without_a_value_are_named_all_at_once():
    with pytest.raises(DataError) as caught:
        of([[[NAN, NAN], [NAN, NAN], [1.0, 2.0]]], lengths=[2])
    assert [problem.found[:11] for problem in caught.value.problems] == [
        "feature 'a'",
        "feature 'b'",
    ]


@given(
    st.lists(st.one_of(st.none(), st.floats(-5, 5, width=32)), min_size=1, max_size=8),
    st.integers(0, 7),
)
def test_what_is_missing_is_filled_from_the_same_samples_past(values, cut):
    """Against a loop; and cutting the future off changes nothing before the cut."""
    x = np.array([NAN if v is None else v for v in values], dtype=np.float32)
    x = np.stack([x, np.full_like(x, 3.0)])[:, :, np.newaxis]
    stats = FeatureStats(("a",), (1.0,), (2.0,))
    lengths = np.array([len(values), len(values)])
    found = stats.apply(x, lengths)[0, :, 0]
    last, expected = 1.0, []
    for value in values:
        last = last if value is None else value
        expected.append((last - 1) / 2)
    assert found == pytest.approx(np.array(expected, dtype=np.float32), abs=1e-6)
    before = min(cut, len(values) - 1) + 1
    part = stats.apply(x[:, :before], np.minimum(lengths, before))[0, :, 0]
    assert (part == found[:before]).all()


def test_nothing_stands_behind_a_samples_last_step():
    stats = FeatureStats(("a",), (1.0,), (2.0,))
    found = stats.apply(np.array([[[5.0], [NAN], [1e30], [NAN]]], dtype=np.float32), np.array([2]))
    assert found[0, :, 0].tolist() == [2.0, 2.0, 0.0, 0.0]


def test_what_is_written_is_read_again():
    stats = of([[[1.0, 0.1], [2.5, NAN]]])
    assert FeatureStats.parse(json.dumps(stats.spec()), "f") == stats


def test_a_file_of_another_program_needs_mean_and_std_only():
    found = FeatureStats.parse('{"mean": [1, 2.5], "std": [1, 3], "more": true}', "f", ("a", "b"))
    assert found == FeatureStats(("a", "b"), (1.0, 2.5), (1.0, 3.0))
    assert FeatureStats.parse('{"mean": [1], "std": [2]}', "f").feature_names == ("feature_0",)


@looped(
    ("text", "expected"),
    [
        ("nonsense", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[1]", "holds a list"),
        ('{"mean": [1]}', "std is None"),
        ('{"mean": [], "std": []}', "mean is []"),
        ('{"mean": [true], "std": [1]}', "mean is [True]"),
        ('{"mean": [NaN], "std": [1]}', "mean is [nan]"),
        ('{"mean": [1e300], "std": [1]}', "mean is [1e+300]"),
        ('{"mean": [1' + "0" * 400 + '], "std": [1]}', "a list of numbers"),
        ('{"mean": [1], "std": [0]}', "a std is not above 0"),
        ('{"mean": [1], "std": [1e-300]}', "a std is not above 0"),
        ('{"mean": [1], "std": [1, 2]}', "2 values of std. Expected 1"),
        ('{"mean": [1], "std": [1], "feature_names": ["a", "b"]}', "1 values of mean. Expected 2"),
        ('{"mean": [1], "std": [1], "feature_names": [3]}', "a list of texts"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(text, expected):
    assert any(expected in message for message in told(text))


def test_everything_wrong_with_a_file_is_told_at_once():
    assert len(told('{"mean": "x", "std": [0, 1], "feature_names": [1]}')) == 3


def test_checking_a_file_tells_what_its_features_miss(tmp_path):
    x = np.random.default_rng(0).normal(size=(4, 5, 3))
    x[:, :, 1], x[:, :, 2], x[0, :2, 0] = NAN, 7.0, NAN
    np.savez(tmp_path / "s.npz", X=x, y=[0, 1, 0, 1], feature_names=np.array(["a", "b", "c"]))
    found = {f.what: f for f in check(None, str(tmp_path / "s.npz")).findings}
    assert "b has no value in any sample" in found["no value"].found
    assert "a 10.0% of the steps, b 100.0% of the steps; filled with the last value before it" in (
        found["missing"].found
    )
    assert "c has one value" in found["constant"].found
    assert not any(f.severity == "error" for f in found.values())

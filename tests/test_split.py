"""No window sees its future, no label is shared, and walk-forward covers each bar once."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium import registry
from podium.errors import DataError
from podium.samples import Samples
from podium.split import Fold, Piece, Split, Windows, purged, require_folds
from podium.testing.leak import probe_split
from podium.testing.series import bars, view

few = settings(max_examples=40, deadline=None)
DATASET = bars(400)
holdout = registry.load("splitters", "holdout").split
walk_forward = registry.load("splitters", "walk_forward").split


def seen_by(horizon, window):
    return view(DATASET, features=("log_return",), horizon=horizon, window=window)


@few
@given(horizon=st.integers(1, 12), window=st.integers(2, 30), data=st.data())
def test_no_window_sees_its_future(horizon, window, data):
    seen = seen_by(horizon, window)
    bar = data.draw(st.integers(seen.first_bar, seen.last_labelled))
    windows = Windows.of(seen, np.array([bar]))
    inputs = windows.inputs()
    assert inputs.shape == (3, window, 1)
    for row, item in enumerate(windows.item):
        expected = seen.features[bar - window + 1 : bar + 1, item]
        np.testing.assert_array_equal(inputs[row], expected)


@few
@given(horizon=st.integers(1, 12), bar=st.integers(20, 380))
def test_a_truth_is_made_of_the_bars_after_its_decision(horizon, bar):
    seen = seen_by(horizon, 5)
    close = np.log(DATASET["close"])
    truth = Windows.of(seen, np.array([bar])).truth()
    np.testing.assert_allclose(truth, close[bar + horizon] - close[bar], atol=1e-12)


@st.composite
def parts(draw):
    """Any training bars, and a run of validation bars."""
    train = draw(st.lists(st.integers(0, 200), min_size=1, max_size=60, unique=True))
    start = draw(st.integers(0, 180))
    stop = draw(st.integers(start + 1, 200))
    return np.array(sorted(train)), np.arange(start, stop)


@few
@given(both=parts(), horizon=st.integers(1, 25))
def test_purging_leaves_no_label_that_meets_a_validation_label(both, horizon):
    train, validation = both
    kept = purged(train, validation, horizon)
    judged = {bar for v in validation for bar in range(v + 1, v + horizon + 1)}
    for bar in kept:
        assert not judged & set(range(bar + 1, bar + horizon + 1))


@few
@given(both=parts(), horizon=st.integers(1, 25))
def test_purging_drops_nothing_that_could_stay(both, horizon):
    train, validation = both
    judged = {bar for v in validation for bar in range(v + 1, v + horizon + 1)}
    free = [b for b in train if not judged & set(range(b + 1, b + horizon + 1))]
    assert purged(train, validation, horizon).tolist() == free


@st.composite
def labelled_parts(draw, most=60):
    """Samples with labels of their own lengths, split in any way."""
    n = draw(st.integers(2, most))
    starts = np.array(draw(st.lists(st.integers(0, 90), min_size=n, max_size=n)))
    lengths = np.array(draw(st.lists(st.integers(1, 60), min_size=n, max_size=n)))
    validates = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    validates[0] = True
    return starts, starts + lengths, np.flatnonzero(~validates), np.flatnonzero(validates)


def bars_of(starts, ends, sample):
    """Every single bar a label is made of: the slow way to the same answer."""
    return set(range(starts[sample] + 1, ends[sample] + 1))


@given(made=labelled_parts(), embargo=st.integers(0, 20))
def test_labels_with_ends_of_their_own_are_purged_exactly(made, embargo):
    starts, ends, train, validation = made
    judged = set().union(*(bars_of(starts, ends, v) for v in validation))
    closed = {b for v in validation for b in range(ends[v], ends[v] + embargo)}
    free = [t for t in train if not judged & bars_of(starts, ends, t) and starts[t] not in closed]
    assert purged(train, validation, ends, starts=starts, embargo=embargo).tolist() == free


@few
@given(both=parts(), horizon=st.integers(1, 60), embargo=st.integers(0, 60))
def test_an_embargo_drops_only_what_is_decided_soon_after_a_validation_label(
    both, horizon, embargo
):
    train, validation = both
    without = purged(train, validation, horizon)
    ends = validation + horizon
    soon = [t for t in without if ((t >= ends) & (t < ends + embargo)).any()]
    kept = purged(train, validation, horizon, embargo=embargo)
    assert sorted([*kept, *soon]) == without.tolist()


@few
@given(made=labelled_parts(), shift=st.integers(-1000, 1000))
def test_purging_by_times_and_by_ranks_is_the_same(made, shift):
    starts, ends, train, validation = made
    ranks = Samples.timed(starts * 7 + shift, ends * 7 + shift)
    np.testing.assert_array_equal(
        purged(train, validation, ranks.ends, starts=ranks.starts),
        purged(train, validation, ends, starts=starts),
    )


@few
@given(folds=st.integers(1, 6), horizon=st.integers(1, 10))
def test_walk_forward_validates_every_bar_after_the_first_block_exactly_once(folds, horizon):
    seen = seen_by(horizon, 6)
    split = walk_forward(seen, folds=folds)
    validated = np.concatenate([fold.validation for fold in split.folds])
    first = int(split.folds[0].validation[0])
    assert validated.tolist() == list(range(first, seen.last_labelled + 1))
    assert len({len(fold.validation) for fold in split.folds}) == 1
    assert probe_split(split, ordered=True) is None


@few
@given(folds=st.integers(2, 6), horizon=st.integers(1, 10))
def test_walk_forward_trains_on_all_that_had_ended(folds, horizon):
    seen = seen_by(horizon, 6)
    for fold in walk_forward(seen, folds=folds).folds:
        last = int(fold.validation[0]) - horizon
        assert fold.train.tolist() == list(range(seen.first_bar, last + 1))


@few
@given(fraction=st.floats(0.1, 0.8), horizon=st.integers(1, 10))
def test_a_holdout_validates_its_share_and_purges_only_what_reaches_in(fraction, horizon):
    seen = seen_by(horizon, 6)
    (fold,) = holdout(seen, fraction=fraction).folds
    labelled = seen.last_labelled - seen.first_bar + 1
    assert len(fold.validation) == round(fraction * labelled)
    assert len(fold.train) + len(fold.validation) == labelled - (horizon - 1)


def test_a_split_too_fine_for_its_bars_says_how_many_folds_would_do():
    seen = seen_by(5, 6)
    with pytest.raises(DataError, match=r"Use at most (\d+) folds") as caught:
        walk_forward(seen, folds=60)
    possible = int(str(caught.value).split("at most ")[1].split()[0])
    assert len(walk_forward(seen, folds=possible).folds) == possible
    with pytest.raises(DataError):
        walk_forward(seen, folds=possible + 1)


def test_a_holdout_too_small_says_so_before_anything_is_trained():
    with pytest.raises(DataError, match="would validate"):
        holdout(seen_by(1, 6), fraction=0.01)
    with pytest.raises(DataError, match="training bars"):
        holdout(seen_by(1, 6), fraction=0.95)


def test_folds_that_are_too_small_are_refused_with_what_is_missing():
    fold = Fold(2, np.arange(40), np.arange(50, 70))
    with pytest.raises(DataError, match=r"fold 2 has 20 validation bars.*10 more"):
        require_folds([fold], 30)


def test_windows_come_by_bar_and_then_by_ticker():
    windows = Windows.of(seen_by(1, 6), np.array([30, 31]))
    assert windows.tickers.tolist() == ["AAA", "BBB", "CCC"] * 2
    assert (windows.decided_at[:3] == DATASET.times[30]).all()


def test_rows_of_windows_are_gathered_as_asked():
    windows = Windows.of(seen_by(2, 6), np.arange(40, 60))
    rows = np.array([5, 2, 33])
    np.testing.assert_array_equal(windows.inputs(rows), windows.inputs()[rows])
    np.testing.assert_array_equal(windows.truth(rows), windows.truth()[rows])


def test_blind_windows_keep_their_inputs_and_lose_their_truth():
    windows = Windows.of(seen_by(2, 6), np.arange(40, 60))
    blind = windows.blind()
    np.testing.assert_array_equal(blind.inputs(), windows.inputs())
    assert np.isnan(blind.truth()).all()
    assert np.isfinite(windows.truth()).all()


def test_the_hash_names_the_very_bars():
    seen = seen_by(3, 6)
    split = holdout(seen, fraction=0.3)
    assert split.hash == holdout(seen, fraction=0.3).hash
    assert split.hash != holdout(seen, fraction=0.31).hash
    assert split.hash != holdout(seen_by(4, 6), fraction=0.3).hash
    moved = Split(split.name, split.parameters, split.folds, split.times + 1, split.horizon)
    assert split.hash != moved.hash


def test_a_path_is_put_together_from_the_folds_it_names():
    validation = [np.array([1, 2, 5, 6]), np.array([3, 4])]
    folds = tuple(Fold(k, np.array([9]), part) for k, part in enumerate(validation))
    path = (Piece(0, np.array([1, 2])), Piece(1, np.array([3, 4])), Piece(0, np.array([5, 6])))
    split = Split("made", {}, folds, bars(10).times, 1, paths=(path,))
    losses = [part * 10.0 for part in validation]
    assert split.along(0, losses).tolist() == [10, 20, 30, 40, 50, 60]
    per_ticker = [np.stack([part, -part], axis=1) for part in validation]
    assert split.along(0, per_ticker)[:, 1].tolist() == [-1, -2, -3, -4, -5, -6]
    assert split.spec()["paths"] == [[0, 1, 0]]


def test_a_split_knows_whether_its_folds_train_on_the_past_only():
    seen = seen_by(3, 6)
    assert holdout(seen, fraction=0.3).ordered
    assert walk_forward(seen, folds=3).ordered
    kfold = registry.load("splitters", "purged_kfold").split(seen, folds=3)
    for fold in kfold.folds[:2]:
        assert not replace(kfold, folds=(fold,)).ordered
    assert replace(kfold, folds=kfold.folds[2:]).ordered


def test_rows_of_another_group_or_label_are_another_split():
    def hash_of(**changed):
        made = {"groups": np.array(["a", "a", "b"]), **changed}
        samples = Samples(np.arange(3), **made)
        fold = Fold(0, np.arange(2), np.array([2]))
        return Split("made", {}, (fold,), samples.times, 0, samples).hash

    spans = {"starts": np.arange(3), "ends": np.arange(1, 4)}
    hashes = [
        hash_of(),
        hash_of(groups=np.array(["a", "c", "b"])),
        hash_of(**spans),
        hash_of(**{**spans, "ends": np.arange(2, 5)}),
        hash_of(times=np.arange(3).astype("M8[s]"), **spans),
    ]
    assert len(set(hashes)) == len(hashes)
    assert hash_of() == hash_of()


def test_rows_without_times_have_no_validation_interval():
    samples = Samples(np.arange(3), groups=np.array(["a", "a", "b"]))
    split = Split("made", {}, (Fold(0, np.arange(2), np.array([2])),), None, 0, samples)
    assert split.validation_interval() == ("", "")
    assert split.spec()["folds"][0]["validation_groups"] == ["b"]
    assert split.spec()["folds"][0]["train"] == ["0", "1"]
    assert not split.ordered


def test_the_validation_interval_spans_all_folds():
    split = walk_forward(seen_by(3, 6), folds=3)
    first, last = split.folds[0].validation[0], split.folds[-1].validation[-1]
    assert split.validation_interval() == (str(DATASET.times[first]), str(DATASET.times[last]))

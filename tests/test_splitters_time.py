"""Cuts in time: what validates is what was promised, and nothing that trains shares its labels."""

from math import comb
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import podium
from looped import looped
from podium import registry
from podium.errors import DataError, UsageError
from podium.samples import Samples
from podium.split import purged
from podium.testing.leak import probe_split
from podium.testing.series import TICKERS, bars, view
from podium.testing.splitters import check_split, events
from podium.view import View

holdout, walk_forward, purged_kfold, combinatorial = (
    registry.load("splitters", name).split
    for name in ("holdout", "walk_forward", "purged_kfold", "combinatorial")
)
few = settings(max_examples=40)
ANY = {
    "holdout": (holdout, {"fraction": 0.4}),
    "walk_forward": (walk_forward, {"folds": 3}),
    "rolling": (walk_forward, {"folds": 3, "train_bars": 40}),
    "purged_kfold": (purged_kfold, {"folds": 3}),
    "combinatorial": (combinatorial, {"folds": 5, "test_folds": 2, "embargo": 3}),
}
every = pytest.mark.parametrize("name", ANY)


def seen_by(horizon=5, window=6, n=400, tickers=TICKERS):
    return view(bars(n, tickers), features=("log_return",), horizon=horizon, window=window)


def labels_of(samples, numbers):
    """Every bar that the labels of these samples are made of."""
    rows = np.searchsorted(samples.index, numbers)
    spans = zip(samples.starts[rows], samples.ends[rows], strict=True)
    return set().union(*(range(start + 1, end + 1) for start, end in spans))


# ---------------------------------------------------------------- names of splits in the record


@pytest.mark.parametrize(
    ("horizon", "window", "names"),
    [
        (1, 8, ("f20321bf3266", "77c1612a1f03", "09f60df29680")),
        (5, 20, ("14aa9137be9c", "9f0580395aef", "7af4bd33c34f")),
        (12, 6, ("c38d8206baac", "78493b6e0a1e", "f433527becae")),
    ],
)
def test_splits_of_the_first_release_keep_their_names(horizon, window, names):
    seen = view(bars(400), horizon=horizon, window=window)
    splits = (
        holdout(seen, fraction=0.25),
        walk_forward(seen, folds=4),
        walk_forward(seen, folds=1),
    )
    assert tuple(split.hash[:12] for split in splits) == names


def test_splits_of_the_demo_keep_their_names():
    dataset = registry.load("readers", "csv").read(
        Path(podium.__file__).parent / "demo" / "us4",
        name="us4",
        tickers=("AAPL", "GOOG", "IBM", "MSFT"),
        timeframe="D",
        adjust=True,
    )
    features = ["log_return", "log_range", *(f"log_volatility:{n}" for n in (5, 21, 63))]
    seen = View.of(dataset, features=features, target="volatility", horizon=5, window=40)
    tuning = seen.until(dataset.bar_at_or_after("2010-01-01"))
    names = [
        split.hash[:12]
        for split in (
            holdout(tuning, fraction=0.25),
            walk_forward(tuning, folds=4),
            holdout(tuning, fraction=0.15),
        )
    ]
    assert names == ["1dda984a34c7", "6a4fa6cacc42", "f4844948a067"]


# ---------------------------------------------------------------- what every cut in time promises


@every
@settings(max_examples=25)
@given(horizon=st.integers(1, 60), window=st.integers(2, 30), n=st.integers(250, 700))
def test_no_training_label_meets_a_validation_label(name, horizon, window, n):
    split_by, chosen = ANY[name]
    seen = seen_by(horizon, window, n)
    try:
        split = split_by(seen, **chosen)
    except DataError:
        assume(False)
    samples = seen.samples()
    for fold in split.folds:
        assert not labels_of(samples, fold.train) & labels_of(samples, fold.validation)
    check_split(split, seen, ordered=name in ("holdout", "walk_forward", "rolling"))


@every
@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), n=st.integers(400, 700), longest=st.integers(1, 60))
def test_labels_that_end_when_they_like_do_not_meet_either(name, seed, n, longest):
    split_by, chosen = ANY[name]
    samples = events(n, longest, seed)
    try:
        split = split_by(samples, **chosen)
    except DataError:
        assume(False)
    for fold in split.folds:
        assert not labels_of(samples, fold.train) & labels_of(samples, fold.validation)
    check_split(split, samples, ordered=name in ("holdout", "walk_forward", "rolling"))


@every
@given(order=st.permutations(["AAA", "BBB", "CCC", "DDD"]))
@settings(max_examples=10)
def test_the_order_of_tickers_changes_no_split(name, order):
    split_by, chosen = ANY[name]
    sorted_one = split_by(seen_by(tickers=sorted(order)), **chosen)
    turned = split_by(seen_by(tickers=order), **chosen)
    assert turned.hash == sorted_one.hash
    for one, other in zip(turned.folds, sorted_one.folds, strict=True):
        np.testing.assert_array_equal(one.train, other.train)
        np.testing.assert_array_equal(one.validation, other.validation)


@every
@given(seed=st.integers(0, 1000))
@settings(max_examples=10)
def test_the_order_of_samples_changes_nothing_about_who_validates(name, seed):
    split_by, chosen = ANY[name]
    samples = events(400, 5, seed=4)
    order = np.random.default_rng(seed).permutation(len(samples))
    turned = Samples.timed(samples.starts[order], samples.ends[order])
    for one, other in zip(
        split_by(samples, **{**chosen, **embargo_of(split_by)}).folds,
        split_by(turned, **{**chosen, **embargo_of(split_by)}).folds,
        strict=True,
    ):
        assert sorted(order[other.train]) == one.train.tolist()
        assert sorted(order[other.validation]) == one.validation.tolist()


def embargo_of(split_by):
    return {"embargo": 2} if split_by in (purged_kfold, combinatorial) else {}


@every
@looped("horizon", [2, 5, 12])
def test_a_purge_shorter_than_the_horizon_is_refused_with_the_number_that_would_do(name, horizon):
    split_by, chosen = ANY[name]
    seen = seen_by(horizon, n=500)
    with pytest.raises(
        UsageError, match=rf"purge is {horizon - 1} .* Expected purge = {horizon} or more"
    ):
        split_by(seen, **chosen, purge=horizon - 1)
    same, plain = split_by(seen, **chosen, purge=horizon), split_by(seen, **chosen)
    for one, other in zip(same.folds, plain.folds, strict=True):
        np.testing.assert_array_equal(one.train, other.train)


@every
def test_a_longer_purge_leaves_a_longer_gap(name):
    split_by, chosen = ANY[name]
    seen = seen_by(5, n=500)
    split = split_by(seen, **chosen, purge=20)
    for fold in split.folds:
        before = fold.train[fold.train < fold.validation[0]]
        if len(before):
            assert before[-1] == fold.validation[0] - 20
    assert split.parameters["purge"] == 20
    assert probe_split(split) is None


def test_purge_of_labels_with_their_own_ends_is_measured_against_the_longest():
    samples = Samples.timed(np.arange(200), np.arange(200) + np.tile([1, 7], 100))
    with pytest.raises(UsageError, match="purge = 7 or more"):
        holdout(samples, fraction=0.3, purge=6)
    assert holdout(samples, fraction=0.3, purge=7).folds[0].train.max() == 140 - 7


@every
def test_samples_without_times_are_sent_to_other_splitters(name):
    split_by, chosen = ANY[name]
    with pytest.raises(DataError, match=r"no times.*by group or by file"):
        split_by(Samples(np.arange(500)), **chosen)


@every
def test_a_cut_in_time_refuses_groups_that_it_would_share(name):
    split_by, chosen = ANY[name]
    numbers = np.arange(500)
    samples = Samples(numbers, numbers, numbers + 1, groups=np.repeat(["a", "b"], 250))
    with pytest.raises(DataError, match=r"2 groups.*Use the splitter group"):
        split_by(samples, **chosen)


@pytest.mark.parametrize("horizon", [1, 20, 45])
def test_walk_forward_over_long_labels_gives_the_largest_number_of_folds(horizon):
    seen = seen_by(horizon, n=600)
    with pytest.raises(DataError, match=r"per block.*Use at most \d+ folds") as told:
        walk_forward(seen, folds=30)
    most = int(str(told.value).split("at most ")[1].split()[0])
    assert len(walk_forward(seen, folds=most).folds) == most
    with pytest.raises(DataError, match="per block"):
        walk_forward(seen, folds=most + 1)


# ---------------------------------------------------------------- rolling


@few
@given(folds=st.integers(1, 5), horizon=st.integers(1, 10), train_bars=st.integers(30, 60))
def test_rolling_trains_on_the_last_bars_of_what_expanding_trains_on(folds, horizon, train_bars):
    seen = seen_by(horizon, n=420)
    expanding = walk_forward(seen, folds=folds)
    try:
        rolling = walk_forward(seen, folds=folds, train_bars=train_bars)
    except DataError:
        assert min(len(fold.train) for fold in expanding.folds) < train_bars
        return
    for one, other in zip(rolling.folds, expanding.folds, strict=True):
        np.testing.assert_array_equal(one.train, other.train[-train_bars:])
        np.testing.assert_array_equal(one.validation, other.validation)
    assert rolling.hash != expanding.hash
    assert rolling.parameters == {"folds": folds, "train_bars": train_bars}


def test_a_rolling_length_beyond_the_bars_gives_the_largest_one():
    with pytest.raises(DataError, match=r"Set train_bars to at most \d+") as told:
        walk_forward(seen_by(n=400), folds=3, train_bars=300)
    most = int(str(told.value).split("at most ")[1].split()[0])
    split = walk_forward(seen_by(n=400), folds=3, train_bars=most)
    assert len(split.folds[0].train) == most
    with pytest.raises(DataError):
        walk_forward(seen_by(n=400), folds=3, train_bars=most + 1)


# ---------------------------------------------------------------- k-fold and combinatorial


@few
@given(folds=st.integers(2, 9), horizon=st.integers(1, 20), n=st.integers(330, 700))
def test_in_kfold_every_labelled_bar_validates_exactly_once(folds, horizon, n):
    seen = seen_by(horizon, n=n)
    split = purged_kfold(seen, folds=folds)
    labelled = np.arange(seen.first_bar, seen.last_labelled + 1)
    validated = np.concatenate([fold.validation for fold in split.folds])
    np.testing.assert_array_equal(validated, labelled)
    sizes = [len(fold.validation) for fold in split.folds]
    assert max(sizes) - min(sizes) <= 1
    assert len(split.paths) == 1
    np.testing.assert_array_equal(
        split.along(0, [fold.validation for fold in split.folds]), labelled
    )


@few
@given(horizon=st.integers(1, 20), embargo=st.integers(0, 30))
def test_kfold_drops_only_labels_that_meet_and_the_embargo(horizon, embargo):
    seen = seen_by(horizon, n=500)
    labelled = np.arange(seen.first_bar, seen.last_labelled + 1)
    for fold in purged_kfold(seen, folds=4, embargo=embargo).folds:
        first, last = fold.validation[0], fold.validation[-1]
        expected = [b for b in labelled if b <= first - horizon or b >= last + horizon + embargo]
        assert fold.train.tolist() == expected


def test_six_folds_of_which_two_validate_give_fifteen_splits_and_five_paths():
    seen = seen_by(n=500)
    split = combinatorial(seen)
    assert split.parameters == {"folds": 6, "test_folds": 2, "embargo": 6}
    assert (len(split.folds), len(split.paths)) == (15, 5)
    # The table of the book: block by block, the splits that test it, one for each path.
    assert split.spec()["paths"] == [
        [0, 0, 1, 2, 3, 4],
        [1, 5, 5, 6, 7, 8],
        [2, 6, 9, 9, 10, 11],
        [3, 7, 10, 12, 12, 13],
        [4, 8, 11, 13, 14, 14],
    ]


@few
@given(data=st.data(), horizon=st.integers(1, 8))
def test_each_block_is_tested_in_its_share_of_splits_and_each_path_covers_everything(data, horizon):
    folds = data.draw(st.integers(2, 7))
    test_folds = data.draw(st.integers(1, folds - 1))
    seen = seen_by(horizon, n=420)
    try:
        split = combinatorial(seen, folds=folds, test_folds=test_folds, embargo=0)
    except DataError:
        assume(False)
    times_tested = comb(folds - 1, test_folds - 1)
    assert len(split.folds) == comb(folds, test_folds)
    assert len(split.paths) == times_tested
    labelled = np.arange(seen.first_bar, seen.last_labelled + 1)
    validated = np.concatenate([fold.validation for fold in split.folds])
    numbers, counts = np.unique(validated, return_counts=True)
    np.testing.assert_array_equal(numbers, labelled)
    assert set(counts) == {times_tested}
    # What a fold says of a bar is that fold's number: a path takes each block from one fold, and
    # no two paths take the same block from the same fold.
    said = [np.full(len(fold.validation), fold.number) for fold in split.folds]
    table = np.stack([split.along(p, said) for p in range(times_tested)])
    for bar in range(0, len(labelled), 7):
        assert len(set(table[:, bar])) == times_tested


@few
@given(
    horizon=st.integers(1, 12), window=st.integers(2, 30), data=st.sampled_from(["kfold", "cpcv"])
)
def test_without_a_word_the_embargo_keeps_validation_labels_out_of_training_inputs(
    horizon, window, data
):
    seen = seen_by(horizon, window, n=700)
    split = purged_kfold(seen, folds=4) if data == "kfold" else combinatorial(seen, folds=4)
    samples = seen.samples()
    for fold in split.folds:
        read = set().union(
            *(range(b - window + 1, b + 1) for b in fold.train if b > fold.validation[0])
        )
        assert not read & labels_of(samples, fold.validation)


def test_an_embargo_too_long_gives_the_largest_one():
    seen = seen_by(n=200)
    with pytest.raises(DataError, match="embargo of at most") as told:
        purged_kfold(seen, folds=3, embargo=150)
    most = int(str(told.value).split("at most ")[1].split()[0])
    assert purged_kfold(seen, folds=3, embargo=most).parameters["embargo"] == most
    with pytest.raises(DataError):
        purged_kfold(seen, folds=3, embargo=most + 1)


@pytest.mark.parametrize("split_by", [purged_kfold, combinatorial])
def test_too_many_folds_for_the_bars_gives_the_largest_number(split_by):
    seen = seen_by(1, n=400)
    with pytest.raises(DataError, match="Use at most") as told:
        split_by(seen, folds=40, embargo=0)
    most = int(str(told.value).split("at most ")[1].split()[0])
    assert split_by(seen, folds=most, embargo=0).parameters["folds"] == most
    with pytest.raises(DataError):
        split_by(seen, folds=most + 1, embargo=0)


def test_too_many_splits_are_refused_before_they_are_made():
    with pytest.raises(UsageError, match=r"3 of 40 folds give 9880 splits\. .* at most 19 folds"):
        combinatorial(seen_by(), folds=40, test_folds=3)
    with pytest.raises(UsageError, match="fewer test_folds"):
        combinatorial(seen_by(), folds=10**7, test_folds=5000)


@looped(
    ("split_by", "chosen", "told"),
    [
        (holdout, {"fraction": 0.0}, "fraction is 0.0"),
        (holdout, {"fraction": 1.5}, "fraction is 1.5"),
        (walk_forward, {"folds": 0}, "folds is 0. Expected at least 1"),
        (walk_forward, {"folds": 2, "train_bars": 3}, "train_bars is 3. Expected at least 30"),
        (purged_kfold, {"folds": 1}, "folds is 1. Expected at least 2"),
        (purged_kfold, {"folds": 1, "embargo": -1}, r"folds is 1(.|\n)*embargo is -1"),
        (combinatorial, {"folds": 4, "test_folds": 4}, "test_folds is 4 of 4 folds.*at most 3"),
        (combinatorial, {"folds": 4, "test_folds": 0}, "test_folds is 0. Expected at least 1"),
    ],
)
def test_numbers_out_of_bounds_are_refused(split_by, chosen, told):
    with pytest.raises(UsageError, match=told):
        split_by(seen_by(), **chosen)


# ---------------------------------------------------------------- samples


def test_one_moment_is_never_cut_in_two():
    decided = np.repeat(np.arange(100), 5)
    samples = Samples.timed(decided, decided + 2)
    for split in (holdout(samples, fraction=0.33), purged_kfold(samples, folds=3, embargo=0)):
        for fold in split.folds:
            assert not set(decided[fold.train]) & set(decided[fold.validation])


def test_samples_that_make_no_sense_are_refused_all_at_once():
    with pytest.raises(DataError, match=r"2 groups for 3 samples(.|\n)*1 labels for 3 samples"):
        Samples(np.arange(3), groups=np.array(["a", "b"]), labels=np.array([1]))
    with pytest.raises(DataError, match="not increasing"):
        Samples(np.array([1, 1]))
    with pytest.raises(DataError, match="only one of starts and ends"):
        Samples(np.arange(2), starts=np.arange(2))
    with pytest.raises(DataError, match=r"label of sample 1 starts .* \(2 such\)"):
        Samples.timed(np.array([1, 2, 3]), np.array([2, 2, 1]))
    with pytest.raises(DataError, match="sample 1 has no end time"):
        Samples.timed(np.array([1.0, 2.0]), np.array([2.0, np.nan]))


def test_a_label_that_describes_its_sequence_keeps_overlapping_sequences_apart():
    first, last = np.arange(0, 500), np.arange(0, 500) + 30
    samples = Samples.timed(first, last)
    (fold,) = holdout(samples, fraction=0.2).folds
    assert last[fold.train].max() <= first[fold.validation].min()


def test_bars_and_samples_of_the_same_spans_are_purged_alike():
    seen = seen_by(7, n=400)
    bars_of_view = seen.samples()
    samples = Samples.timed(bars_of_view.starts, bars_of_view.ends)
    for one, other in zip(
        purged_kfold(seen, folds=4, embargo=3).folds,
        purged_kfold(samples, folds=4, embargo=3).folds,
        strict=True,
    ):
        np.testing.assert_array_equal(one.train - seen.first_bar, other.train)
        np.testing.assert_array_equal(one.train, purged(one.train, one.validation, 7, embargo=3))

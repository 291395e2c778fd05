"""Groups stay whole, classes are in every fold, and two given files share nothing."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from podium import registry
from podium.dataset import Dataset
from podium.errors import DataError, UsageError
from podium.samples import Samples, row_digests
from podium.sequences import Sequences
from podium.splitters.given import joined
from podium.testing.leak import probe_split
from podium.testing.series import bars, view
from podium.testing.splitters import check_split, cohort, two_files

group, given_files = (registry.load("splitters", name).split for name in ("group", "given"))
few = settings(max_examples=40)


def samples_of(groups, labels=None, **others):
    return Samples(
        np.arange(len(groups)),
        groups=np.asarray(groups),
        labels=None if labels is None else np.asarray(labels),
        **others,
    )


# ---------------------------------------------------------------- group


@few
@given(
    sizes=st.lists(st.integers(1, 30), min_size=2, max_size=40),
    folds=st.integers(2, 8),
    seed=st.integers(0, 99),
)
def test_no_group_both_trains_and_validates_and_each_sample_validates_once(sizes, folds, seed):
    groups = np.repeat([f"g{k}" for k in range(len(sizes))], sizes)
    np.random.default_rng(seed).shuffle(groups)
    samples = samples_of(groups)
    try:
        split = group(samples, folds=folds, seed=seed)
    except DataError:
        assert (
            len(sizes) < folds or max(sizes) * 2 > sum(sizes) or max(sizes) * folds > 2 * sum(sizes)
        )
        return
    for fold in split.folds:
        assert not set(groups[fold.train]) & set(groups[fold.validation])
        assert len(fold.train) + len(fold.validation) == len(groups)
    validated = np.sort(np.concatenate([fold.validation for fold in split.folds]))
    np.testing.assert_array_equal(validated, np.arange(len(groups)))
    check_split(split, samples)


@few
@given(seed=st.integers(0, 10**6), folds=st.integers(2, 5))
def test_every_class_is_in_every_fold_in_a_like_share(seed, folds):
    samples = cohort(40, seed)
    split = group(samples, folds=folds, seed=seed)
    whole = np.bincount(samples.labels, minlength=3) / len(samples)
    for fold in split.folds:
        share = np.bincount(samples.labels[fold.validation], minlength=3) / len(fold.validation)
        assert (share > 0).all()
        assert np.abs(share - whole).max() < 0.08
        assert 0.7 < len(fold.validation) * folds / len(samples) < 1.3


@few
@given(seed=st.integers(0, 50), order=st.integers(0, 1000))
def test_the_order_of_samples_decides_nothing(seed, order):
    samples = cohort(30, seed=1)
    turned = np.random.default_rng(order).permutation(len(samples))
    other = samples_of(samples.groups[turned], samples.labels[turned])
    for one, two in zip(
        group(samples, folds=4, seed=seed).folds,
        group(other, folds=4, seed=seed).folds,
        strict=True,
    ):
        assert set(samples.groups[one.validation]) == set(other.groups[two.validation])


def test_the_seed_decides_which_groups_validate_together_and_is_kept():
    samples = cohort(30, seed=1)
    splits = [group(samples, folds=3, seed=seed) for seed in range(5)]
    together = {tuple(samples.groups[split.folds[0].validation]) for split in splits}
    assert len(together) == len({split.hash for split in splits}) == 5
    assert group(samples, folds=3, seed=2).parameters == {"folds": 3, "seed": 2}


def test_groups_may_be_numbers():
    split = group(samples_of(np.repeat([7, 8, 9, 10], 5)), folds=2)
    validated = [f["validation_groups"] for f in split.spec()["folds"]]
    assert {len(names) for names in validated} == {2}
    assert set().union(*validated) == {"7", "8", "9", "10"}


def test_samples_without_groups_are_refused_with_a_fix():
    with pytest.raises(DataError, match=r"no groups.*array 'groups'"):
        group(Samples(np.arange(50)), folds=2)


def test_one_group_alone_cannot_be_split():
    with pytest.raises(DataError, match="only one group, 'p1'"):
        group(samples_of(["p1"] * 50), folds=2)


def test_fewer_groups_than_folds_gives_the_largest_number_of_folds():
    samples = samples_of(np.repeat(["a", "b", "c"], 20))
    with pytest.raises(DataError, match=r"3 groups for 4 folds.*at most 3 folds"):
        group(samples, folds=4)
    assert len(group(samples, folds=3).folds) == 3


def test_a_group_larger_than_a_fold_can_be_gives_the_largest_number_of_folds():
    groups = np.repeat(["large", *"abcdefgh"], [40, *[8] * 8])
    with pytest.raises(
        DataError, match=r"'large' has 40 samples; each of 6 folds has about 17"
    ) as told:
        group(samples_of(groups), folds=6)
    most = int(str(told.value).split("at most ")[1].split()[0])
    assert len(group(samples_of(groups), folds=most).folds) == most
    with pytest.raises(DataError):
        group(samples_of(groups), folds=most + 1)


def test_a_group_of_more_than_half_is_refused_whatever_the_folds():
    with pytest.raises(DataError, match=r"'x' has 60 of 100 samples.*at most 50"):
        group(samples_of(np.repeat(["x", "y", "z"], [60, 20, 20])), folds=2)


def test_a_class_in_too_few_groups_gives_the_largest_number_of_folds():
    groups = np.repeat(np.arange(10), 10)
    labels = np.zeros(100, dtype=int)
    labels[[3, 45, 77]] = 1
    with pytest.raises(DataError, match=r"class '1' is in 3 of 10 groups.*at most 3 folds"):
        group(samples_of(groups, labels), folds=4)
    split = group(samples_of(groups, labels), folds=3)
    assert all(labels[fold.validation].sum() == 1 for fold in split.folds)
    labels[45] = labels[77] = 0
    with pytest.raises(DataError, match=r"class '1' is in 1 of 10 groups.*No split can"):
        group(samples_of(groups, labels), folds=2)


def test_classes_that_cannot_all_be_in_every_fold_are_refused_with_the_folds_that_would_do():
    # Each rare class is in three groups, but always two of them in one group.
    owners = {0: (0, 1), 1: (1, 2), 2: (0, 2), 3: (), 4: (), 5: ()}
    groups = np.repeat(np.arange(6), 10)
    labels = np.full(60, 9)
    for number, owned in owners.items():
        labels[number * 10 : number * 10 + len(owned)] = owned
    with pytest.raises(DataError, match=r"class '0' is in 2 of 6 groups"):
        group(samples_of(groups, labels), folds=3)
    with pytest.raises(DataError, match=r"no assignment of 6 groups to 2 folds.*every class"):
        group(samples_of(groups, labels), folds=2)


def test_all_problems_of_groups_are_reported_at_once():
    groups = np.repeat(["x", "y", "z"], [60, 20, 20])
    labels = np.array([0] * 99 + [1])
    with pytest.raises(DataError) as told:
        group(samples_of(groups, labels), folds=4)
    assert len(told.value.problems) == 3


@few
@given(by=st.sampled_from(["week", "month"]), horizon=st.integers(1, 6), seed=st.integers(0, 20))
def test_bars_are_grouped_by_calendar_and_labels_across_a_border_are_purged(by, horizon, seed):
    seen = view(bars(420), horizon=horizon)
    try:
        split = group(seen, folds=3, by=by, seed=seed, embargo=0)
    except DataError:
        assume(False)
    assert probe_split(split) is None
    unit = {"week": "W", "month": "M"}[by]
    # Weeks of numpy begin on Thursday; four days on, they begin on Monday.
    shift = np.timedelta64(4 if by == "week" else 0, "D")
    period = (seen.times.astype("M8[D]") - shift).astype(f"M8[{unit}]")
    for fold in split.folds:
        assert not set(period[fold.train]) & set(period[fold.validation])
        for bar in fold.train:
            assert np.abs(fold.validation - bar).min() >= horizon


def test_a_month_that_validates_keeps_training_a_window_away_by_default():
    seen = view(bars(800), horizon=1, window=8)
    waits = group(seen, folds=3, by="month")
    assert waits.parameters["embargo"] == 8
    assert len(waits.folds[0].train) < len(
        group(seen, folds=3, by="month", embargo=0).folds[0].train
    )


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ({"folds": 1}, "folds is 1"),
        ({"folds": 2, "by": "months"}, "Did you mean 'month'"),
        ({"folds": 2, "embargo": 3}, "embargo is 3 without a period"),
        ({"folds": 2, "seed": -1}, "seed is -1"),
    ],
)
def test_parameters_that_cannot_be_used_are_refused(chosen, told):
    with pytest.raises(UsageError, match=told):
        group(cohort(), **chosen)


def test_samples_without_times_have_no_calendar():
    with pytest.raises(DataError, match="cannot be grouped by day"):
        group(cohort(), folds=2, by="day")


def test_sequences_are_split_by_their_patients():
    rng = np.random.default_rng(3)
    patients = np.repeat([f"p{k}" for k in range(12)], 10)
    made = Sequences.of(
        "glucose", rng.standard_normal((120, 5, 2)), rng.integers(0, 2, 120), groups=patients
    )
    split = group(made, folds=4)
    assert probe_split(split) is None
    for fold in split.folds:
        train, validation = made.select(fold.train), made.select(fold.validation)
        assert not set(train.groups) & set(validation.groups)
        assert set(validation.y) == {0, 1}


# ---------------------------------------------------------------- given


def test_the_second_file_validates_and_the_first_trains():
    samples = two_files((60, 40))
    (fold,) = given_files(samples).folds
    assert fold.train.tolist() == list(range(60))
    assert fold.validation.tolist() == list(range(60, 100))
    check_split(given_files(samples), samples)


@few
@given(copies=st.integers(1, 10), seed=st.integers(0, 1000))
def test_a_row_that_is_in_both_files_is_refused_by_number(copies, seed):
    with pytest.raises(DataError, match=f"{copies} of 40 validation rows are copies") as told:
        given_files(two_files(seed=seed, copies=copies))
    row = 40 - copies
    assert f"row {row} of the validation file is row 0 of the training file" in str(told.value)


def test_two_files_of_sequences_share_neither_rows_nor_patients():
    def made(patients, seed):
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((len(patients), 4, 1))
        return Sequences.of("s", x, rng.integers(0, 2, len(patients)), groups=np.array(patients))

    train, validation = made(["a", "b", "c"], 1), made(["d", "e"], 2)
    samples = Samples.joined(train.samples(), validation.samples())
    split = given_files(samples)
    assert probe_split(split) is None
    assert split.folds[0].validation.tolist() == [3, 4]
    again = Samples.joined(train.samples(), train.samples())
    with pytest.raises(DataError, match=r"3 of 3 validation rows(.|\n)*3 groups are in both"):
        given_files(again)
    shared = made(["b", "e"], 2)
    with pytest.raises(DataError, match="1 groups are in both files: b"):
        given_files(Samples.joined(train.samples(), shared.samples()))


def test_an_empty_file_is_refused():
    with pytest.raises(DataError, match="the validation file has no sample"):
        given_files(two_files((5, 0)))
    with pytest.raises(DataError, match="the training file has no sample"):
        given_files(two_files((0, 5)))


def test_samples_of_one_file_are_refused():
    with pytest.raises(DataError, match="no source file"):
        given_files(Samples(np.arange(9)))


def test_equal_rows_have_equal_names_whatever_their_layout_in_memory():
    values = np.arange(24.0).reshape(4, 3, 2)
    turned = np.asfortranarray(values)
    assert row_digests(values).tolist() == row_digests(turned).tolist()
    assert len(set(row_digests(values))) == 4


def two_datasets(n=400, cut=300):
    whole = bars(n)
    return whole, whole.slice(0, cut), whole.slice(cut, n)


@few
@given(cut=st.integers(120, 300), horizon=st.integers(1, 12))
def test_bars_of_two_files_are_one_dataset_whose_labels_do_not_cross(cut, horizon):
    whole, first, second = two_datasets(cut=cut)
    dataset, start = joined(first, second)
    assert dataset.fingerprint == whole.fingerprint
    seen = view(dataset, horizon=horizon)
    split = given_files(seen, validation_from=start)
    (fold,) = split.folds
    assert fold.train.tolist() == list(range(seen.first_bar, cut - horizon + 1))
    assert fold.validation.tolist() == list(range(cut, seen.last_labelled + 1))
    assert probe_split(split, ordered=True) is None
    assert split.parameters == {"validation_from": start}


def test_bars_of_two_files_come_by_the_names_of_tickers():
    whole, first, second = two_datasets()
    turned = second.select(["CCC", "AAA", "BBB"])
    assert joined(first, turned)[0].fingerprint == whole.fingerprint


def test_bars_that_are_in_both_files_are_refused_with_the_first():
    whole, first, _ = two_datasets()
    with pytest.raises(DataError, match=rf"10 bars are in both files, .* {whole.times[290]}"):
        joined(first, whole.slice(290, 400))


def test_files_in_the_wrong_order_are_refused():
    _, first, second = two_datasets()
    with pytest.raises(DataError, match="before training ends"):
        joined(second, first)


def test_all_differences_of_two_files_are_reported_at_once():
    _, first, second = two_datasets()
    other = Dataset("x", "1H", ("AAA",), second.times[:0], {"close": second["close"][:0, :1]})
    with pytest.raises(DataError) as told:
        joined(first, other)
    assert len(told.value.problems) == 4


@pytest.mark.parametrize("moment", ["", "yesterday", "2001-13-01"])
def test_bars_need_to_know_where_the_second_file_begins(moment):
    with pytest.raises(UsageError, match="validation_from is"):
        given_files(view(bars(200)), validation_from=moment)


def test_validation_from_is_refused_if_samples_have_a_source_file():
    with pytest.raises(UsageError, match="Omit validation_from"):
        given_files(two_files(), validation_from="2001-01-01")


def test_too_few_bars_in_a_file_are_refused():
    whole, first, second = two_datasets(200, 185)
    dataset, start = joined(first, second)
    with pytest.raises(DataError, match="validation bars"):
        given_files(view(dataset), validation_from=start)
    assert len(dataset) == len(whole)

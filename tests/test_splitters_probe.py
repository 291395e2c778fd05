"""The probe of splits: each kind of leak is found every time, and the honest twin never accused."""

from dataclasses import replace

import numpy as np
import pytest

from looped import looped
from podium import registry
from podium.errors import PodiumError
from podium.samples import Samples
from podium.split import Fold, Split, purged
from podium.testing.leak import probe_split
from podium.testing.series import bars, view
from podium.testing.splitters import cohort, events, two_files

every_seed = looped("seed", range(20))
walk_forward, purged_kfold, combinatorial, group, given_files, holdout = (
    registry.load("splitters", name).split
    for name in ("walk_forward", "purged_kfold", "combinatorial", "group", "given", "holdout")
)


def seen_by(seed, horizon=None):
    rng = np.random.default_rng(seed)
    horizon = int(rng.integers(1, 20)) if horizon is None else horizon
    return view(bars(420, seed=seed), horizon=horizon, window=int(rng.integers(5, 20)))


def made(seen, train, validation, **parameters):
    samples = seen.samples()
    fold = Fold(0, np.sort(train), np.sort(validation))
    return Split("made", parameters, (fold,), samples.times, samples.horizon, samples)


@pytest.mark.parametrize("horizon", [1, 5])
@every_seed
def test_a_random_split_of_overlapping_windows_is_caught(seed, horizon):
    seen = seen_by(seed, horizon)
    numbers = np.random.default_rng(seed).permutation(seen.samples().index)
    cut = int(0.8 * len(numbers))
    assert probe_split(made(seen, numbers[:cut], numbers[cut:])) is not None
    # Dropping what labels share is not enough while windows hold validated bars.
    kept = purged(numbers[:cut], numbers[cut:], horizon)
    assert len(kept) or horizon > 1
    if len(kept):
        assert probe_split(made(seen, kept, numbers[cut:])) is not None


@every_seed
def test_the_twin_of_the_random_split_that_cuts_in_time_is_not_accused(seed):
    seen = seen_by(seed)
    assert probe_split(holdout(seen, fraction=0.2), ordered=True) is None
    assert probe_split(walk_forward(seen, folds=3), ordered=True) is None
    assert probe_split(walk_forward(seen, folds=3, train_bars=40), ordered=True) is None


@every_seed
def test_a_purge_one_bar_short_is_caught_at_that_bar(seed):
    seen = seen_by(seed, horizon=int(np.random.default_rng(seed).integers(2, 20)))
    numbers = seen.samples().index
    cut = int(np.random.default_rng(seed).integers(120, 300))
    short = made(seen, numbers[: cut - seen.horizon + 2], numbers[cut:])
    found = probe_split(short)
    assert (found.bar, found.column) == (numbers[cut] - seen.horizon + 1, (0,))
    assert "label shares" in found.how
    honest = made(seen, numbers[: cut - seen.horizon + 1], numbers[cut:])
    assert probe_split(honest, ordered=True) is None


@every_seed
def test_a_label_that_ends_one_position_late_is_caught(seed):
    samples = events(300, 20, seed)
    split = holdout(samples, fraction=0.3)
    assert probe_split(split, ordered=True) is None
    (fold,) = split.folds
    first = samples.starts[fold.validation].min()
    last = int(fold.train[np.argmax(samples.ends[fold.train])])
    late = samples.ends.copy()
    late[last] = first + 1
    found = probe_split(split, samples=replace(samples, ends=late))
    assert found.bar == last


@every_seed
def test_an_embargo_that_is_ignored_is_caught(seed):
    seen = seen_by(seed)
    embargo = 1 + int(np.random.default_rng(seed).integers(20))
    for kept in (
        purged_kfold(seen, folds=3, embargo=embargo),
        combinatorial(seen, folds=4, embargo=embargo),
    ):
        assert probe_split(kept) is None
        name, parameters = kept.name, {k: v for k, v in kept.parameters.items() if k != "embargo"}
        short = registry.load("splitters", name).split(seen, **parameters, embargo=embargo - 1)
        claimed = replace(short, parameters=kept.parameters)
        found = probe_split(claimed)
        assert f"less than {embargo} bars after" in found.how
        fold = claimed.folds[found.column[0]]
        assert found.bar - seen.horizon - embargo + 1 in fold.validation


@every_seed
def test_a_group_that_is_shared_is_caught(seed):
    everyone = cohort(20, seed)
    honest = group(everyone, folds=3, seed=seed)
    assert probe_split(honest) is None
    fold = honest.folds[seed % 3]
    moved = int(np.random.default_rng(seed).choice(fold.validation))
    patient = everyone.groups[moved]
    others = np.flatnonzero(everyone.groups == patient)
    assert len(others) > 1
    train = np.sort(np.append(fold.train, moved))
    validation = fold.validation[fold.validation != moved]
    found = probe_split(replace(honest, folds=(Fold(0, train, validation),)))
    assert (found.bar, found.column) == (moved, (0,))
    assert f"'{patient}'" in found.how


@every_seed
def test_shuffled_rows_of_patients_are_caught(seed):
    everyone = cohort(20, seed)
    order = np.random.default_rng(seed).permutation(len(everyone))
    fold = Fold(0, np.sort(order[40:]), np.sort(order[:40]))
    assert "group" in probe_split(Split("made", {}, (fold,), None, 0, everyone)).how


@every_seed
def test_a_row_copied_between_two_files_is_caught(seed):
    honest = given_files(two_files(seed=seed))
    assert probe_split(honest) is None
    found = probe_split(honest, samples=two_files(seed=seed, copies=2))
    assert found.bar == 0
    assert "row" in found.how


def test_a_training_row_of_the_validation_file_is_caught():
    split = given_files(two_files((60, 40)))
    moved = Fold(0, np.append(np.arange(60), 99), np.arange(60, 99))
    found = probe_split(replace(split, folds=(moved,)))
    assert (found.bar, found.how) == (99, "it is from file 1, not from file 0")


def test_a_sample_that_trains_and_validates_is_caught_without_times():
    samples = Samples(np.arange(10))
    fold = Fold(0, np.arange(6), np.arange(5, 10))
    found = probe_split(Split("made", {}, (fold,), None, 0, samples))
    assert (found.bar, found.how) == (5, "it validates too")


def test_a_probe_without_the_samples_is_blind():
    fold = Fold(0, np.arange(6), np.arange(6, 12))
    with pytest.raises(PodiumError, match="validation sample 10, and no sample"):
        probe_split(Split("made", {}, (fold,), None, 0, Samples(np.arange(10))))

"""Every file in splitters/ keeps the contract; a new one is tested without a line here."""

from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

from looped import looped
from podium import registry
from podium.errors import DataError
from podium.hashing import digest
from podium.samples import Samples
from podium.split import Fold, Piece, Split, purged
from podium.testing.leak import probe_split
from podium.testing.splitters import check_splitter


@pytest.fixture(params=registry.names("splitters"))
def splitter(request):
    return request.param


@pytest.mark.parametrize("horizon", [1, 5, 12])
def test_a_splitter_keeps_the_contract(splitter, horizon):
    check_splitter(registry.load("splitters", splitter), horizon=horizon)


@pytest.mark.parametrize(
    ("splitter", "parameters"),
    [
        ("walk_forward", {"folds": 3, "train_bars": 45}),
        ("purged_kfold", {"folds": 5, "embargo": 0}),
        ("combinatorial", {"folds": 4, "test_folds": 3}),
        ("group", {"folds": 2, "seed": 5}),
    ],
)
def test_a_splitter_keeps_the_contract_with_other_parameters(splitter, parameters):
    check_splitter(registry.load("splitters", splitter), horizon=3, **parameters)


def test_the_kit_finds_a_splitter_that_forgets_to_purge():
    bars = np.arange(100)
    split = Split("bare", {}, (Fold(0, bars[:70], bars[70:]),), bars.astype("M8[s]"), horizon=5)
    leak = probe_split(split)
    assert (leak.bar, leak.column) == (66, (0,))


def test_training_after_validation_is_fine_unless_order_was_promised():
    bars = np.arange(100)
    fold = Fold(0, np.concatenate([bars[:36], bars[64:]]), bars[40:60])
    split = Split("both sides", {}, (fold,), bars.astype("M8[s]"), horizon=5)
    assert probe_split(split) is None
    assert probe_split(split, ordered=True).bar == 64


# ---------------------------------------------------------------- splitters that break a promise


def module_of(split_by, **constants):
    """A splitter as a package of somebody else would bring it."""
    found = ModuleType("brought.mine")
    found.split = split_by
    for name, value in constants.items():
        setattr(found, name, value)
    return found


def made(data, train, validation, *, parameters=None, carried=True):
    """Split of rows, refused when small, as an author would make it."""
    samples = data.samples()
    if min(len(train), len(validation)) < 20:
        raise DataError("too few", "more")
    fold = Fold(0, samples.index[np.sort(train)], samples.index[np.sort(validation)])
    truth = samples if carried else None
    return Split("mine", parameters or {}, (fold,), samples.times, samples.horizon, truth)


def cut(data, share=0.7):
    """Rows before and after a moment, those before purged."""
    samples = data.samples()
    starts, ends = samples.spans
    moment = np.sort(starts)[int(share * (len(samples) - 1))]
    validation = np.flatnonzero(starts >= moment)
    return purged(np.flatnonzero(starts < moment), validation, ends, starts=starts), validation


def honest(data):
    return made(data, *cut(data))


def honest_without_samples(data):
    return made(data, *cut(data), carried=False)


def random(data):
    order = np.random.default_rng(0).permutation(len(data.samples()))
    return made(data, order[: len(order) // 2], order[len(order) // 2 :])


def one_bar_short(data):
    samples = data.samples()
    starts, ends = samples.spans
    _, validation = cut(data)
    return made(data, np.flatnonzero(ends <= starts[validation].min() + 1), validation)


def purged_by_bars(data):
    """Right for bars, but labels of events are longer than one position."""
    samples = data.samples()
    _, validation = cut(data)
    before = np.flatnonzero(
        samples.starts + max(samples.horizon, 1) <= samples.starts[validation].min()
    )
    return made(data, before, validation)


def backwards(data):
    train, validation = cut(data, 0.3)
    samples = data.samples()
    starts, ends = samples.spans
    behind = purged(validation, train, ends, starts=starts, embargo=samples.window)
    return made(data, behind, train)


def restless(data, calls=[]):  # noqa: B006
    calls.append(None)
    split = honest(data)
    return replace(split, parameters={"call": len(calls)})


def looks_at_prices(data):
    if isinstance(data, Samples):
        return honest(data)
    return replace(honest(data), parameters={"seen": digest(float(np.nansum(data.features)))})


def counts_tickers_off(data):
    first = getattr(data, "tickers", ["-"])[0]
    return replace(honest(data), parameters={"first": first})


def deaf(data, purge=None):
    return honest(data)


def careless(data, embargo=0):
    _, validation = cut(data, 0.4)
    middle = validation[: len(validation) // 2]
    starts, ends = data.samples().spans
    everything = np.arange(len(starts))
    kept = purged(everything, middle, ends, starts=starts, embargo=0)
    return made(data, kept, middle, parameters={"embargo": embargo})


def never_refuses(data):
    samples = data.samples()
    train, validation = (samples.index[rows] for rows in cut(data))
    return Split("mine", {}, (Fold(0, train, validation),), samples.times, samples.horizon, samples)


def promises_too_much(data):
    split = honest(data)
    return replace(split, paths=((Piece(0, split.folds[0].validation),),))


@looped(
    ("split_by", "told"),
    [
        (random, "not separate"),
        (one_bar_short, "label shares a bar"),
        (purged_by_bars, "label shares a bar"),
        (restless, "two calls give two splits"),
        (looks_at_prices, "depends on prices"),
        (counts_tickers_off, "order of tickers matters"),
        (deaf, "another purge has the same hash"),
        (careless, "decided less than"),
        (never_refuses, "too few bars are not refused|nothing to train"),
        (promises_too_much, "a path misses or repeats a sample"),
    ],
)
def test_the_kit_tells_which_promise_was_broken(split_by, told):
    with pytest.raises(AssertionError, match=told):
        check_splitter(module_of(split_by), horizon=5)


def test_the_kit_holds_a_splitter_to_the_order_it_promised():
    with pytest.raises(AssertionError, match="not known at the first validation decision"):
        check_splitter(module_of(backwards, ORDERED=True), horizon=5)
    check_splitter(module_of(backwards), horizon=5)


@pytest.mark.parametrize("split_by", [honest, honest_without_samples])
@pytest.mark.parametrize("horizon", [1, 5])
def test_the_kit_accepts_the_honest_twin(split_by, horizon):
    check_splitter(module_of(split_by, ORDERED=True), horizon=horizon)


def test_the_kit_finds_groups_that_are_shared():
    def shares(data):
        if data.samples().groups is None or len(set(data.samples().groups)) < 2:
            raise DataError("no groups", "groups")
        rows = np.arange(len(data.samples()))
        return made(data, rows[::2], rows[1::2])

    with pytest.raises(AssertionError, match="its group 'p"):
        check_splitter(module_of(shares, APART="groups"))


def test_the_kit_finds_a_copy_that_is_not_refused():
    def trusts(data):
        sources = data.samples().sources
        return made(data, np.flatnonzero(sources == 0), np.flatnonzero(sources == 1))

    with pytest.raises(AssertionError, match="in both files is not refused"):
        check_splitter(module_of(trusts, APART="sources"))


def test_the_kit_finds_a_copy_that_trains_and_validates():
    def shares(data):
        if data.samples().groups is not None:
            raise DataError("groups", "no groups")
        rows = np.arange(len(data.samples()))
        return made(data, rows[::2], rows[1::2])

    with pytest.raises(AssertionError, match="a copy of a training sample validates"):
        check_splitter(module_of(shares, APART="contents"))

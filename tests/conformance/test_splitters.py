"""Every file in splitters/ keeps the contract; a new one is tested without a line here."""

import numpy as np
import pytest

from podium import registry
from podium.split import Fold, Split
from podium.testing.leak import probe_split
from podium.testing.splitters import check_splitter


@pytest.fixture(params=registry.names("splitters"))
def splitter(request):
    return request.param


@pytest.mark.parametrize("horizon", [1, 5, 12])
def test_a_splitter_keeps_the_contract(splitter, horizon):
    check_splitter(registry.load("splitters", splitter), horizon=horizon)


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

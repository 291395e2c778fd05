"""Counts of the configs that were tested for a slot."""

import math
from dataclasses import dataclass

import numpy as np
import pytest

import projects
from podium.importers._base import Imported
from podium.ledger import foreign, reads, writes
from podium.record import Record
from podium.split import Fold, Split
from podium.steps.evidence.looks import count_configs
from podium.trial import State
from records import end, start


def split_of(first: int, last: int, *, folds: int = 1) -> Split:
    """Split that validates on bars ``first`` to ``last`` of a hundred days, in some folds."""
    times = np.datetime64("2009-01-01", "s") + np.arange(100) * np.timedelta64(86400, "s")
    parts = np.array_split(np.arange(first, last + 1), folds)
    return Split(
        "given",
        {},
        tuple(Fold(n, np.arange(5), part) for n, part in enumerate(parts)),
        times,
        1,
    )


def look(ledger, split, configs, *, slot=projects.SLOT, question="q", **key):
    """Let a study look at configs on a split."""
    study = projects.new_study(ledger, slot, question)
    with ledger.transaction() as tx:
        writes.put_split(tx, split)
    for dropout in configs:
        config = {"dropout": dropout, **key.get("config", {})}
        start(
            ledger,
            study,
            projects.new_trial(0, split=split.hash, **{**key, "config": config}),
        )


@dataclass
class Slot:
    """What a count needs to know of a slot's data."""

    slot: str = projects.SLOT
    fingerprint: str = "d" * 64
    target: str = "volatility"

    def same_target(self, spec):
        return spec.get("target") == self.target

    def shares_data(self, fingerprint, timeframe, tickers):
        return fingerprint == self.fingerprint


def count(ledger, split, slot=projects.SLOT, **data):
    with ledger.reading() as tx:
        return count_configs(tx, Slot(slot, **data), split.validation_interval())


def test_a_config_counts_once_whatever_its_folds_seeds_and_epochs(ledger):
    split = split_of(50, 90, folds=2)
    look(ledger, split, [0.1, 0.2])
    for key in ({"fold": 1}, {"seed": 99}, {"config": {"max_epochs": 3}}, {"family_version": 2}):
        look(ledger, split, [0.1, 0.2], **key)
    assert count(ledger, split) == 2
    look(ledger, split, [0.3], config={"max_epochs": 3})
    assert count(ledger, split) == 3


def test_configs_of_all_studies_of_the_slot_count_and_of_no_other_slot(ledger):
    split = split_of(50, 90)
    look(ledger, split, [0.1, 0.2])
    look(ledger, split, [0.2, 0.3], question="another search")
    look(ledger, split, [0.4, 0.5, 0.6], slot="us4/D/return")
    assert count(ledger, split) == 3
    assert count(ledger, split, "us4/D/return") == 3


def test_a_config_counts_once_for_every_task_it_was_tested_in(ledger):
    split = split_of(50, 90)
    for task in "abcdef":
        look(ledger, split, [n / 100 for n in range(16)], task=task * 64)
    assert count(ledger, split) == 6 * 16


@pytest.mark.parametrize("another_project", [False, True])
def test_configs_of_a_renamed_slot_or_of_another_project_count_on_the_same_data(
    ledger, folder, another_project
):
    split, old = split_of(50, 90), ledger
    if another_project:
        old = projects.open_ledger(folder, "p-other")
    for target in ("volatility", "return"):
        with old.transaction() as tx:
            writes.put_task(tx, target[0] * 64, {"target": target})
    look(old, split, [0.1, 0.2], slot="old/D/volatility", task="v" * 64)
    look(old, split, [0.3, 0.4, 0.5], slot="old/D/volatility", task="r" * 64)
    look(old, split_of(10, 20), [0.6], slot="old/D/volatility", task="v" * 64)
    look(ledger, split, [0.2], task="v" * 64)
    # Another target is another question; one more look at the same config is none.
    assert count(ledger, split) == 2
    assert count(ledger, split, target="return") == 1 + 3
    assert count(ledger, split, fingerprint="e" * 64) == 1
    if another_project:
        old.close()


def test_configs_count_on_an_overlapping_interval_only(ledger):
    mine = split_of(50, 70)
    look(ledger, mine, [0.1])
    look(ledger, split_of(70, 90), [0.2])
    look(ledger, split_of(40, 95), [0.3])
    look(ledger, split_of(71, 90), [0.4])
    look(ledger, split_of(20, 49), [0.5])
    assert count(ledger, mine) == 3


def test_a_baseline_counts_only_if_a_study_looked_at_its_config_in_another_phase(ledger):
    split = split_of(50, 90)
    for phase, family in (
        ("baseline", "naive"),
        ("extend_baseline", "naive"),
        ("baseline", "mean"),
    ):
        look(ledger, split, [0.1], phase=phase, family=family)
    assert count(ledger, split) == 0
    study = projects.new_study(ledger)
    with ledger.reading() as tx:
        [naive, _] = reads.trials_of(tx, study.id, "baseline")
    end(ledger, naive.id, state=State.FAILED, score=math.nan)
    with ledger.transaction() as tx:
        writes.retry_trials(tx, [naive.id], "tester")
    assert count(ledger, split) == 0
    look(ledger, split, [0.1], family="naive", question="another search")
    assert count(ledger, split) == 1


def test_failed_configs_count(ledger):
    split = split_of(50, 90)
    look(ledger, split, [0.1], family="bilstm")
    look(ledger, split, [0.1])
    study = projects.new_study(ledger)
    with ledger.reading() as tx:
        [first, *_] = reads.trials_of(tx, study.id, "tune")
    end(ledger, first.id, state=State.FAILED, score=math.nan)
    assert count(ledger, split) == 2


def test_imported_configs_count_as_tested_on_these_bars(ledger):
    split = split_of(50, 90)
    look(ledger, split, [0.1, 0.2])
    told = [("lstm", 0.2), ("lstm", 0.3), ("toto", 0.3), ("naive", 0.3)]
    records = [
        Record("", model, "2025-01-01T00:00:00", {"dropout": dropout, "max_epochs": 9}, {"mae": 1})
        for model, dropout in told
    ]
    with ledger.transaction() as tx:
        foreign.put_imported(tx, Imported("log.jsonl", records), projects.SLOT)
        foreign.put_imported(tx, Imported("other", records[:1]), "us4/D/return")
    assert count(ledger, split) == 5
    assert count(ledger, split, "us4/D/return") == 1

"""Folds with equal shares of every class, for samples without groups; copies stay together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from podium.errors import DataError, Problem
from podium.samples import HasSamples
from podium.split import Split
from podium.splitters._base import at_least, build_assigned, require

# Samples have no order: training may be later than validation.
ORDERED = False
# Attribute that training and validation never share.
APART = "contents"


def split(data: HasSamples, *, folds: int, seed: int = 0) -> Split:
    """Assign every sample to the validation of one of ``folds`` folds, balanced by class.

    Parameters
    ----------
    folds : int, >= 2
    seed : int, >= 0
        Seed of the assignment within a class.

    Raises
    ------
    DataError
        The samples have groups, or a class has fewer distinct samples than folds.
    UsageError
        Numbers below their bounds.
    """
    require(at_least("folds", folds, 2), at_least("seed", seed, 0))
    samples = data.samples()
    if samples.groups is not None:
        what = f"the samples have {len(np.unique(samples.groups))} groups, and this splitter puts "
        what += "a group into training and validation"
        raise DataError(what, "samples without groups", "use the splitter group")
    n = len(samples)
    labels = np.zeros(n, dtype=np.int64) if samples.labels is None else samples.labels
    contents = np.arange(n) if samples.contents is None else samples.contents
    _, first, unit = np.unique(contents, return_index=True, return_inverse=True)
    # A unit is a sample with its copies; the first one has its class.
    of_unit = np.asarray(labels)[first]
    classes, counts = np.unique(of_unit, return_counts=True)
    problems = [
        Problem(
            f"class '{name}' has {count} distinct samples",
            f"at least {folds}: one per fold",
            f"use at most {count} folds" if count > 1 else "add samples, or remove the class",
        )
        for name, count in zip(classes.tolist(), counts.tolist(), strict=True)
        if count < folds
    ]
    DataError.raise_for(problems)
    fold_of = np.empty(len(first), dtype=np.int64)
    rng, start = np.random.default_rng(seed), 0
    for name in classes:
        members = rng.permutation(np.flatnonzero(of_unit == name))
        # Each class continues at the fold after the previous class, so that folds have equal sizes.
        fold_of[members] = (start + np.arange(len(members))) % folds
        start += len(members)
    untimed = replace(samples, starts=None, ends=None, horizon=0)
    return build_assigned("stratified", untimed, {"folds": folds, "seed": seed}, fold_of[unit])

"""Folds of whole groups: no patient, day or engine both trains and validates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from podium.errors import DataError, Problem, Problems, suggest
from podium.hashing import digest
from podium.samples import HasSamples, Indices, Samples
from podium.split import Split
from podium.splitters._base import at_least, build_assigned, drop_none, require

# Groups have no order: training may be later than validation.
ORDERED = False
# Attribute that training and validation never share; default: label spans.
APART = "groups"
PERIODS = {"day": "D", "week": "W", "month": "M", "year": "Y"}
ATTEMPTS = 50


def split(
    data: HasSamples, *, folds: int, seed: int = 0, by: str = "", embargo: int | None = None
) -> Split:
    """Assign every group to the validation of one of ``folds`` folds of similar size.

    Folds also have a similar share of each class. The same seed gives the same folds for any order
    of the samples.

    Parameters
    ----------
    folds : int, >= 2
    seed : int, >= 0
        Breaks ties between equally good assignments.
    by : {"", "day", "week", "month", "year"}
        Calendar periods of the decision (UTC) replace the samples' groups. Labels that overlap
        another period are purged; labels of the samples' groups never overlap.
    embargo : int, >= 0, optional
        Only with ``by``: bars after each validation label without training. Default: the window.

    Raises
    ------
    DataError
        No groups, too few groups, a group larger than a fold, or a class that cannot be in every
        fold; the message gives the largest number of folds.
    UsageError
        Numbers below their bounds, or an unknown period.
    """
    wrong = None
    if by and by not in PERIODS:
        wrong = Problem(f"by is '{by}'", "nothing or a period", suggest(by, PERIODS))
    elif embargo is not None and not by:
        wrong = Problem(f"embargo is {embargo} without a period", fix="set by, or omit the embargo")
    bounds = (("folds", folds, 2), ("seed", seed, 0), ("embargo", embargo, 0))
    require(*(at_least(*bound) for bound in bounds), wrong)
    samples = _by_period(data.samples(), by) if by else _by_group(data.samples())
    names, member = np.unique(np.asarray(samples.groups), return_inverse=True)
    if samples.labels is None:
        classes, label = np.zeros(1, dtype=np.int64), np.zeros(len(samples), dtype=np.int64)
    else:
        classes, label = np.unique(samples.labels, return_inverse=True)
    counts = np.zeros((len(names), len(classes)), dtype=np.int64)
    np.add.at(counts, (member, label), 1)
    _require_possible(names, classes, counts, folds)
    fold_of = _assign(names, counts, folds, seed)
    if fold_of is None:
        _refuse_classes(names, classes, counts, folds, seed)
    bars = (samples.window if embargo is None else embargo) if by else None
    parameters = drop_none(folds=folds, seed=seed, by=by or None, embargo=bars)
    return build_assigned("group", samples, parameters, np.asarray(fold_of)[member], bars or 0)


def _by_group(samples: Samples) -> Samples:
    if samples.groups is None:
        fix = "add an array 'groups' to the file (a different number for every sample if none "
        fix += "share a source), or group bars by day, week, month or year"
        expected = "a group for each: patient, day, engine"
        raise DataError("the samples have no groups", expected, fix)
    return replace(samples, starts=None, ends=None, horizon=0)


def _by_period(samples: Samples, by: str) -> Samples:
    if samples.times is None:
        what = f"the samples have no times, so they cannot be grouped by {by}"
        raise DataError(what, "times", "omit 'by' and add groups to the samples")
    times = samples.times[samples.index].astype("datetime64[s]")
    groups = times.astype(f"datetime64[{PERIODS[by]}]")
    if by == "week":
        # Weeks of numpy begin on Thursdays, as 1970 did.
        days = times.astype("datetime64[D]").astype(np.int64)
        groups = (days - (days + 3) % 7).astype("datetime64[D]")
    return replace(samples, groups=np.datetime_as_string(groups))


def _require_possible(
    names: NDArray[Any], classes: NDArray[Any], counts: Indices, folds: int
) -> None:
    """Refuse groups for which no assignment to folds exists."""
    problems = Problems()
    if len(names) == 1:
        fix = "split by time (walk_forward), or use finer groups"
        raise DataError(f"there is only one group, '{names[0]}'", "at least one for each fold", fix)
    if len(names) < folds:
        what, fix = f"{len(names)} groups for {folds} folds", f"use at most {len(names)} folds"
        problems.add(what, "at least one per fold", fix)
    sizes = counts.sum(axis=1)
    largest, n = int(sizes.argmax()), int(sizes.sum())
    if 2 * sizes[largest] > n:
        what = f"group '{names[largest]}' has {sizes[largest]} of {n} samples"
        expected = f"at most {n // 2}, so that more trains than validates"
        problems.add(what, expected, "split the group, thin it out, or use it as a test")
    elif sizes[largest] * folds > 2 * n:
        what = f"group '{names[largest]}' has {sizes[largest]} samples; each of {folds} folds has "
        what += f"about {n // folds}"
        fix = f"use at most {2 * n // sizes[largest]} folds"
        problems.add(what, "no group larger than two folds", fix)
    in_groups = (counts > 0).sum(axis=0)
    # A class in every group lacks groups only if folds do, which is reported above.
    for position in np.flatnonzero(in_groups < min(folds, len(names))):
        count, name = int(in_groups[position]), classes[position]
        fix = f"use at most {count} folds"
        if count <= 1:
            fix = "no split can both train and validate on it: add groups that have it, or "
            fix += "remove the class"
        what = f"class '{name}' is in {count} of {len(names)} groups"
        problems.add(what, f"at least {folds}: one per fold", fix)
    DataError.raise_for(problems)


def _assign(names: NDArray[Any], counts: Indices, folds: int, seed: int) -> Indices | None:
    """Return the fold of each group, every class in every fold; None if no attempt succeeds."""
    for attempt in range(ATTEMPTS):
        # Drawn by name, so independent of the order of samples.
        drawn = np.array([digest([seed, attempt, str(name)]) for name in names.tolist()])
        fold_of = _balance(counts, folds, np.argsort(drawn))
        inside = np.zeros((folds, counts.shape[1]), dtype=np.int64)
        np.add.at(inside, fold_of, counts)
        if (inside > 0).all():
            return fold_of
    return None


def _balance(counts: Indices, folds: int, order: Indices) -> Indices:
    """Return the fold of each group, assigned from the largest group to balance class shares.

    Shares are of all samples of a class, so a rare class weighs as much as a common one.
    """
    share = counts / counts.sum(axis=0)
    inside = np.zeros((folds, counts.shape[1]))
    fold_of = np.empty(len(counts), dtype=np.int64)
    # Stable: groups of equal size keep the drawn order.
    for group in order[np.argsort(-share.max(axis=1)[order], kind="stable")]:
        # The sum of squared shares grows least in the fold that lacks the group's classes.
        growth = (2 * inside @ share[group]).round(12)
        fold = int(np.lexsort((inside.sum(axis=1).round(12), growth))[0])
        fold_of[group] = fold
        inside[fold] += share[group]
    return fold_of


def _refuse_classes(
    names: NDArray[Any], classes: NDArray[Any], counts: Indices, folds: int, seed: int
) -> None:
    possible = next(
        (k for k in range(folds - 1, 1, -1) if _assign(names, counts, k, seed) is not None), 0
    )
    rarest: Sequence[int] = np.argsort((counts > 0).sum(axis=0), kind="stable")[:3].tolist()
    listed = ", ".join(f"'{classes[c]}' in {int((counts[:, c] > 0).sum())} groups" for c in rarest)
    what = f"no assignment of {len(names)} groups to {folds} folds has every class in every fold "
    what += f"({listed})"
    fix = f"use at most {possible} folds" if possible else "add groups, or remove the rarest class"
    raise DataError(what, "every class in every fold", fix)

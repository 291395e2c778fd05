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
from podium.splitters._base import at_least, build, require, spelled

# Groups have no order: some train on what came after the validated ones.
ORDERED = False
# What is never shared between training and validation; without it: label spans.
APART = "groups"
PERIODS = {"day": "D", "week": "W", "month": "M", "year": "Y"}
ATTEMPTS = 50


def split(
    data: HasSamples, *, folds: int, seed: int = 0, by: str = "", embargo: int | None = None
) -> Split:
    """Every group validates in exactly one of ``folds`` folds of like size.

    Where samples have classes the folds also have a like share of each. The same seed gives the
    same folds, in whatever order the samples stand.

    Parameters
    ----------
    folds : int, >= 2
    seed : int, >= 0
        Decides between assignments that are equally good.
    by : {"", "day", "week", "month", "year"}
        Groups are calendar periods of the decision (UTC) in place of the samples' own groups. Then
        labels that reach from one group into another are purged; labels of the samples' own groups
        are made of different things and share nothing.
    embargo : int, >= 0, optional
        Only with ``by``: bars after each validation label that are not trained on. Default: as
        many as a window.

    Raises
    ------
    DataError
        No groups, too few of them, one larger than a fold can be, a class that cannot be in every
        fold; each with the number of folds that would do.
    UsageError
        Numbers below their bounds, an unknown period.
    """
    require(
        at_least("folds", folds, 2),
        at_least("seed", seed, 0),
        at_least("embargo", embargo, 0),
        Problem(f"by is '{by}'", "nothing or a period", suggest(by, PERIODS))
        if by and by not in PERIODS
        else None,
        Problem(f"embargo is {embargo} without a period", fix="set by, or leave the embargo out")
        if embargo is not None and not by
        else None,
    )
    samples = _periods(data.samples(), by) if by else _own(data.samples())
    names, member = np.unique(np.asarray(samples.groups), return_inverse=True)
    if samples.labels is None:
        classes, label = np.zeros(1, dtype=np.int64), np.zeros(len(samples), dtype=np.int64)
    else:
        classes, label = np.unique(samples.labels, return_inverse=True)
    counts = np.zeros((len(names), len(classes)), dtype=np.int64)
    np.add.at(counts, (member, label), 1)
    _require_possible(names, classes, counts, folds)
    fold_of = _assigned(names, counts, folds, seed)
    if fold_of is None:
        _refuse_classes(names, classes, counts, folds, seed)
    of_sample = np.asarray(fold_of)[member]
    cuts = [(np.flatnonzero(of_sample != k), np.flatnonzero(of_sample == k)) for k in range(folds)]
    waits = (samples.window if embargo is None else embargo) if by else None
    return build(
        "group",
        samples,
        {"folds": folds, "seed": seed, **spelled(by=by or None, embargo=waits)},
        cuts,
        embargo=waits or 0,
        paths=[[(fold, validation) for fold, (_, validation) in enumerate(cuts)]],
        minimum=1,
    )


def _own(samples: Samples) -> Samples:
    if samples.groups is None:
        raise DataError(
            "the samples have no groups",
            "a group for each: patient, day, engine",
            "add an array 'groups' to the file (a number of its own for every sample where no two "
            "have a common source), or group bars by day, week, month or year",
        )
    return replace(samples, starts=None, ends=None, horizon=0)


def _periods(samples: Samples, by: str) -> Samples:
    if samples.times is None:
        raise DataError(
            f"the samples have no times, so they cannot be grouped by {by}",
            "times",
            "leave 'by' out and give the samples groups",
        )
    times = samples.times[samples.index].astype("datetime64[s]")
    groups = times.astype(f"datetime64[{PERIODS[by]}]")
    if by == "week":
        # Weeks of numpy begin on Thursdays, where 1970 did; those of people on Mondays.
        days = times.astype("datetime64[D]").astype(np.int64)
        groups = (days - (days + 3) % 7).astype("datetime64[D]")
    return replace(samples, groups=np.datetime_as_string(groups))


def _require_possible(
    names: NDArray[Any], classes: NDArray[Any], counts: Indices, folds: int
) -> None:
    """Refuse what no assignment of groups to folds could mend, all problems at once."""
    problems = Problems()
    if len(names) == 1:
        raise DataError(
            f"there is only one group, '{names[0]}'",
            "at least one for each fold",
            "split by time (walk_forward), or give the samples finer groups",
        )
    if len(names) < folds:
        problems.add(
            f"{len(names)} groups for {folds} folds",
            "at least one a fold",
            f"use at most {len(names)} folds",
        )
    sizes = counts.sum(axis=1)
    largest, n = int(sizes.argmax()), int(sizes.sum())
    if 2 * sizes[largest] > n:
        problems.add(
            f"group '{names[largest]}' has {sizes[largest]} of {n} samples",
            f"at most {n // 2}, so that more trains than validates",
            "split the group, thin it out, or keep it for a test",
        )
    elif sizes[largest] * folds > 2 * n:
        problems.add(
            f"group '{names[largest]}' has {sizes[largest]} samples and a fold of {folds} "
            f"about {n // folds}",
            "no group larger than two folds",
            f"use at most {2 * n // sizes[largest]} folds",
        )
    in_groups = (counts > 0).sum(axis=0)
    # A class in every group is short of groups only where folds are, which was told.
    for position in np.flatnonzero(in_groups < min(folds, len(names))):
        found, name = int(in_groups[position]), classes[position]
        problems.add(
            f"class '{name}' is in {found} of {len(names)} groups",
            f"at least {folds}: one a fold",
            f"use at most {found} folds"
            if found > 1
            else "no split can both train and validate on it: add groups that have it, or "
            "leave the class out",
        )
    DataError.raise_for(problems)


def _assigned(names: NDArray[Any], counts: Indices, folds: int, seed: int) -> Indices | None:
    """Fold of each group, every class in every fold; None where no attempt finds one."""
    for attempt in range(ATTEMPTS):
        # Drawn by name: another order of samples changes nothing.
        drawn = np.array([digest([seed, attempt, str(name)]) for name in names.tolist()])
        fold_of = _balanced(counts, folds, np.argsort(drawn))
        inside = np.zeros((folds, counts.shape[1]), dtype=np.int64)
        np.add.at(inside, fold_of, counts)
        if (inside > 0).all():
            return fold_of
    return None


def _balanced(counts: Indices, folds: int, order: Indices) -> Indices:
    """Fold of each group: the largest first, each where the shares of all classes end most alike.

    A class counts by its share of all samples of that class, so a rare one weighs as much as a
    common one.
    """
    share = counts / counts.sum(axis=0)
    inside = np.zeros((folds, counts.shape[1]))
    fold_of = np.empty(len(counts), dtype=np.int64)
    # Stable, so that groups alike in size keep the drawn order.
    for group in order[np.argsort(-share.max(axis=1)[order], kind="stable")]:
        # The sum of squares of shares grows least where the group's classes are still missing.
        growth = (2 * inside @ share[group]).round(12)
        fold = int(np.lexsort((inside.sum(axis=1).round(12), growth))[0])
        fold_of[group] = fold
        inside[fold] += share[group]
    return fold_of


def _refuse_classes(
    names: NDArray[Any], classes: NDArray[Any], counts: Indices, folds: int, seed: int
) -> None:
    possible = next(
        (k for k in range(folds - 1, 1, -1) if _assigned(names, counts, k, seed) is not None), 0
    )
    rarest: Sequence[int] = np.argsort((counts > 0).sum(axis=0), kind="stable")[:3].tolist()
    told = ", ".join(f"'{classes[c]}' in {int((counts[:, c] > 0).sum())} groups" for c in rarest)
    raise DataError(
        f"no assignment of {len(names)} groups to {folds} folds was found that has every class in "
        f"every fold ({told})",
        "every class in every fold",
        f"use at most {possible} folds"
        if possible
        else "add groups, or leave the rarest class out",
    )

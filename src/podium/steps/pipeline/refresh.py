"""The nightly job: new bars, forecasts kept, the champion checked, a challenger, a review asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from podium import registry
from podium.candidate import Candidate
from podium.dataset import Dataset
from podium.decision import Kind, waits_for_signatures
from podium.errors import ConflictError, PodiumError
from podium.files import full_disk_explained, lock
from podium.hashing import digest
from podium.ledger import forecasts, reads, writes
from podium.sections import SlotSection
from podium.steps.data.bars import load_dataset
from podium.steps.data.sequences import class_data
from podium.steps.decisions.promote import demoted, promote, verdicts_of
from podium.steps.pipeline.run import run
from podium.steps.serving.check_slot import check_slot
from podium.steps.serving.predict import store_forecasts
from podium.steps.workspace import hooks, recorded
from podium.steps.workspace.moments import without_midnight
from podium.steps.workspace.project import Project

STEP = "refresh"
REASON = "podium run --refresh"
# A test of fewer bars beyond the horizon is none.
FEWEST_BARS = 30


@dataclass(frozen=True)
class SlotRefreshed:
    """What came of one slot.

    Parameters
    ----------
    told : tuple of str
        What was done and found, in a few words each.
    error : PodiumError, optional
        What stopped the work on it; the other slots were gone through all the same.
    """

    slot: str
    told: tuple[str, ...]
    error: PodiumError | None = None

    @property
    def line(self) -> str:
        """The same in one line."""
        return " ".join(f"{self.slot}: {'; '.join(self.told)}".split())


@dataclass(frozen=True)
class Refreshed:
    """What came of all slots, in their order."""

    slots: tuple[SlotRefreshed, ...]

    @property
    def error(self) -> PodiumError | None:
        """The first thing that went wrong, or None; its exit code is that of the command."""
        return next((slot.error for slot in self.slots if slot.error), None)

    @property
    def line(self) -> str:
        """One line about everything, for a log."""
        return " | ".join(slot.line for slot in self.slots)


def refresh(project: Project, slots: Sequence[str] | str | None = None) -> Refreshed:
    """Take in new bars: keep forecasts, check champions, train challengers, ask for promotion.

    Where there is nothing new a slot is left alone, and nothing is trained. A challenger goes
    through the stages of ``podium run``, from its search to its gates; one that lacks nothing but a
    signature is asked for again each time, so that a signature is enough. What stops one slot does
    not stop the others.

    Parameters
    ----------
    slots : str or sequence of str, optional
        Default: all, in the order of podium.toml.

    Raises
    ------
    ConflictError
        Another such job is at work.
    """
    if not project.config.slots:
        project.default_slot(None)
    names = [slots] if isinstance(slots, str) else slots or [*project.config.slots]
    chosen = [project.default_slot(name) for name in names]
    with (
        full_disk_explained(project.root),
        lock(project.state / "refresh.lock", "podium run --refresh"),
        project.logged("refresh"),
    ):
        return Refreshed(tuple(_guarded(project, slot) for slot in dict.fromkeys(chosen)))


def _guarded(project: Project, slot: str) -> SlotRefreshed:
    try:
        if registry.holds(project.config.slot(slot).task) == "sequences":
            return _samples(project, slot)
        return _forecast(project, slot)
    except PodiumError as error:
        if not error.exit_code or error.exit_code > 128:
            # Somebody stopped the command, or its time is over: nothing failed.
            raise
        told = str(error.problems[0])
        more = f" (and {len(error.problems) - 1} more)" if len(error.problems) > 1 else ""
        if isinstance(error, ConflictError):
            # Somebody is at work on it by hand, and knows.
            return SlotRefreshed(slot, (f"left alone: {told}",), error)
        hooks.failed(project, error, slot)
        return SlotRefreshed(slot, (f"failed: {told}{more}",), error)


def _samples(project: Project, slot: str) -> SlotRefreshed:
    """Samples have no next bar: new files are a new search."""
    data = class_data(project.config, slot)
    newest = _newest(project, slot)
    if newest is not None and newest.dataset_fingerprint == data.dataset.fingerprint:
        return SlotRefreshed(slot, ("nothing new", *_standing(project, newest)))
    return SlotRefreshed(slot, _run_stages(project, slot, "new samples"))


def _forecast(project: Project, slot: str) -> SlotRefreshed:
    section = project.config.slot(slot)
    dataset = load_dataset(project.config, section.dataset)
    done = project.ledger.read(reads.receipt, slot, STEP, _inputs(project, slot, dataset))
    newest = _newest(project, slot)
    if done is not None and newest is not None:
        nothing = f"nothing new since {without_midnight(dataset.times[-1])}"
        return SlotRefreshed(slot, (nothing, *_standing(project, newest)))
    told = _looked(project, slot, dataset)
    start = _test_start(project, slot, dataset, section)
    why_not = _why_no_challenger(project, slot, dataset, section, start)
    if why_not:
        told = (*told, why_not, *(_standing(project, newest) if newest else ()))
    else:
        holder = recorded.champion(project, slot)
        with _sealed_from(project, slot, section, dataset, start):
            challenger = f"challenger on bars until {without_midnight(dataset.times[start - 1])}"
            told = (*told, *_run_stages(project, slot, challenger))
        if recorded.champion(project, slot) != holder:
            # Bars that its test had no outcome for are its first ones in use.
            told = (*told, *_kept(project, slot))
    with project.ledger.transaction(durable=True) as tx:
        # With whoever holds the slot by now.
        inputs = _inputs(project, slot, dataset)
        writes.put_receipt(project.ledger, tx, slot, STEP, inputs, {"told": list(told)})
    return SlotRefreshed(slot, told)


def _inputs(project: Project, slot: str, dataset: Dataset) -> str:
    """Everything that what is done depends on."""
    config, ledger = project.config, project.ledger
    with ledger.reading() as tx:
        holder = reads.champion_of(ledger, tx, slot)
        beside = forecasts.shadow_of(ledger, tx, slot)
    settings = [asdict(one) for one in (config.slot(slot), config.refresh, config.drift)]
    return digest([dataset.fingerprint, holder, beside and beside.candidate_id, *settings])


def _looked(project: Project, slot: str, dataset: Dataset) -> tuple[str, ...]:
    """Keep what champion and shadow say of new bars, and see how the champion does."""
    if recorded.champion(project, slot) is None:
        return (f"bars until {without_midnight(dataset.times[-1])}, no champion",)
    told = [f"bars until {without_midnight(dataset.times[-1])}", *_kept(project, slot)]
    checked = check_slot(project, slot)
    if checked.warnings:
        warned = ", ".join(one.what for one in checked.warnings)
        told.append(f"warning: {warned} (podium check {slot})")
    elif checked.beats_naive is None:
        told.append("too few outcomes to judge the champion by")
    else:
        beats = "beats naive" if checked.beats_naive else "is better than naive, perhaps by chance"
        told.append(f"the champion {beats}")
    return tuple(told)


def _kept(project: Project, slot: str) -> list[str]:
    """Keep what champion and shadow say of bars they have not spoken of."""
    kept = [one for one in store_forecasts(project, slot) if one.forecasts]
    return [f"{one.forecasts} forecasts of the {one.role} stored" for one in kept]


def _test_start(project: Project, slot: str, dataset: Dataset, section: SlotSection) -> int:
    """First bar of a challenger's sealed test.

    It moves forward only, and never over bars that the champion was trained on: held against it
    there, a challenger would lose for the wrong reason.
    """
    start = dataset.bar_at_or_after(section.test_from)
    newest = project.config.refresh.test_bars
    if not newest:
        return start
    start = max(start, len(dataset) - newest)
    holder = recorded.champion(project, slot)
    if holder is None:
        return start
    seen = np.datetime64(holder.trained_until, "s")
    return max(start, int(np.searchsorted(dataset.times, seen, side="right")))


def _why_no_challenger(
    project: Project, slot: str, dataset: Dataset, section: SlotSection, start: int
) -> str:
    """Why none is trained; empty: one is."""
    refreshed = project.config.refresh
    asked = _asked_last(project, slot)
    if asked is None:
        return ""
    seen = int(np.searchsorted(dataset.times, np.datetime64(asked.trained_until, "s"), "right"))
    new = max(0, start - seen)
    if not new and not refreshed.test_bars:
        return (
            f"no challenger: the test begins at {section.test_from} for ever, and nothing before "
            "it is new (refresh.test_bars)"
        )
    if new < refreshed.every_bars:
        return f"no challenger: {new} of {refreshed.every_bars} new bars to train on"
    left = len(dataset) - start
    if left < FEWEST_BARS + section.horizon:
        return f"no challenger: {left} bars are left to test it on"
    return ""


@contextmanager
def _sealed_from(
    project: Project, slot: str, section: SlotSection, dataset: Dataset, start: int
) -> Iterator[None]:
    """Let the slot's test begin at that bar for as long as a challenger is made and judged."""
    before = project.config
    if project.config.refresh.test_bars:
        moved = replace(section, test_from=str(dataset.times[start]), test_to="")
        project.config = replace(before, slots={**before.slots, slot: moved})
    try:
        yield
    finally:
        project.config = before


def _run_stages(project: Project, slot: str, what: str) -> tuple[str, ...]:
    """From a search to a decision, and what came of it."""
    run(project, [slot])
    newest = _newest(project, slot)
    assert newest is not None
    return (what, *_standing(project, newest, fresh=True))


def _standing(project: Project, candidate: Candidate, *, fresh: bool = False) -> tuple[str, ...]:
    """How a slot's newest candidate stands; asked for once more where only people's word lacked.

    ``fresh``: it was asked for a moment ago, by the run that made it.
    """
    if not fresh and not _lacked_signatures(project, candidate):
        return ()
    found = demoted(project, candidate) or promote(project, candidate.id, reason=REASON)
    if waits_for_signatures(found.verdicts):
        return (
            f"{candidate.id} (version {candidate.version}) passes every gate and waits for a "
            f"signature: podium sign {candidate.id} --approve --reason TEXT",
        )
    # Refused on the same evidence as before: told then.
    return (found.sentence.rstrip("."),) if fresh or found.fresh else ()


def _lacked_signatures(project: Project, candidate: Candidate) -> bool:
    """Whether the last decision about a candidate found nothing wrong but missing signatures."""
    asked = _moves(project, candidate.slot, candidate.id)
    if not asked or asked[0]["accepted"]:
        return False
    return waits_for_signatures(verdicts_of(asked[0]))


def _newest(project: Project, slot: str) -> Candidate | None:
    """A slot's newest candidate."""
    rows = project.reader.rows("candidates", slot=slot, limit=1)
    return recorded.candidate(project, rows[0]["id"]) if rows else None


def _asked_last(project: Project, slot: str) -> Candidate | None:
    """The newest candidate a decision was asked for about; one that was cut off before is not."""
    moved = {row["candidate_id"] for row in _moves(project, slot)}
    rows = project.reader.rows("candidates", slot=slot)
    asked = (row["id"] for row in rows if row["id"] in moved)
    return next((recorded.candidate(project, id_) for id_ in asked), None)


def _moves(project: Project, slot: str, candidate_id: str = "") -> list[dict[str, Any]]:
    """Decisions about where a slot's candidates, or one of them, are to stand; newest first."""
    rows = project.reader.rows("decisions", slot=slot)
    return [
        row
        for row in rows
        if row["kind"] == Kind.MOVE and candidate_id in ("", row["candidate_id"])
    ]

"""Nightly job: store forecasts of new bars, check champions, train and judge challengers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from podium import registry
from podium.candidate import Candidate
from podium.dataset import Dataset
from podium.decision import REFRESH, Kind, waits_for_signatures
from podium.errors import ConflictError, PodiumError
from podium.files import full_disk_explained, lock
from podium.hashing import digest
from podium.ledger import forecasts, reads, writes
from podium.render.answer import Answer
from podium.render.table import counted
from podium.sections import SlotSection
from podium.steps.data.bars import load_dataset
from podium.steps.data.sequences import class_data
from podium.steps.decisions.promote import demoted, promote, verdicts_of
from podium.steps.pipeline.run import run
from podium.steps.serving.check_slot import check_slot
from podium.steps.serving.predict import store_forecasts
from podium.steps.workspace import hooks, recorded
from podium.steps.workspace.log import is_stop
from podium.steps.workspace.moments import without_midnight
from podium.steps.workspace.project import Project

STEP = "refresh"
# A test of fewer bars beyond the horizon is none.
FEWEST_BARS = 30


@dataclass(frozen=True)
class SlotRefreshed:
    """Result of the nightly job for one slot.

    Parameters
    ----------
    notes : tuple of str
        Actions and findings, a few words each.
    error : PodiumError, optional
        Error that ended the work on this slot; the job continues with the others.
    """

    slot: str
    notes: tuple[str, ...]
    error: PodiumError | None = None

    @property
    def line(self) -> str:
        """Slot and notes in one line."""
        return " ".join(f"{self.slot}: {'; '.join(self.notes)}".split())


@dataclass(frozen=True)
class Refreshed(Answer):
    """Result of the nightly job, slots in their order."""

    slots: tuple[SlotRefreshed, ...]

    @property
    def error(self) -> PodiumError | None:
        """First error, or None; its exit code is that of the command."""
        return next((slot.error for slot in self.slots if slot.error), None)

    @property
    def line(self) -> str:
        """All slots in one line, for a log."""
        return " | ".join(slot.line for slot in self.slots)

    @property
    def sentence(self) -> str:
        """Number of slots, and the slots with an error."""
        failed = ", ".join(slot.slot for slot in self.slots if slot.error)
        left = f"; not finished: {failed}" if failed else ""
        return f"{counted(len(self.slots), 'slot')} refreshed{left}"

    def rows(self) -> list[dict[str, Any]]:
        """One row a slot: its name and its notes."""
        return [{"slot": slot.slot, "result": "; ".join(slot.notes)} for slot in self.slots]


def refresh(project: Project, slots: Sequence[str] | str | None = None) -> Refreshed:
    """Process new bars: store forecasts, check champions, train challengers, request promotion.

    A slot without new bars is skipped. A challenger passes the stages of ``podium run``, from its
    search to its gates. Promotion of a candidate that lacks only a signature is requested again at
    each call. An error of one slot does not stop the others.

    Parameters
    ----------
    slots : str or sequence of str, optional
        Default: all, in the order of podium.toml.

    Returns
    -------
    Refreshed

    Raises
    ------
    ConflictError
        Another nightly job is at work.
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
        if is_stop(error):
            raise
        message = str(error.problems[0])
        more = f" (and {len(error.problems) - 1} more)" if len(error.problems) > 1 else ""
        if isinstance(error, ConflictError):
            # Another command works on the slot, and reports its own errors.
            return SlotRefreshed(slot, (f"skipped: {message}",), error)
        hooks.failed(project, error, slot)
        return SlotRefreshed(slot, (f"failed: {message}{more}",), error)


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
    notes = _check_champion(project, slot, dataset)
    start = _test_start(project, slot, dataset, section)
    why_not = _why_no_challenger(project, slot, dataset, section, start)
    if why_not:
        notes = (*notes, why_not, *(_standing(project, newest) if newest else ()))
    else:
        holder = recorded.champion(project, slot)
        with _sealed_from(project, slot, section, dataset, start):
            challenger = f"challenger on bars until {without_midnight(dataset.times[start - 1])}"
            notes = (*notes, *_run_stages(project, slot, challenger))
        if recorded.champion(project, slot) != holder:
            # Bars without an outcome in its test are the new champion's first ones in use.
            notes = (*notes, *_store(project, slot))
    with project.ledger.transaction(durable=True) as tx:
        # Computed again, since the champion may have changed.
        inputs = _inputs(project, slot, dataset)
        writes.put_receipt(tx, slot, STEP, inputs, {"notes": list(notes)})
    return SlotRefreshed(slot, notes)


def _inputs(project: Project, slot: str, dataset: Dataset) -> str:
    """Hash of the data, the champion, its shadow and the settings."""
    config, ledger = project.config, project.ledger
    with ledger.reading() as tx:
        holder = reads.champion_of(tx, slot)
        shadow = forecasts.shadow_of(tx, slot)
    settings = [asdict(one) for one in (config.slot(slot), config.refresh, config.drift)]
    return digest([dataset.fingerprint, holder, shadow and shadow.candidate_id, *settings])


def _check_champion(project: Project, slot: str, dataset: Dataset) -> tuple[str, ...]:
    """Store forecasts of new bars, and check the champion."""
    if recorded.champion(project, slot) is None:
        return (f"bars until {without_midnight(dataset.times[-1])}, no champion",)
    notes = [f"bars until {without_midnight(dataset.times[-1])}", *_store(project, slot)]
    checked = check_slot(project, slot)
    if checked.warnings:
        warnings = ", ".join(one.what for one in checked.warnings)
        notes.append(f"warning: {warnings} (podium check {slot})")
    elif checked.beats_baseline is None:
        notes.append("too few outcomes to judge the champion")
    else:
        beats = (
            "beats its baseline"
            if checked.beats_baseline
            else "is better than its baseline, perhaps by chance"
        )
        notes.append(f"the champion {beats}")
    return tuple(notes)


def _store(project: Project, slot: str) -> list[str]:
    """Store forecasts of new bars by the champion and its shadow."""
    stored = [one for one in store_forecasts(project, slot) if one.forecasts]
    return [f"{one.forecasts} forecasts of the {one.role} stored" for one in stored]


def _test_start(project: Project, slot: str, dataset: Dataset, section: SlotSection) -> int:
    """First bar of a challenger's sealed test.

    It only moves forward, and excludes bars that the champion was trained on, where a comparison
    would favour the champion.
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
    """Reason to train no challenger; empty where one is due."""
    refreshed = project.config.refresh
    judged = _judged_last(project, slot)
    if judged is None:
        return ""
    seen = int(np.searchsorted(dataset.times, np.datetime64(judged.trained_until, "s"), "right"))
    new = max(0, start - seen)
    if not new and not refreshed.test_bars:
        return (
            f"no challenger: the test begins at {section.test_from}, and no bar before it is new "
            "(refresh.test_bars moves the test)"
        )
    if new < refreshed.every_bars:
        return f"no challenger: {new} of {refreshed.every_bars} new bars to train on"
    left = len(dataset) - start
    if left < FEWEST_BARS + section.horizon:
        return f"no challenger: only {left} bars to test it on"
    return ""


@contextmanager
def _sealed_from(
    project: Project, slot: str, section: SlotSection, dataset: Dataset, start: int
) -> Iterator[None]:
    """Begin the slot's test at a bar, while a challenger is trained and judged."""
    before = project.config
    if project.config.refresh.test_bars:
        moved = replace(section, test_from=str(dataset.times[start]), test_to="")
        project.config = replace(before, slots={**before.slots, slot: moved})
    try:
        yield
    finally:
        project.config = before


def _run_stages(project: Project, slot: str, what: str) -> tuple[str, ...]:
    """Run all stages; notes on their result."""
    run(project, [slot])
    newest = _newest(project, slot)
    assert newest is not None
    return (what, *_standing(project, newest, fresh=True))


def _standing(project: Project, candidate: Candidate, *, fresh: bool = False) -> tuple[str, ...]:
    """Notes on the newest candidate; promotion is requested again where only signatures lacked.

    Parameters
    ----------
    fresh : bool
        Whether the run that made the candidate has just requested it.
    """
    if not fresh and not _lacked_signatures(project, candidate):
        return ()
    decision = demoted(project, candidate) or promote(project, candidate.id, reason=REFRESH)
    if waits_for_signatures(decision.verdicts):
        return (
            f"{candidate.id} (version {candidate.version}) passes every gate and waits for a "
            f"signature: podium sign {candidate.id} --approve --reason TEXT",
        )
    # A refusal on the same evidence was reported before.
    return (decision.sentence.rstrip("."),) if fresh or decision.fresh else ()


def _lacked_signatures(project: Project, candidate: Candidate) -> bool:
    """Whether only missing signatures refused the last promotion of a candidate."""
    moves = _moves(project, candidate.slot, candidate.id)
    refused = bool(moves) and not moves[0]["accepted"]
    return refused and waits_for_signatures(verdicts_of(moves[0]))


def _newest(project: Project, slot: str) -> Candidate | None:
    """A slot's newest candidate."""
    rows = project.reader.rows("candidates", slot=slot, limit=1)
    return recorded.candidate(project, rows[0]["id"]) if rows else None


def _judged_last(project: Project, slot: str) -> Candidate | None:
    """Newest candidate with a decision on its stage."""
    moved = {row["candidate_id"] for row in _moves(project, slot)}
    rows = project.reader.rows("candidates", slot=slot)
    judged = (row["id"] for row in rows if row["id"] in moved)
    return next((recorded.candidate(project, id_) for id_ in judged), None)


def _moves(project: Project, slot: str, candidate_id: str = "") -> list[dict[str, Any]]:
    """Decisions on the stage of a slot's candidates, or of one of them; newest first."""
    rows = project.reader.rows("decisions", slot=slot)
    moves = [row for row in rows if row["kind"] == Kind.MOVE]
    return [row for row in moves if candidate_id in ("", row["candidate_id"])]

"""The road of one slot: its steps in order, how each stands against the record, how it is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from podium.candidate import Candidate
from podium.errors import NotFoundError
from podium.ledger import reads
from podium.report.blocks import short
from podium.report.found import SlotReport
from podium.steps.candidates import finalize
from podium.steps.candidates import train as training
from podium.steps.candidates.finalize import Final
from podium.steps.candidates.train import Trained, Wish
from podium.steps.data.sequences import TaskData
from podium.steps.decisions import backtest
from podium.steps.decisions.backtest import Judged
from podium.steps.decisions.evaluate import KIND, Evaluated, evaluate
from podium.steps.decisions.promote import Promotion, demoted, promote
from podium.steps.decisions.promote import on_record as standing_of
from podium.steps.pipeline import changed, run_report
from podium.steps.search import extend
from podium.steps.search.analyze import reckoned, written
from podium.steps.search.results import Analysis, Extension, Tuned
from podium.steps.search.tune import reach, rewritten, search_data, tune, tuned
from podium.steps.workspace.project import Project

TO_DO, GOES_ON, DONE = "to do", "goes on", "up to date"
JUDGED = "judged on the sealed test"
REASON = "podium run"


@dataclass(frozen=True)
class Standing:
    """How a step stands against the record.

    Parameters
    ----------
    state : {"to do", "goes on", "up to date"}
    told : str
        How much there is: ``24 trials``, ``8 of 12 folds``.
    why : str
        Why something is left to do.
    """

    state: str
    told: str = ""
    why: str = ""

    @property
    def done(self) -> bool:
        """Whether there is nothing to do."""
        return self.state == DONE


@dataclass(eq=False)
class Road:
    """One slot on its way, with what its steps have found so far.

    Parameters
    ----------
    only : sequence of str
        Families that are searched now; empty: all of the slot.
    standings : dict of step to Standing
        Of the steps that were looked at and not done since.
    left : dict of family to int
        Trials that its search lacks.
    """

    project: Project
    slot: str
    only: Sequence[str] = ()
    standings: dict[str, Standing] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)
    tuned: Tuned | None = None
    extension: Extension | None = None
    analysis: Analysis | None = None
    candidate: Candidate | None = None
    final: Final | None = None
    judged: Judged | None = None
    trained: Trained | None = None
    evaluated: Evaluated | None = None
    promotion: Promotion | None = None
    _data: TaskData | None = None

    @property
    def data(self) -> TaskData:
        """The slot's data as its search sees them, read once."""
        if self._data is None:
            self._data = search_data(self.project, self.slot, self.project.reporter.say)
        return self._data

    @property
    def only_others_left(self) -> bool:
        """Whether the families that are searched now have what they are to have, and others not."""
        return bool(self.only and self.left) and not {*self.left} & {*self.only}

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps of this slot's task."""
        classifies = self.project.config.slot(self.slot).task == "classify"
        return CLASSIFY if classifies else FORECAST

    def say(self, text: str) -> None:
        """A sentence about this slot."""
        self.project.reporter.say(f"{self.slot}: {text}")

    def report(self) -> SlotReport:
        """What was found, once the last step is done."""
        assert self.promotion is not None
        if self.trained is not None:
            assert self.tuned is not None
            assert self.evaluated is not None
            return run_report.class_report(self.tuned, self.trained, self.evaluated, self.promotion)
        assert self.analysis is not None
        assert self.judged is not None
        return run_report.slot_report(self.project, self.analysis, self.judged, self.promotion)


@dataclass(frozen=True)
class Step:
    """One step of a road.

    Parameters
    ----------
    name : str
        As in ``--from`` and ``--to``.
    verb : str
        What follows ``podium`` to do this step alone; ``{slot}`` and ``{candidate}`` are filled in.
    standing : function of a road
        How it stands, when all steps before it are done; writes nothing.
    do : function of a road and whether it is up to date
        Does what is left, puts what was found on the road, and tells how much there is now.
    trains : bool
        Whether models are fitted.
    reckoned : bool
        Whether it only says what the steps before it come to, so that it is as fresh as they are.
    """

    name: str
    verb: str
    standing: Callable[[Road], Standing]
    do: Callable[[Road, bool], str]
    trains: bool = False
    reckoned: bool = False

    def command(self, road: Road) -> str:
        """What does this step alone, with the real ids."""
        known = road.candidate.id if road.candidate else ""
        family = road.tuned.best.family if road.tuned else ""
        return "podium " + self.verb.format(slot=road.slot, candidate=known, family=family)


def survey(road: Road) -> Iterator[tuple[Step, Standing]]:
    """How each step of a road stands; after the first that is left, all are. Writes nothing."""
    waits = ""
    for step in road.steps:
        if waits:
            yield step, Standing(TO_DO, why=f"after {waits}")
            continue
        standing = road.standings[step.name] = step.standing(road)
        yield step, standing
        waits = "" if standing.done else step.name


def _tune_standing(road: Road) -> Standing:
    far = reach(road.project, road.data)
    road.left = far.left
    done, wanted = sum(far.done.values()), sum(far.wanted.values())
    if far.study is None:
        why = changed.search(road.project, road.slot, far.question, road.data)
        return Standing(TO_DO, f"0 of {wanted} trials", why)
    told = f"{done} of {wanted} trials"
    if far.left:
        lacking = ", ".join(f"{far.done[name]} of {name}" for name in far.left)
        why = f"tune.trials is {road.project.config.tune.trials}, {lacking} on record"
        return Standing(GOES_ON if done else TO_DO, told, why)
    if not far.naive:
        return Standing(GOES_ON, told, "configs of the naive family are not on record")
    try:
        road.tuned = tuned(road.project, road.slot, road.data)
    except NotFoundError as error:
        return Standing(GOES_ON, told, error.problems[0].found)
    return Standing(DONE, _trials(road.tuned))


def _tune(road: Road, known: bool) -> str:
    if known:
        assert road.tuned is not None
        rewritten(road.project, road.tuned)
        return _trials(road.tuned)
    found = tune(road.project, road.slot, only=road.only)
    road.left = reach(road.project, road.data).left if road.only else {}
    road.tuned = None if road.left else found
    told = f"best of {len(found.trials)} trials {found.best.score:.4g}"
    naive = f"naive {found.best_naive.score:.4g} ({found.data.section.metric} on validation)"
    road.say(f"{told}, {naive}")
    return _trials(found)


def _trials(found: Tuned) -> str:
    return f"{len(found.trials)} trials"


def _extend_standing(road: Road) -> Standing:
    assert road.tuned is not None
    road.extension, done, total = extend.on_record(road.project, road.tuned)
    if road.extension is not None:
        return Standing(DONE, f"{total} folds")
    why = changed.folds(road.project, road.tuned, done)
    return Standing(GOES_ON if done else TO_DO, f"{done} of {total} folds", why)


def _extend(road: Road, known: bool) -> str:
    assert road.tuned is not None
    if known:
        assert road.extension is not None
        road.extension = extend.written(road.project, road.extension)
    else:
        road.extension = extend.extended(road.project, road.tuned)
    return f"{sum(len(one.folds) for one in road.extension.configs)} folds"


def _analyze_standing(road: Road) -> Standing:
    assert road.extension is not None
    # Reckoned from the folds on record each time; nothing is trained for it.
    road.analysis = reckoned(road.project, road.extension)
    return Standing(DONE, f"chosen {short(road.analysis.chosen.config)}")


def _analyze(road: Road, known: bool) -> str:
    assert road.analysis is not None
    road.analysis = written(road.project, road.analysis)
    chosen = f"chosen {short(road.analysis.chosen.config)}"
    if not known:
        road.say(f"{chosen}: {road.analysis.reason}")
    return chosen


def _finalize_standing(road: Road) -> Standing:
    assert road.analysis is not None
    road.candidate, told = finalize.on_record(road.project, road.analysis)
    if road.candidate is None:
        return Standing(TO_DO, why=changed.final(road.project, road.analysis))
    if not told:
        why = f"the evidence of {road.candidate.id} is not what is found now"
        return Standing(GOES_ON, "evidence", why)
    return Standing(DONE, _named(road.candidate))


def _finalize(road: Road, known: bool) -> str:
    assert road.analysis is not None
    road.final = finalize.finalized(road.project, road.analysis)
    road.candidate = road.final.candidate
    if not known:
        road.say(f"candidate {_named(road.candidate)} {_verb(road.final.fresh)}")
    return _named(road.candidate)


def _backtest_standing(road: Road) -> Standing:
    assert road.analysis is not None
    assert road.candidate is not None
    final = road.final or Final(road.analysis, road.candidate, fresh=False)
    if backtest.on_record(road.project, final):
        return Standing(DONE, JUDGED)
    why = changed.judgement(road.project, road.candidate, "backtest", "the terms of [backtest]")
    return Standing(TO_DO, why=why)


def _backtest(road: Road, known: bool) -> str:
    assert road.final is not None
    road.judged = backtest.judged(road.project, road.final)
    if not known:
        test = road.judged.evidence["test"]
        told = (
            f"{test.scalar('loss'):.4g} on the sealed test, naive {test.scalar('naive_loss'):.4g}"
        )
        road.say(f"{road.judged.candidate.id}: {test.notes['metric']} {told}")
    return JUDGED


def _promote_standing(road: Road) -> Standing:
    assert road.candidate is not None
    told = standing_of(road.project, road.candidate)
    if told:
        return Standing(DONE, told)
    return Standing(TO_DO, why=f"{road.candidate.id} was not judged on this evidence and policy")


def _promote(road: Road, known: bool) -> str:
    del known
    assert road.candidate is not None
    project, candidate = road.project, road.candidate
    road.promotion = demoted(project, candidate) or promote(project, candidate.id, reason=REASON)
    return standing_of(project, candidate)


def _train_standing(road: Road) -> Standing:
    assert road.tuned is not None
    road.candidate = training.on_record(road.project, road.tuned.best.family, road.slot)
    if road.candidate is None:
        return Standing(TO_DO, why="the best config of the search is not trained")
    return Standing(DONE, _named(road.candidate))


def _train(road: Road, known: bool) -> str:
    assert road.tuned is not None
    wish = Wish(settings={}, best=True)
    road.trained = training.train(road.project, road.tuned.best.family, road.slot, wish)
    road.candidate = road.trained.candidate
    if not known:
        road.say(f"candidate {_named(road.candidate)} {_verb(road.trained.fresh)}")
    return _named(road.candidate)


def _evaluate_standing(road: Road) -> Standing:
    assert road.candidate is not None
    with road.project.ledger.reading() as tx:
        known = reads.evidence_of(road.project.ledger, tx, road.candidate.id)
    if KIND in known:
        return Standing(DONE, "evaluated")
    return Standing(TO_DO, why=f"{road.candidate.id} is not evaluated")


def _evaluate(road: Road, known: bool) -> str:
    del known
    assert road.candidate is not None
    road.evaluated = evaluate(road.project, road.candidate.id)
    return "evaluated"


def _named(candidate: Candidate) -> str:
    return f"{candidate.id} (version {candidate.version})"


def _verb(fresh: bool) -> str:
    return "trained" if fresh else "has new evidence"


_TUNE = Step("tune", "tune {slot}", _tune_standing, _tune, trains=True)
_PROMOTE = Step("promote", "promote {candidate}", _promote_standing, _promote)
FORECAST = (
    _TUNE,
    Step("extend", "extend {slot}", _extend_standing, _extend, trains=True),
    Step("analyze", "analyze {slot}", _analyze_standing, _analyze, reckoned=True),
    Step("finalize", "finalize {slot}", _finalize_standing, _finalize, trains=True),
    Step("backtest", "backtest {slot}", _backtest_standing, _backtest),
    _PROMOTE,
)
# A slot that classifies has no folds to extend over; its own verbs do what these names say.
CLASSIFY = (
    _TUNE,
    Step("finalize", "train {family} --slot {slot} --best", _train_standing, _train, trains=True),
    Step("backtest", "evaluate {candidate}", _evaluate_standing, _evaluate),
    _PROMOTE,
)
ORDER = tuple(step.name for step in FORECAST)
OTHER_NAMES = {"train": "finalize", "evaluate": "backtest"}

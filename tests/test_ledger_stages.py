"""Any sequence of requests keeps the rules of stages, also what is refused, killed, repeated."""

from dataclasses import replace

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import projects
from looped import rest_slow
from podium.decision import Kind, Stage, Verdict
from podium.errors import ConflictError, NotFoundError, RefusedError
from podium.ledger import decisions, models, reads, schema
from podium.steps.archive.init import init
from podium.steps.decisions.rollback import rollback
from podium.steps.search.history import history
from podium.steps.workspace.project import Project
from podium.steps.workspace.session import open_project
from records import broken_links, decide, naive_artifact
from stage_rules import NINE, Rules

TYPES = ("continued", "replay")

# The machine invents its slots; podium.toml declares none of them.
undeclared_rollback = rollback.__wrapped__


class KilledError(Exception):
    """Ends a transaction as a kill does."""


class Stages(RuleBasedStateMachine):
    """Requests to one slot of a real record, beside what the rules say must come of them."""

    candidates = Bundle("candidates")
    slots = 0

    def __init__(self, project: Project, artifacts: list[tuple[str, str]]) -> None:
        super().__init__()
        self.project, self.ledger, self.artifacts = project, project.ledger, artifacts
        Stages.slots += 1
        self.slot = f"slot{Stages.slots}"
        self.rules = Rules()
        self.made: dict[str, object] = {}
        self.last = None

    def put(self, model_type="base", parent=None):
        name = f"c-{self.slot}-{len(self.made)}"
        artifact_hash, path = self.artifacts[len(self.made)]
        candidate = replace(
            projects.new_candidate(name[2:], self.slot, model_type),
            artifact_hash=artifact_hash,
            artifact_path=path,
            parent_id=parent,
            root_id=self.made[parent].root_id if parent else name,
        )
        with self.ledger.transaction(durable=True) as tx:
            self.made[name] = decisions.register(tx, candidate, "tester")
        self.rules.register(name, model_type, parent)
        return name

    @property
    def room(self):
        return len(self.made) < len(self.artifacts)

    @precondition(lambda self: self.room)
    @rule(target=candidates)
    def register(self):
        return self.put()

    @precondition(lambda self: self.room)
    @rule(target=candidates, parent=candidates, model_type=st.sampled_from(TYPES))
    def enhance(self, parent, model_type):
        return self.put(model_type, parent)

    @rule(candidate=candidates)
    def register_again(self, candidate):
        again = replace(self.made[candidate], id="c-again", model_type="adaptive")
        with self.ledger.transaction(durable=True) as tx:
            found = decisions.register(tx, again, "tester")
        assert found == self.made[candidate]

    @rule(
        candidate=candidates,
        to=st.sampled_from(Stage),
        accepted=st.sampled_from([True, True, True, False]),
        claimed=st.one_of(st.none(), st.sampled_from(Stage)),
        stale=st.sampled_from([False, False, False, True]),
    )
    def ask_for_anything(self, candidate, to, accepted, claimed, stale):
        self.ask(candidate, to, accepted, claimed, stale)

    @rule(candidate=candidates, steps=st.integers(1, 2), stale=st.booleans())
    def climb(self, candidate, steps, stale):
        # What people mostly ask for; anything at random seldom replaces a champion.
        up = {"development": Stage.BETA, "beta": Stage.CHAMPION, "archived": Stage.BETA}
        for _ in range(steps):
            if (to := up.get(self.rules.stages[candidate])) is not None:
                self.ask(candidate, to, stale=stale)

    def ask(self, candidate, to, accepted=True, claimed=None, stale=False):
        current = self.rules.stages[candidate]
        from_stage = current if claimed is None else claimed.value
        expected = "c-nobody" if stale else self.rules.champion
        wanted = self.expected_error(current, from_stage, to.value, stale) if accepted else None
        request = projects.move(
            candidate,
            Stage(from_stage),
            to,
            expected=expected,
            slot=self.slot,
            accepted=accepted,
        )
        if wanted is not None:
            with pytest.raises(wanted):
                decide(self.ledger, request)
            return
        decide(self.ledger, request)
        self.last = request
        if accepted:
            self.rules.move(candidate, to.value)
        else:
            self.rules.decided += 1

    @staticmethod
    def expected_error(current, from_stage, to, stale):
        if from_stage != current:
            return ConflictError
        if (current, to) not in NINE:
            return RefusedError
        return ConflictError if stale and to == "champion" else None

    @rule(candidate=candidates, kind=st.sampled_from([Kind.SIGN, Kind.WAIVE]))
    def say_something(self, candidate, kind):
        here = Stage(self.rules.stages[candidate])
        said = projects.move(candidate, here, Stage.CHAMPION, slot=self.slot)
        verdict = Verdict("signoff", "waived", "by somebody")
        decide(self.ledger, replace(said, kind=kind, verdicts=(verdict,)))
        self.rules.decided += 1

    @rule(killed=st.sampled_from([0, 0, 1, 2]))
    def roll_back(self, killed):
        if self.rules.before() is None:
            with pytest.raises(NotFoundError):
                undeclared_rollback(self.project, self.slot, reason="it failed")
            return
        if not killed:
            undeclared_rollback(self.project, self.slot, reason="it failed")
            self.rules.rollback()
            return
        # From beta into an empty slot it is one decision.
        back = self.rules.stages[self.rules.before()]
        made = (self.rules.champion is not None) + (1 if back == "beta" else 2)
        with pytest.MonkeyPatch.context() as patch, pytest.raises(KilledError):
            self.die_in_a_rollback(patch, min(killed, made))

    def die_in_a_rollback(self, patch, killed):
        real, left = decisions.decide, killed

        def dying(*arguments):
            nonlocal left
            found = real(*arguments)
            left -= 1
            if left == 0:
                raise KilledError
            return found

        patch.setattr(decisions, "decide", dying)
        undeclared_rollback(self.project, self.slot, reason="it failed")

    @rule(candidate=candidates, to=st.sampled_from(Stage))
    def die_in_a_move(self, candidate, to):
        here = Stage(self.rules.stages[candidate])
        request = projects.move(candidate, here, to, expected=self.rules.champion, slot=self.slot)
        with pytest.raises((KilledError, RefusedError)):
            self.decide_and_die(request)

    def decide_and_die(self, request):
        with self.ledger.transaction() as tx:
            decisions.decide(tx, request)
            raise KilledError

    @precondition(lambda self: self.last is not None)
    @rule()
    def replay(self):
        with pytest.raises((ConflictError, RefusedError, sa.exc.IntegrityError)):
            decide(self.ledger, self.last)

    @rule(candidate=consumes(candidates))
    def forget(self, candidate):
        """Draw from fewer candidates, so that champions are replaced and not only made."""

    @invariant()
    def the_record_agrees_with_the_rules(self):
        rules = self.rules
        with self.ledger.reading() as tx:
            head = schema.stage.c
            rows = tx.execute(
                sa.select(head.candidate_id, head.stage).where(
                    head.candidate_id.in_(list(rules.stages))
                )
            )
            assert {row.candidate_id: row.stage for row in rows} == rules.stages
            assert reads.champion_of(tx, self.slot) == rules.champion
            newest = schema.latest.c
            rows = tx.execute(
                sa.select(newest.model_type, newest.candidate_id).where(newest.slot == self.slot)
            )
            assert {row.model_type: row.candidate_id for row in rows} == rules.latest
            count = sa.select(sa.func.count()).where(schema.decision.c.slot == self.slot)
            assert tx.execute(count).scalar() == rules.decided
        assert list(rules.stages.values()).count("champion") == (rules.champion is not None)

    def teardown(self):
        rules, reader = self.rules, self.project.reader
        reigns = history(reader, self.slot)
        assert [r.candidate_id for r in reigns] == [name for name in rules.reigns if name]
        assert [bool(r.until) for r in reigns] == [True] * (len(reigns) - 1) + [
            rules.champion is None
        ] * bool(reigns)
        young = set(rules.latest.values()) - set(rules.parents.values())
        found = {row["id"]: row["version_type"] for row in models.models(reader, slot=self.slot)}
        assert found == {name: "latest" if name in young else "old" for name in rules.stages}


@pytest.mark.parametrize(
    ("where", "examples"), rest_slow([("sqlite", 10), ("sqlite", 30), ("postgresql", 30)], fast=1)
)
def test_no_sequence_of_requests_breaks_the_rules_of_stages(
    where, examples, tmp_path, request, monkeypatch
):
    root = init(tmp_path / "life")
    if where == "postgresql":
        monkeypatch.setenv("PODIUM_LEDGER_URL", request.getfixturevalue("database"))
    with open_project(root) as project:
        assert project.ledger
        artifacts = [naive_artifact(root, float(n)) for n in range(12)]
        run_state_machine_as_test(
            lambda: Stages(project, artifacts),
            settings=settings(
                max_examples=examples,
                stateful_step_count=25,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
        if where == "sqlite":
            assert broken_links(root, project.config.project.id) == []

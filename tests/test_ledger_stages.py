"""Any sequence of requests keeps the rules of stages."""

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,
)

import projects
from podium.decision import Stage
from podium.errors import ConflictError, RefusedError
from podium.ledger import reads, schema
from podium.ledger.ledger import Ledger
from records import broken_links, decide, register

NINE = {
    ("development", "beta"),
    ("development", "archived"),
    ("beta", "development"),
    ("beta", "champion"),
    ("beta", "archived"),
    ("champion", "beta"),
    ("champion", "archived"),
    ("archived", "development"),
    ("archived", "beta"),
}


class Stages(RuleBasedStateMachine):
    """Requests to one slot of a real record, beside what the rules say must come of them."""

    candidates = Bundle("candidates")
    slots = 0

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self.ledger = ledger
        Stages.slots += 1
        self.slot = f"slot{Stages.slots}"
        self.stages: dict[str, str] = {}
        self.champion: str | None = None
        self.decided = 0

    @rule(target=candidates)
    def register(self):
        name = f"{self.slot}-{len(self.stages)}"
        register(self.ledger, name, slot=self.slot)
        self.stages[f"c-{name}"] = "development"
        self.decided += 1
        return f"c-{name}"

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
            if (to := up.get(self.stages[candidate])) is not None:
                self.ask(candidate, to, stale=stale)

    def ask(self, candidate, to, accepted=True, claimed=None, stale=False):
        current = self.stages[candidate]
        from_stage = current if claimed is None else claimed.value
        expected = "c-nobody" if stale else self.champion
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
        self.decided += 1
        if not accepted:
            return
        if to is Stage.CHAMPION and self.champion:
            self.stages[self.champion] = "archived"
        if "champion" in (current, to.value):
            self.champion = candidate if to is Stage.CHAMPION else None
        self.stages[candidate] = to.value

    @staticmethod
    def expected_error(current, from_stage, to, stale):
        if from_stage != current:
            return ConflictError
        if (current, to) not in NINE:
            return RefusedError
        return ConflictError if stale and to == "champion" else None

    @rule(candidate=consumes(candidates))
    def forget(self, candidate):
        """Draw from fewer candidates, so that champions are replaced and not only made."""

    @invariant()
    def the_record_agrees_with_the_rules(self):
        head = schema.stage.c
        with self.ledger.reading() as tx:
            rows = tx.execute(
                sa.select(head.candidate_id, head.stage).where(
                    head.candidate_id.in_(list(self.stages))
                )
            )
            assert {row.candidate_id: row.stage for row in rows} == self.stages
            assert reads.champion_of(self.ledger, tx, self.slot) == self.champion
            decisions = schema.decision.c
            count = sa.select(sa.func.count()).where(decisions.slot == self.slot)
            assert tx.execute(count).scalar() == self.decided
        assert list(self.stages.values()).count("champion") == (self.champion is not None)


def test_no_sequence_of_requests_breaks_the_rules_of_stages(ledger, tmp_path):
    run_state_machine_as_test(
        lambda: Stages(ledger),
        settings=settings(
            max_examples=30,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert broken_links(tmp_path) == []

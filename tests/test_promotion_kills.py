"""Any sequence of decisions, processes killed in the midst of them: whole, or not at all."""

import itertools
import json
import shutil

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

import nursery
import projects
from podium import resolve
from podium.steps.search.history import history
from podium.steps.workspace.session import open_project
from records import broken_links, naive_artifact
from stage_rules import NINE, Rules

pytestmark = pytest.mark.slow

SLOT = projects.SLOT
STAGES = ("development", "beta", "champion", "archived")
# A gate that lets every one of them pass.
OPEN = {"open": {stage: {"max_drawdown": {}} for stage in ("beta", "champion")}}
ANY = "at any moment"
# What is certain after a kill at a place: that nothing was decided, or all of it.
NOTHING, ALL = "before the transaction", "after the transaction"
IN = "in the transaction"
places = st.one_of(
    st.just(("", 0)),
    # A move that took several transactions would be found half done between two of them.
    st.tuples(st.sampled_from([NOTHING, ALL]), st.integers(0, 1)),
    st.tuples(st.just(IN), st.integers(0, 14)),
    st.tuples(st.just("while files are written"), st.integers(0, 9)),
    st.tuples(st.just(ANY), st.integers(1, 40)),
)


class SignedRules(Rules):
    """What the rules say of commands: by which exit code they end, and what they change."""

    def __init__(self):
        super().__init__()
        self.signed = {}

    def copy(self):
        other = SignedRules()
        for name, value in vars(self).items():
            setattr(other, name, value.copy() if isinstance(value, dict | list) else value)
        return other

    @property
    def told(self):
        return self.stages, self.champion, self.latest, self.decided, self.signed, self.reigns[1:]

    def promote(self, name, to):
        here = self.stages[name]
        lifted = to == "champion" and here in ("development", "archived")
        way = [here, "beta", to] if lifted else [here, to]
        if here == to:
            return 0
        if not NINE.issuperset(itertools.pairwise(way)):
            return 4
        for stage in way[1:]:
            self.move(name, stage)
        return 0

    def sign(self, name, verdict):
        # The same words again are the same signature.
        self.decided += self.signed.get(name) != verdict
        self.signed[name] = verdict
        return 0

    def roll_back(self):
        if self.before() is None:
            return 3
        self.rollback()
        return 0


class Killed(RuleBasedStateMachine):
    """Commands to one slot, killed or not, beside what the rules say must come of them."""

    candidates = Bundle("candidates")
    kills = 0

    def __init__(self, root, children, artifacts):
        super().__init__()
        self.root, self.children, self.artifacts = root, children, artifacts
        self.rules = SignedRules()

    def run(self, after, code, place, function, *arguments):
        """One command, killed at a place or not, then the same again."""
        where, turn = place
        before = self.rules
        patched = [] if where in ("", ANY) else place
        seconds = turn / 200 if where == ANY else None
        child = self.children.run(function, self.root, *arguments, *patched, kill_after=seconds)
        if child.was_killed:
            Killed.kills += 1
            possible = {NOTHING: [before], IN: [before], ALL: [after]}.get(where, [before, after])
            assert recorded(self.root) in [one.told for one in possible], (where, turn)
        else:
            assert (child.code, [*child.told]) == (0, [f"exit {code}"]), (where, turn, child)
        again = self.children.run(function, self.root, *arguments)
        assert (again.code, [*again.told]) == (0, [f"exit {code}"]), (where, turn, again)
        assert recorded(self.root) == after.told, (where, turn)
        self.rules = after

    @initialize(target=candidates)
    def replaced(self):
        """A champion that replaced another one, so that there is something to roll back."""
        alive = ("", 0)
        made = [self.put("base", None, alive) for _ in range(2)]
        for name in made:
            self.crown(name, alive)
        return multiple(*made)

    @precondition(lambda self: len(self.rules.stages) < len(self.artifacts))
    @rule(target=candidates, place=places)
    def register(self, place):
        return self.put("base", None, place)

    @precondition(lambda self: len(self.rules.stages) < len(self.artifacts))
    @rule(
        target=candidates,
        parent=candidates,
        model_type=st.sampled_from(["continued", "replay"]),
        place=places,
    )
    def enhance(self, parent, model_type, place):
        return self.put(model_type, parent, place)

    def put(self, model_type, parent, place):
        number = len(self.rules.stages)
        name, after = f"c-{number}", self.rules.copy()
        after.register(name, model_type, parent)
        made = [name, model_type, parent, self.artifacts[number]]
        self.run(after, 0, place, "failpoints:enhance", *made)
        return name

    @rule(candidate=candidates, to=st.sampled_from(STAGES), place=places)
    def move(self, candidate, to, place):
        after = self.rules.copy()
        code = after.promote(candidate, to)
        self.command(after, code, place, "promote", candidate, "--to", to, "--reason", "asked")

    @rule(candidate=candidates, place=places)
    def crown(self, candidate, place):
        # What people mostly ask for; anything at random seldom replaces a champion.
        self.move(candidate, "champion", place)

    @rule(candidate=candidates, verdict=st.sampled_from(["approve", "reject"]), place=places)
    def sign(self, candidate, verdict, place):
        after = self.rules.copy()
        code = after.sign(candidate, verdict)
        self.command(after, code, place, "sign", candidate, f"--{verdict}", "--reason", "seen")

    @rule(place=places)
    def roll_back(self, place):
        after, before = self.rules.copy(), self.rules.before()
        code = after.roll_back()
        # Named by its artefact, whoever is back is not rolled back by the same command again.
        number = 0 if before is None else int(before.removeprefix("c-"))
        named = ["--artifact", self.artifacts[number][0]]
        self.command(after, code, place, "rollback", SLOT, "--reason", "it fails", *named)

    def command(self, after, code, place, *arguments):
        self.run(after, code, place, "failpoints:decide", arguments)

    @invariant()
    def who_serves_is_whom_the_record_names(self):
        cache = self.root / resolve.CACHE
        if cache.is_file():
            told = json.loads(cache.read_text())["champions"]
            holder = told[SLOT]["candidate_id"] if SLOT in told else None
            assert holder == self.rules.champion

    def teardown(self):
        if self.rules.champion:
            served = resolve.champion(SLOT, self.root).champion.candidate_id
            assert served == self.rules.champion


def recorded(root):
    """The record in the words of the rules."""
    with open_project(root) as project:
        reader = project.reader
        mine = reader.project_id
        latest = reader.query("SELECT * FROM latest WHERE project_id = ?", mine)
        [count] = reader.query("SELECT count(*) AS n FROM decision WHERE project_id = ?", mine)
        signed = reader.query(
            "SELECT candidate_id, notes FROM evidence WHERE project_id = ? AND kind = ? "
            "ORDER BY seq",
            mine,
            "signature",
        )
        holders = reader.champions()
        return (
            reader.stages(),
            holders[SLOT].candidate_id if SLOT in holders else None,
            {row["model_type"]: row["candidate_id"] for row in latest},
            count["n"],
            {row["candidate_id"]: json.loads(row["notes"])["verdict"] for row in signed},
            reigns(history(reader, SLOT)),
        )


def reigns(found):
    """Who held the slot, one after another, None where nobody did."""
    told = []
    for one in found:
        told.append(one.candidate_id)
        replaced = one.ended_reason.startswith("replaced by")
        told += [] if replaced or not one.until else [None]
    return told


@pytest.mark.parametrize("where", ["sqlite", "postgresql"])
def test_a_kill_leaves_each_decision_whole_or_undone_and_again_it_ends_the_same(
    where, tmp_path, request, monkeypatch
):
    blank = projects.small_project(
        tmp_path / "blank", slots={SLOT: {"policy": "open"}}, policies=OPEN
    )
    shutil.rmtree(blank / "data")
    artifacts = [naive_artifact(blank, float(n)) for n in range(6)]
    monkeypatch.setenv("PODIUM_ACTOR", "tester")
    if where == "postgresql":
        monkeypatch.setenv("PODIUM_LEDGER_URL", request.getfixturevalue("database"))
    made = []

    def machine():
        root = tmp_path / str(len(made))
        made.append(shutil.copytree(blank, root, ignore=shutil.ignore_patterns("models")))
        text = (made[-1] / "podium.toml").read_text()
        (made[-1] / "podium.toml").write_text(text.replace("p-small", f"p-{len(made)}"))
        with open_project(made[-1]) as project:
            # A command to a project without a record says so, and that is all.
            assert project.ledger
        # Artefacts without a record would be those of a lost one.
        shutil.copytree(blank / "models", made[-1] / "models", dirs_exist_ok=True)
        return Killed(made[-1], children, artifacts)

    verbs = [f"podium.cli.verbs.{verb}" for verb in ("promote", "rollback", "sign")]
    with nursery.Nursery("failpoints", *verbs) as children:
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=20 if where == "sqlite" else 4,
                stateful_step_count=14,
                deadline=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            ),
        )
    assert Killed.kills > 10
    if where == "sqlite":
        for number, root in enumerate(made, start=1):
            if (root / "podium.db").exists():
                assert broken_links(root, f"p-{number}") == []

"""Every file in gates/ keeps the contract; a new one is tested without a line here."""

import importlib.util

import pytest

from podium import registry
from podium.decision import Result
from podium.evidence import Scalar
from podium.gates._base import verdict
from podium.testing.gates import check_gate, evidence

HONEST = f'''"""{registry.load("gates", "fresh_evidence").__doc__}"""

from podium.decision import Result

NEEDS = ("test",)
LIMITS = {{}}
asked = []


def judge(case):
    return Result.PASS, "all is well with this one"
'''


@pytest.fixture(params=registry.names("gates"))
def gate(request):
    return registry.load("gates", request.param)


def test_a_gate_keeps_the_contract(gate):
    check_gate(gate)


def test_a_policys_limits_are_told_in_the_verdict(gate):
    given = {kind: evidence(kind) for kind in gate.NEEDS}
    limits = dict.fromkeys(gate.LIMITS, 0.123)
    assert verdict("any", gate, given, None, limits).limits == limits


def test_a_gain_over_the_baseline_passes_below_the_limit_of_the_p_value_of_its_look():
    def answer(p, looks=1, **limits):
        facts = {"loss": 0.4, "naive_loss": 0.5, "dm_p_value_one_sided": p, "looks": looks}
        scalars = {name: Scalar(value) for name, value in facts.items()}
        notes = {"naive_method": "ewma", "metric": "mse", "dm_reason": "too few bars"}
        found = {"test": evidence("test", scalars, notes)}
        return verdict("beats_baseline", gate, found, None, limits).result

    gate = registry.load("gates", "beats_baseline")
    cases = [(0.0249,), (0.025,), (0.0083, 2), (0.0084, 2), (0.00045, 10), (0.00046, 10)]
    assert [answer(*case) for case in cases] == [Result.PASS, Result.REFUSE] * 3
    assert answer(0.02, p_value=0.01) is Result.REFUSE
    assert answer(float("nan")) is Result.UNDECIDABLE


def test_a_constant_forecast_beats_no_baseline():
    notes = {"naive_method": "naive zero", "itself": "yes"}
    found = {"test": evidence("test", notes=notes)}
    answer = verdict("beats_baseline", registry.load("gates", "beats_baseline"), found, None, {})
    assert answer.result is Result.REFUSE
    assert "no baseline is simpler" in answer.finding


def test_evidence_about_two_models_or_two_sets_of_bars_is_refused():
    def answer(**changed):
        found = {"validation": evidence("validation"), "test": evidence("test", **changed)}
        return verdict("fresh_evidence", registry.load("gates", "fresh_evidence"), found, None, {})

    assert answer().result is Result.PASS
    for what in ("artifact_hash", "dataset_fingerprint"):
        refused = answer(**{what: "b" * 64})
        assert refused.result is Result.REFUSE
        assert f"differs in {what.replace('_', ' ')}" in refused.finding


@pytest.fixture
def written(tmp_path):
    """Makes a gate of its text."""

    def make(text):
        path = tmp_path / "gate.py"
        path.write_text(text)
        spec = importlib.util.spec_from_file_location("gate_under_test", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return make


def test_the_kit_accepts_an_honest_gate(written):
    check_gate(written(HONEST))


@pytest.mark.parametrize(
    ("honest", "wrong", "told"),
    [
        ("What to do\n", "Advice\n", "headings"),
        ("-------\nRefuses", "-------\n\nRefuses", "headings"),
        ("data?", "data.", "not a question"),
        ("NEEDS = (", "NEEDS = list(", "not a tuple"),
        ("{}", "{'share': 0.1}", "``share``"),
        ("NEEDS =", "import os\nNEEDS =", "imports os"),
        ("NEEDS =", "from pathlib import Path\nNEEDS =", "imports pathlib"),
        ("    return", "    open(__file__).close()\n    return", "opens a file"),
        ('"all is well with this one"', '""', "not a sentence"),
        (
            "    return",
            "    case.candidate.clear()\n    return",
            "two verdicts|changed the evidence",
        ),
        (
            '"all is well with this one"',
            'f"this is answer number {asked.append(1) or len(asked)}"',
            "two verdicts",
        ),
    ],
)
def test_the_kit_tells_what_a_gate_does_wrong(written, honest, wrong, told):
    text = (
        HONEST.replace(honest, wrong)
        if "Refuses" not in honest
        else HONEST.replace("Refuses when\n------------\n", "")
    )
    assert text != HONEST
    with pytest.raises(AssertionError, match=told):
        check_gate(written(text))

"""``podium explain``: a gate's own words, with the limits of the project that asks."""

import json

import pytest

from looped import looped
from podium import registry
from podium.cli.main import run as podium
from podium.errors import NotFoundError
from podium.steps.decisions.explain import HEADINGS, explain
from projects import small_project


def say(capsys, *words):
    code = podium(list(words))
    out, err = capsys.readouterr()
    return code, out, err


@looped("gate", registry.names("gates"))
def test_every_gate_has_a_page_with_its_five_headings_and_its_limits(gate):
    page = explain(None, gate)
    assert tuple(page.sections) == HEADINGS
    assert all(len(words) > 20 for words in page.sections.values())
    assert "``" not in "".join(page.sections.values())
    told = page.sections["Passes when"] + page.sections["Refuses when"]
    for name, value in page.limits.items():
        assert f"{name} ({value:g})" in told


def test_the_limits_are_those_of_the_project_s_policy(tmp_path, capsys):
    policy = {"forecast": {"champion": {"beats_baseline": {"p_value": 0.01}, "overfitting": {}}}}
    root = str(small_project(tmp_path / "small", policies=policy))
    code, out, _ = say(capsys, "explain", "beats_baseline", "--project", root)
    assert code == 0
    assert "is below p_value (0.01)" in out
    assert "forecast/champion, p_value 0.01" in out
    code, out, _ = say(capsys, "explain", "overfitting", "--project", root, "--json")
    [page] = json.loads(out)["items"]
    assert page["limits"] == {"probability_of_loss": 0.1, "pbo": 0.5}
    assert list(page["sections"]) == list(HEADINGS)
    _, out, _ = say(capsys, "explain", "no_leak", "--project", root)
    assert "no policy" in out


def test_without_a_name_every_gate_is_listed_with_who_asks_for_it(tmp_path, capsys):
    code, out, _ = say(capsys, "explain", "--project", str(tmp_path), "--json")
    assert code == 0
    items = {item["gate"]: item for item in json.loads(out)["items"]}
    assert set(items) == set(registry.names("gates"))
    assert items["overfitting"]["policies"] == "trading/champion"
    assert items["beats_baseline"]["question"].endswith("?")


def test_a_name_that_is_no_gate_is_not_found_and_a_near_one_is_told(tmp_path, capsys):
    code, _, err = say(capsys, "explain", "overfiting", "--project", str(tmp_path))
    assert code == 3
    assert "'overfitting'" in err
    with pytest.raises(NotFoundError):
        explain(None, "_base")

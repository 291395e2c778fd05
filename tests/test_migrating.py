"""docs/migrating.md promises nothing that is not there, and owns up to what is."""

import functools
import re
import shlex
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import pytest

import podium
from looped import looped
from podium import config
from podium.cli.overview import verbs
from podium.errors import PodiumError

PAGE = Path(__file__).parents[1] / "docs" / "migrating.md"
SRC = Path(podium.__file__).parent
HEADER = "| before | now | status |"
STATUS = re.compile(r"(yes|partly|not yet)(: .+)?")


def rows():
    """(before, now, status) of every table."""
    found = []
    for block in PAGE.read_text(encoding="utf-8").split("\n\n"):
        if block.startswith(HEADER):
            for line in block.splitlines()[2:]:
                cells = [cell.strip() for cell in line.strip("|").split(" | ")]
                assert len(cells) == 3, line
                found.append(tuple(cell.strip("| ") for cell in cells))
    return found


ROWS = rows()


def names(cell):
    """What stands in back ticks."""
    return re.findall(r"`([^`]+)`", cell)


@functools.cache
def source():
    """All of the package's text, and the shipped demo's."""
    paths = [*SRC.rglob("*.py"), *SRC.rglob("*.toml")]
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


def exists(name):
    """Why a name is not podium's; empty when it is."""
    words = shlex.split(name)
    if words[0] == "podium":
        return no_verb(words)
    if words[0].startswith("podium."):
        return no_attribute(words[0])
    if name.startswith("["):
        known = (*config._SECTIONS, *config._TABLES, "metrics", "space", "policies")
        return "" if name.strip("[]") in known else "no section"
    section, _, key = name.partition(".")
    if section in config._SECTIONS and not name.endswith((".db", "/")):
        parts = {part.name for part in fields(config._SECTIONS[section])}
        return "" if key in parts else "no key"
    last = name.rstrip("/").rpartition("/")[2]
    return "" if last in source() else "not in the package"


def no_verb(words):
    path = verbs().get(words[1])
    if path is None:
        return "no such verb"
    command = import_module(f"podium.cli.verbs.{path.stem}").command
    options = {option for parameter in command.params for option in parameter.opts}
    wrong = [w for w in words if re.match(r"--?[a-z]", w) and w not in {*options, "-val_macro_f1"}]
    return f"no flag {wrong}" if wrong else ""


def no_attribute(name):
    found = podium
    for part in name.split(".")[1:]:
        if not hasattr(found, part):
            return f"{found} has no {part}"
        found = getattr(found, part)
    return ""


def test_the_page_has_a_table_for_each_of_the_five_systems():
    text = PAGE.read_text(encoding="utf-8")
    assert text.count(HEADER) == 5
    assert len(ROWS) > 80


@looped("before, now, status", ROWS)
def test_a_row_says_what_it_was_what_it_is_and_whether_it_is_there(before, now, status):
    assert before
    assert names(now), "something to look for"
    assert STATUS.fullmatch(status), status
    # What differs is told.
    assert ":" in status or not status.startswith("partly")
    missing = {name: why for name in names(now) if (why := exists(name))}
    if status.startswith("not yet"):
        assert missing, f"{now} is there by now: say so"
    else:
        assert not missing, missing
    for name in names(status):
        assert not name.startswith("podium") or not exists(name), name


def test_the_commands_of_the_page_can_be_typed():
    text = PAGE.read_text(encoding="utf-8")
    for line in re.findall(r"^\$ (podium [^#\n]+)", text, re.MULTILINE):
        assert not exists(line.strip()), line


@looped(
    "name",
    [
        "podium tun",
        "podium tune --trails 3",
        "podium.HyperparamTracker.log_runs",
        "podium.nothing",
        "mlflow.uri",
        "[metric]",
        "hyperparams/sweep_result.json",
    ],
)
def test_a_wrong_name_is_found(name):
    try:
        assert exists(name)
    except PodiumError:
        pytest.fail("a name is looked for, not called")

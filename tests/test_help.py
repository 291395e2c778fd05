"""Help: an example that parses at the end of each verb's, and the defaults of its flags."""

import re
import shlex

import click
import pytest

from podium.cli.group import podium
from podium.cli.main import run
from podium.cli.overview import overview, verbs

EXAMPLES = {
    f"{name} {inner}".rstrip(): example
    for name, path in verbs().items()
    for inner, example in zip(
        ["", "add", "make"] if name == "data" else [""],
        re.findall("^Example: (.*)", path.read_text(), re.MULTILINE),
        strict=True,
    )
}


def parsed(words):
    """Names of the commands on a command line, each parsed."""
    names, command, context = [], podium, click.Context(podium)
    while isinstance(command, click.Group):
        name, command, words = command.resolve_command(context, words)
        names.append(name)
        context = click.Context(command, parent=context)
    command.make_context(names[-1], [*words], parent=context.parent)
    return names


def test_every_verb_has_an_example():
    assert {*verbs()} == {name.partition(" ")[0] for name in EXAMPLES}


@pytest.mark.parametrize("verb", EXAMPLES)
def test_help_of_a_verb_ends_with_an_example_that_parses(verb, capsys):
    assert run([*verb.split(), "--help"]) == 0
    shown = capsys.readouterr().out
    last = shown.rstrip().splitlines()[-1].strip()
    assert last == f"Example: {EXAMPLES[verb]}"
    program, *words = shlex.split(EXAMPLES[verb])
    assert program == "podium"
    assert " ".join(parsed(words)).startswith(verb)
    assert run(["help", *verb.split()]) == 0
    assert capsys.readouterr().out == shown


def test_help_alone_is_the_overview(capsys):
    assert run(["help"]) == 0
    assert capsys.readouterr().out.rstrip() == overview()


def test_help_of_an_unknown_verb_suggests_one(capsys):
    assert run(["help", "tnue"]) == 2
    assert "tune" in capsys.readouterr().err


def test_a_flag_of_a_setting_names_its_key_and_its_default(capsys):
    assert run(["tune", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "[podium.toml: tune.trials, default 24]" in shown
    assert "[podium.toml: mlflow.experiment, default the project's name]" in shown


def test_the_overview_lists_verbs_in_the_order_of_the_journey():
    lines = [line.split()[0] for line in overview().splitlines() if line.startswith("  ")]
    journey = [
        "init",
        "check",
        "run",
        "tune",
        "extend",
        "analyze",
        "finalize",
        "promote",
        "predict",
    ]
    assert [name for name in lines if name in journey] == journey

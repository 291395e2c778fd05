"""An opened project in Python: verbs as methods, with settings, locks and logs."""

import importlib
import inspect
import pkgutil
import threading

import click
import pytest

import podium
from podium import verbs
from podium.cli.options import SETTINGS
from podium.cli.overview import verbs as commands
from podium.errors import ConflictError, NotFoundError, UsageError
from podium.steps.archive import logs
from projects import SLOT, small_project

# Flags of commands that are not arguments in Python: how to answer, and what the shell is for.
NOT_IN_PYTHON = {
    "folder", "as_json", "quiet", "verbose", "form", "output", "debug", "help",
}  # fmt: skip
# Commands with another shape in Python, and why.
OTHER_SHAPE = {
    "run": "--refresh is the verb refresh, --explain is podium.steps.pipeline.run.explain",
    "grid": "list flags are the mapping `values`",
    "sweep": "--command is podium.search",
    "train": "flags are a TrainingRequest",
    "check": "paths and datasets are podium.steps.data.check",
    "predict": "--data is the verb classify, --store is store_forecasts",
    "backtest": "--generate-signals is the verb signals",
    "promote": "the slot is the method's own",
    "impact": "without a name: podium.steps.search.impact.impacts",
    "export": "--to and --bundle write what it returns",
    "compare": "--all is a matter of printing",
    "import": "options of one importer are `options`",
    "select": "--interactive is of terminals",
    "sync": "--check is podium.steps.workspace.sync.check",
}


@pytest.fixture
def root(tmp_path, quick_family):
    small = {"families": [quick_family]}
    return small_project(tmp_path / "p", slots={SLOT: small}, runner={"name": "inline"})


def test_a_verb_of_a_slot_takes_settings_for_one_call(root):
    with podium.open(root) as project:
        slot = project.slot(SLOT)
        before = project.config.tune.trials
        assert len(slot.tune(trials=2, jobs=1).trials) == 2
        assert project.config.tune.trials == before
        signature = inspect.signature(slot.tune)
        assert signature.parameters["trials"].default == before
        assert {"space", "only", "epochs", "jobs", "max_time"} <= {*signature.parameters}
        with pytest.raises(TypeError, match="did you mean 'trials'"):
            slot.tune(trails=3)
        with pytest.raises(UsageError, match="at least 1"):
            slot.tune(trials=0)
        with pytest.raises(NotFoundError, match=SLOT):
            project.slot(SLOT[:-1])
        # The functions take the slot by name too, and none for the default slot.
        assert len(podium.tune(project, slot=SLOT, only=["quick"]).trials) == before
        assert len(podium.tune(project).trials) == before
        assert "tune" in dir(slot)
        assert "compare" in dir(project)


def test_refused_settings_change_nothing(root):
    with podium.open(root) as project:
        before = project.config, project.retry_failed
        with pytest.raises(UsageError, match="at least 1"):
            project.slot(SLOT).tune(retry_failed=True, trials=0)
        assert (project.config, project.retry_failed) == before


def test_a_verb_waits_for_no_lock_and_names_its_holder(root):
    held, done = threading.Event(), threading.Event()

    def hold():
        with podium.open(root) as other, other.locked(SLOT, "extend"):
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        held.wait()
        with podium.open(root) as project:
            for verb in ("tune", "extend", "analyze", "finalize", "backtest", "grid", "sweep"):
                with pytest.raises(ConflictError, match=f"podium extend for {SLOT}"):
                    getattr(project.slot(SLOT), verb)()
            with project.ledger.reading():
                assert project.reader.rows("trials") == []
    finally:
        done.set()
        thread.join()


def test_every_verb_has_a_log_of_its_own_that_tells_how_it_ended(root):
    with podium.open(root) as project:
        slot = project.slot(SLOT)
        slot.tune(trials=2)
        with pytest.raises(UsageError, match="only has 'tree'") as failed:
            slot.tune(only=["tree"])
        slot.extend()
        assert f"podium logs {logs.logs(root)[1].id}" in failed.value.__notes__[0]
    found = [(one.command, one.outcome) for one in logs.logs(root)]
    assert found == [("extend", "done"), ("tune", "failed"), ("tune", "done")]


def test_a_name_of_podium_is_one_thing_whatever_was_imported():
    before = {name: getattr(podium, name) for name in podium.__all__}
    for module in pkgutil.iter_modules(podium.__path__, "podium."):
        if module.name != "podium.__main__":
            importlib.import_module(module.name)
    assert {name: getattr(podium, name) for name in podium.__all__} == before
    assert {*verbs.ALL} == {*podium._VERBS, "signals", "report"}


def test_flags_of_a_command_are_keywords_of_its_verb(root):
    with podium.open(root) as project:
        for name, verb in verbs.ALL.items():
            command_name = name.rstrip("_")
            if command_name not in commands() or command_name in OTHER_SHAPE:
                continue
            method = verbs.bound(name, verb, project)
            taken = {*inspect.signature(method).parameters}
            settings = {key for key, _ in verbs.settings_of(verb, project.config).values()}
            command = importlib.import_module(f"podium.cli.verbs.{commands()[command_name].stem}")
            for parameter in command.command.params:
                if isinstance(parameter, click.Option) and not parameter.expose_value:
                    context = click.Context(click.Command("x"))
                    with context:
                        parameter.callback and parameter.callback(context, parameter, "1")
                    keys = {*context.meta.get(SETTINGS, {})}
                    # Where runs are shown is a setting of the whole session.
                    assert keys <= settings | {k for k in keys if k.startswith("mlflow.")}, name
                elif isinstance(parameter, click.Option) and parameter.name not in NOT_IN_PYTHON:
                    assert parameter.name in taken, f"{name}: {parameter.name}"

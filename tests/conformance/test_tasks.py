"""Every task of podium.toml's slots, on data that its slot opened."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

import classes
import projects
from podium import registry
from podium.config import load
from podium.errors import UsageError
from podium.steps.data.sequences import task_data
from podium.tasks import classify, forecast, own
from podium.testing import slot_tasks

SLOTS = {
    "bars": (projects.small_project, projects.SLOT),
    "sequences": (classes.project, classes.SLOT),
}


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """Data of a slot for each kind of dataset."""
    found = {}
    for holds, (make, slot) in SLOTS.items():
        root = make(tmp_path_factory.mktemp(holds) / "p")
        config = load(root, environ={})
        found[holds] = config, task_data(config, slot)
    return found


@pytest.mark.parametrize("name", [n for n in registry.names("tasks") if registry.holds(n)])
def test_a_task_keeps_its_contract(opened, name):
    module = registry.load("tasks", name)
    config, data = opened[module.HOLDS]
    slot_tasks.check_task(module, data)
    assert json.dumps(data.facts(config))


def test_a_task_that_breaks_a_promise_is_refused(opened):
    _, data = opened["bars"]

    class Reaches(type(data)):
        trained_until = "2999-01-01"

    class Shared(type(data)):
        def held_out(self, fraction):
            split = super().held_out(fraction)
            fold = replace(split.folds[0], train=split.folds[0].validation)
            return replace(split, folds=(fold,))

    class Unplaced(type(data)):
        def index(self, fold):
            return None

    fields = {name: getattr(data, name) for name in data.__dataclass_fields__}
    for kind, check, told in (
        (Reaches, slot_tasks.check_sealed, "reaches into the test"),
        (Shared, slot_tasks.check_splits, "trains and validates"),
        (Unplaced, slot_tasks.check_rows, "have no index"),
    ):
        with pytest.raises(AssertionError, match=told):
            check(kind(**fields))
    missing = SimpleNamespace(**{**vars(classify), "__name__": "podium.tasks.classify"})
    del missing.POLICIES
    with pytest.raises(AssertionError, match="has no POLICIES"):
        slot_tasks.check_constants(missing)


def test_own_code_has_no_slot_and_no_predictions():
    assert not registry.holds("own")
    for act in (
        lambda: own.TASK.open(None, "x", None),
        lambda: own.TASK.score("mse", None, None),
        lambda: own.TASK.read(None, None, None),
    ):
        with pytest.raises(UsageError, match="podium sweep --command"):
            act()


def test_the_stages_of_every_task_are_there():
    from podium.steps.pipeline.stages import GROUPS, stages_of

    for name in ("forecast", "classify"):
        groups = [stage.group for stage in stages_of(name)]
        assert sorted(groups, key=GROUPS.index) == groups
    assert {stage.name for stage in stages_of("classify")} < {
        *(stage.name for stage in stages_of("forecast"))
    }
    assert forecast.STAGES[-1] == classify.STAGES[-1] == "promote"

"""The demo's verdicts come from the data: other data, other verdicts.

With a search of few and small configs; in full size they are in benchmarks/verdicts.py.
"""

import importlib.util
from pathlib import Path

import pytest

import projects
from podium.steps.archive.init import init

pytestmark = pytest.mark.slow
BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "verdicts.py"
spec = importlib.util.spec_from_file_location("verdicts", BENCHMARK)
demo = importlib.util.module_from_spec(spec)
spec.loader.exec_module(demo)

VOLATILITY, RETURN = "us4/D/volatility", "us4/D/return"
FEW = 'trials = 4\nsearch = "random"\nschedule = "none"\nfinalists = 0'
SMALL = {
    "space": {"lstm": {"lstm_units": [16], "batch_size": [256]}},
    "paths": projects.SMALL["paths"],
    "runner": projects.SMALL["runner"],
}


@pytest.fixture
def root(tmp_path):
    root = init(tmp_path / "demo", demo=True)
    demo.replace(
        root,
        ("trials = 24", FEW),
        ("epochs = 12", "epochs = 10"),
        ("top = 3", "top = 1"),
        ("folds = 4", "folds = 2"),
    )
    with (root / "podium.toml").open("a") as settings:
        settings.write(projects.toml(SMALL))
    return root


def test_the_demo_promotes_the_volatility_model_and_refuses_the_return_model(root):
    found = demo.verdicts(root)
    assert found[VOLATILITY].verdict == "promoted"
    assert found[VOLATILITY].dm_p_adjusted < 0.05
    assert found[VOLATILITY].trials_counted == 4
    assert found[RETURN].verdict == "refused"


@pytest.mark.parametrize("seed", [1, 2])
def test_on_shuffled_days_both_models_are_refused(root, seed):
    demo.shuffle(root, seed)
    assert {name: slot.verdict for name, slot in demo.verdicts(root).items()} == {
        VOLATILITY: "refused",
        RETURN: "refused",
    }


def test_on_another_period_the_verdicts_are_made_anew(root):
    demo.move(root)
    found = demo.verdicts(root)
    assert found[VOLATILITY].verdict == "promoted"
    assert found[RETURN].verdict == "refused"
    for slot in found.values():
        assert slot.test_period == ("2006-01-03", "2008-12-31")
        assert slot.test_looks in (1, 2)

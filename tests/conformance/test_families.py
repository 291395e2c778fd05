"""Every file in families/ keeps the contract; a new one is tested without a line here."""

import pickle
import re
import sys
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import structure
from podium import registry
from podium.families._base import AnyFamily, AnyModel, Classifier, Family, Model
from podium.prediction import Prediction
from podium.space import Choice, Space
from podium.testing import _fits, families
from podium.testing.pickles import check_no_pickled_object
from podium.testing.tasks import forecast

ROLES = {task: registry.constant("tasks", task, "ROLE") for task in registry.names("tasks")}
ROLES = {task: role for task, role in ROLES.items() if role}
FAMILIES = [
    (name, task)
    for name in registry.names("families")
    for task, role in ROLES.items()
    if hasattr(registry.load("families", name), role)
]


@pytest.fixture(params=FAMILIES, ids="-".join)
def family(request):
    return registry.family(*request.param)


# They take longest with two directions and classes; the other families keep them in every run.
SLOW = {
    ("bilstm", "resumed_like_uninterrupted"),
    ("bilstm", "same_seed"),
    ("bilstm", "many_like_one"),
    ("naive-classify", "padding_is_ignored"),
    ("naive-classify", "same_seed"),
    ("naive-classify", "many_like_one"),
}


def contract(name, task, check):
    """Parameters of one check of one family."""
    what = check.__name__.removeprefix("check_")
    is_slow = not SLOW.isdisjoint({(name, what), (f"{name}-{task}", what)})
    marks = [pytest.mark.slow] if is_slow else []
    return pytest.param(name, task, check, id=f"{name}-{task}-{what}", marks=marks)


@pytest.mark.parametrize(
    ("name", "task", "check"),
    [
        contract(name, task, check)
        for name, task in FAMILIES
        for check in families.checks(registry.family(name, task))
    ],
)
def test_a_family_keeps_the_contract(name, task, check):
    check(registry.family(name, task))


def test_every_check_of_the_kit_is_made():
    for task in ROLES:
        module = import_module(f"podium.testing.tasks.{task}")
        written = {name for name in vars(module) if name.startswith("check_")}
        assert written == {check.__name__ for check in module.CHECKS}
        made = {check.__name__ for check in families.checks(registry.family("naive", task))}
        apart = {"check_family", "check_save_load", "check_other_seed_differs"}
        common = {name for name in vars(families) if name.startswith("check_")}
        # A helper that looks into files has its own test.
        assert common - apart - {"check_no_pickled_object"} == made - written


def test_a_saved_family_is_the_same_when_loaded(family, tmp_path):
    families.check_save_load(family, tmp_path)


def test_torch_opens_every_checkpoint_without_running_code(family, tmp_path):
    torch = pytest.importorskip("torch")
    families.check_save_load(family, tmp_path)
    for path in tmp_path.rglob("*.pt"):
        assert torch.load(path, weights_only=True)["model_state_dict"]


def test_an_iterative_family_uses_its_seed(family):
    if not families.is_iterative(family):
        pytest.skip("it draws no random numbers")
    families.check_other_seed_differs(family)


def test_a_familys_name_is_its_files(family):
    again = registry.family(family.name, family.task)
    assert type(again) is type(family)
    assert issubclass(type(family), {"forecast": Family, "classify": Classifier}[family.task])


def example():
    """The family's file that docs/data.md shows."""
    text = (Path(__file__).parents[2] / "docs" / "data.md").read_text()
    block = text.partition("### A torch forecaster")[2].partition("\n- ")[0]
    return "\n".join(line[4:] for line in block.splitlines() if line.startswith("    ") or not line)


@pytest.mark.slow
def test_a_torch_forecaster_is_a_network_and_at_most_sixty_lines(tmp_path):
    pytest.importorskip("torch")
    text = example()
    before, network, after = re.split(r"(?=class Network)|(?=class GRUFamily)", text)
    assert "nn.GRU" in network
    assert structure.code_lines(before) + structure.code_lines(after) <= 60
    module = ModuleType("gru")
    exec(text, vars(module))
    families.check_family(module.FAMILY, tmp_path)
    families.check_other_seed_differs(module.FAMILY())


# ------------------------------------------------- the kit itself finds what it is there to find


class Last(Model):
    """Last return times a factor; what it is told, it does wrong in one place."""

    def __init__(self, wrong, slope=1.0, shift=0.0):
        self.wrong, self.slope, self.shift = wrong, slope, shift

    def predict(self, windows):
        past = windows.view.past
        bars = windows.at
        if self.wrong == "looks ahead":
            bars = np.minimum(bars + 1, len(past) - 1)
        if self.wrong == "reads the target":
            past = np.nan_to_num(windows.view.target)
        values = past[bars, windows.item] * self.slope + self.shift
        if self.wrong == "tickers by place":
            values = values + windows.item
        if self.wrong == "needs the others":
            values = values - 0.5 * past.mean(axis=1)[bars]
        if self.wrong == "forgets a window":
            values = np.where(np.arange(len(values)) == 3, np.nan, values)
        if "quantile" in self.wrong:
            ahead = self.wrong == "a quantile looks ahead"
            width = np.abs(past[np.minimum(bars + ahead, len(past) - 1), windows.item])
            rows = np.stack([values - width, values, values + width], axis=1)
            return Prediction.of_quantiles(windows, rows, (0.1, 0.5, 0.9))
        return Prediction.of(windows, values)

    def save(self, folder):
        content = (self.slope, self.shift)
        if self.wrong == "pickles":
            content = np.float64(self.slope), np.float64(self.shift)
        if self.wrong == "loses digits":
            content = (round(self.slope, 3), self.shift)
        (folder / "model").write_bytes(pickle.dumps(content))


class LastFamily(Family):
    name = "last"

    each_alone = True

    def __init__(self, wrong=""):
        self.wrong = wrong

    def grid(self, view):
        return {"shrink": (1.0, 0.5)} if self.wrong == "no such value" else super().grid(view)

    def space(self, view):
        return Space({"shrink": Choice((1.0, 0.9))})

    def fit(self, config, train, validation, *, seed, report):
        slope = float(config["shrink"]) / 1.1
        if self.wrong == "learns nothing":
            slope = -1.0
        seen = train.view.past[train.at, train.item]
        if self.wrong == "scales by everything":
            seen = np.nan_to_num(train.view.past)
        shift = 1e-9 * float(np.std(seen))
        if self.wrong == "another seed each time":
            shift = float(np.random.default_rng().normal())
        return Last(self.wrong, slope, shift)

    def load(self, read):
        return Last(self.wrong, *map(float, pickle.loads(read("model"))))


def test_the_kit_accepts_an_honest_family(tmp_path):
    families.check_family(LastFamily, tmp_path)


def test_the_kit_accepts_an_honest_family_of_quantiles(tmp_path):
    families.check_family(partial(LastFamily, "quantiles"), tmp_path)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("looks ahead", "only bars after the decision"),
        ("a quantile looks ahead", "only bars after the decision"),
        ("reads the target", "only bars after the decision|forecasts depend on the past"),
        ("scales by everything", "only bars after|reads the future|outside the training"),
        ("another seed each time", "same seed|after save and load|one by one"),
        ("tickers by place", "another order of the tickers"),
        ("needs the others", "alone has other forecasts"),
        ("no such value", "grid does not fit its space: .*0.5"),
        ("forgets a window", "1 of .* not finite"),
        ("learns nothing", "shows that it learns"),
        ("pickles", "runs code when it is opened"),
        ("loses digits", "after save and load"),
    ],
)
def test_the_kit_tells_what_a_family_does_wrong(wrong, told, tmp_path):
    with pytest.raises(AssertionError, match=told):
        families.check_family(partial(LastFamily, wrong), tmp_path)


def test_the_kit_finds_an_object_in_place_of_the_class(tmp_path):
    with pytest.raises(AssertionError, match="LastFamily object in place of its class"):
        families.check_family(LastFamily(), tmp_path)
    one = LastFamily()
    with pytest.raises(AssertionError, match="the same object"):
        families.check_family(lambda: one, tmp_path)


def test_the_kit_finds_a_family_that_ignores_the_model_to_go_on_from():
    class Deaf(LastFamily):
        def refuse_parent(self, parent):
            pass

        def fit(self, config, train, validation, *, seed, report, parent=None):
            return super().fit(config, train, validation, seed=seed, report=report)

    with pytest.raises(AssertionError, match="a parent was not refused"):
        families.check_parent_refused_unless_it_continues(Deaf())


def test_a_family_that_continues_is_given_its_parent():
    class Continuing(LastFamily):
        continues = True
        given = None

        def fit(self, config, train, validation, *, seed, report, parent=None):
            self.given = parent
            return super().fit(config, train, validation, seed=seed, report=report)

    case = forecast.Case.planted()
    family, parent = Continuing(), Last("", 1.0)
    families.check_parent_refused_unless_it_continues(family)
    for given in (None, parent):
        list(family.fit_many([{"shrink": 1.0}], case.train, None, seeds=[1], parent=given))
        assert family.given is given


def test_the_kit_finds_objects_inside_arrays_and_archives(tmp_path):
    objects = tmp_path / "objects.npy"
    np.save(objects, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(AssertionError):
        check_no_pickled_object(objects)
    archive = tmp_path / "archive.npz"
    np.savez(archive, fine=np.arange(3))
    check_no_pickled_object(archive)
    np.savez(archive, fine=np.arange(3), odd=np.array([print], dtype=object))
    with pytest.raises(AssertionError, match="odd"):
        check_no_pickled_object(archive)


def test_the_kit_finds_an_object_in_a_torch_checkpoint(tmp_path):
    torch = pytest.importorskip("torch")
    path = tmp_path / "model.pt"
    torch.save({"weights": torch.zeros(3), "half": torch.zeros(2).half()}, path)
    check_no_pickled_object(path)
    torch.save({"network": torch.nn.Linear(1, 1)}, path)
    with pytest.raises(AssertionError, match="Linear"):
        check_no_pickled_object(path)


# ------------------------------------------------- a task that podium does not have


@dataclass(frozen=True)
class Numbers:
    """What a family of the made-up task learns from, and is asked for."""

    values: tuple[float, ...]
    labels: tuple[float, ...] = ()

    def blind(self):
        return Numbers(self.values)


@dataclass(frozen=True)
class Doubled:
    values: tuple[float, ...]


@dataclass(frozen=True)
class NumberCase(_fits.KnownTask):
    data: None
    train: Numbers
    validation: Numbers

    @classmethod
    def planted(cls):
        return cls(None, Numbers((1.0, 2.0), (2.0, 4.0)), Numbers((3.0,), (6.0,)))

    learnable = planted

    def loss(self, prediction):
        return abs(prediction.values[0] - self.validation.labels[0])

    def wanted(self):
        return 1.0

    def others_replaced(self):
        yield "replaced", self.train


class Factor(AnyModel):
    def __init__(self, factor):
        self.factor = factor

    def predict(self, asked):
        return Doubled(tuple(self.factor * value for value in asked.values))

    def save(self, folder):
        (folder / "factor.txt").write_text(repr(self.factor))


class FactorFamily(AnyFamily):
    name = "factor"
    task = "multiply"

    def space(self, data):
        return Space({"shrink": Choice((1.0, 0.9))})

    def fit(self, config, train, validation, *, seed, report):
        return Factor(config["shrink"] * train.labels[0] / train.values[0])

    def load(self, read):
        return Factor(float(read("factor.txt")))


def test_another_task_is_a_file_of_its_own(tmp_path, monkeypatch):
    def check_positive(family):
        assert family.positive, "it is not positive"

    module = ModuleType("podium.testing.tasks.multiply")
    module.Case, module.CHECKS = NumberCase, (check_positive,)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(FactorFamily, "positive", True, raising=False)
    families.check_family(FactorFamily, tmp_path / "one")
    monkeypatch.setattr(FactorFamily, "positive", False)
    with pytest.raises(AssertionError, match="not positive"):
        families.check_family(FactorFamily, tmp_path / "two")
    monkeypatch.setattr(
        Factor, "save", lambda self, folder: (folder / "factor.txt").write_text("1")
    )
    with pytest.raises(
        AssertionError, match="values of the predictions differ after save and load"
    ):
        families.check_save_load(FactorFamily(), tmp_path / "three")

"""Every file in families/ that classifies keeps the contract; a new one needs no line here."""

import json
import pickle
from functools import partial

import numpy as np
import pytest

from podium import registry
from podium.families._base import Classifier, ClassModel
from podium.families._sequences import require_kin, stats_for
from podium.prediction import ClassPrediction
from podium.space import Choice, Space
from podium.testing import classifiers

CHECKS = [
    classifiers.check_name_and_space,
    classifiers.check_wrong_config_refused,
    classifiers.check_every_sample_gets_probabilities,
    classifiers.check_same_seed,
    classifiers.check_many_like_one,
    classifiers.check_padding_is_ignored,
    classifiers.check_samples_do_not_know_each_other,
    classifiers.check_labels_are_ignored,
    classifiers.check_fitted_on_training_only,
    classifiers.check_strangers_refused,
    classifiers.check_useless_samples_refused,
    classifiers.check_curve,
    classifiers.check_resumed_like_uninterrupted,
    classifiers.check_paused_like_uninterrupted,
    classifiers.check_parent_refused_unless_it_continues,
    classifiers.check_learns,
]
NAMES = [
    name
    for name in registry.names("families")
    if hasattr(registry.load("families", name), "CLASSIFIER")
]


@pytest.fixture(params=NAMES)
def family(request):
    return registry.family(request.param, "classify")


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_a_classifier_keeps_the_contract(family, check):
    check(family)


def test_a_saved_classifier_is_the_same_when_loaded(family, tmp_path):
    classifiers.check_save_load(family, tmp_path)


def test_torch_opens_every_checkpoint_without_running_code(family, tmp_path):
    torch = pytest.importorskip("torch")
    classifiers.check_save_load(family, tmp_path)
    for path in tmp_path.rglob("*.pt"):
        assert torch.load(path, weights_only=True)["model_state_dict"]


def test_an_iterative_classifier_uses_its_seed(family):
    if not classifiers.is_iterative(family):
        pytest.skip("it draws no random numbers")
    classifiers.check_other_seed_differs(family)


def test_a_classifiers_name_is_its_files(family, request):
    assert type(registry.family(family.name, "classify")) is type(family)


# ------------------------------------------------- the kit itself finds what it is there to find


class Nearest(ClassModel):
    """Classes by the mean of the last values of each; told so, it does something wrong."""

    def __init__(self, wrong, names, means, spread, epochs=1):
        self.wrong, self.names, self.means, self.spread = wrong, names, means, spread
        self._epochs = epochs

    @property
    def epochs(self):
        return self._epochs

    def predict(self, asked):
        if self.wrong != "takes strangers":
            require_kin(*self.names, asked.sequences)
        x, lengths = asked.inputs()
        last = drawn(x, lengths)
        if self.wrong == "reads the padding":
            last = last + 1e-3 * np.nan_to_num(x[:, -1, 0])
        if self.wrong == "reads the labels":
            last = last + asked.truth()
        if self.wrong == "looks around" and len(last):
            last = last - last.mean()
        far = ((last[:, None] - np.array(self.means)) / self.spread) ** 2
        score = np.exp(far.min(axis=1, keepdims=True) - far)
        found = score / score.sum(axis=1, keepdims=True)
        if self.wrong == "sums to more":
            found = found * 1.01
        return ClassPrediction.of(asked, found)

    def save(self, folder):
        content = [self.names, self.means, self.spread, self._epochs]
        if self.wrong == "loses digits":
            content[1] = [round(mean, 2) for mean in self.means]
        if self.wrong == "pickles":
            (folder / "more").write_bytes(pickle.dumps(np.float64(1)))
        (folder / "model").write_text(json.dumps(content))


def drawn(x, lengths):
    values = np.nan_to_num(x[np.arange(len(x)), lengths - 1, 0])
    return 2 * values - np.nan_to_num(x[np.arange(len(x)), lengths - 2, 0])


class NearestFamily(Classifier):
    name = "nearest"

    def __init__(self, wrong=""):
        self.wrong = wrong

    def space(self, data):
        return Space({"width": Choice((1.0, 1.5))})

    def fit(self, config, train, validation, *, seed, report, keep=None):
        if self.wrong != "takes anything":
            stats_for(train, validation)
        data = train.sequences
        last, y = drawn(*train.inputs()), train.truth()
        means = [
            float(last[y == k].mean()) if (y == k).any() else 0.0
            for k in range(len(data.class_names))
        ]
        if self.wrong == "fits on everything":
            means[0] += 1e-6 * float(np.nanmean(data.x))
        if self.wrong == "another seed each time":
            means[0] += float(np.random.default_rng().normal())
        if self.wrong == "learns nothing":
            means = means[::-1]
        shift = 0.0
        for epoch in (1, 2):
            shift += 0.25
            if keep is not None and keep.last() is None:
                keep.put(epoch, json.dumps([epoch, shift]).encode(), best=True)
            elif keep is not None and self.wrong == "forgets on resuming":
                shift += json.loads(keep.last())[1]
            scores = dict.fromkeys(classifiers.CURVE, shift)
            if self.wrong == "tells no rate":
                scores.pop("train_loss")
            if validation is None:
                scores = {n: v for n, v in scores.items() if n.startswith("train_")}
            report(epoch, scores | {"learning_rate": 0.1})
        names = [list(data.feature_names), list(data.class_names)]
        return Nearest(self.wrong, names, means, float(config["width"]) + shift)

    def load(self, read):
        return Nearest(self.wrong, *json.loads(read("model")))


def test_the_kit_accepts_an_honest_classifier(tmp_path):
    classifiers.check_classifier(NearestFamily, tmp_path)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("takes strangers", "were not refused"),
        ("reads the padding", "padding is longer|behind the samples|alone"),
        ("reads the labels", "only the labels"),
        ("looks around", "in another order|alone"),
        ("sums to more", "the sum 1"),
        ("loses digits", "after save and load"),
        ("pickles", "runs code"),
        ("takes anything", "were not refused"),
        ("fits on everything", "padding is longer|it was not given differ"),
        ("another seed each time", "same seed|after save and load"),
        ("learns nothing", "shows that it learns"),
        ("forgets on resuming", "the curve differs"),
        ("tells no rate", "an epoch has no train_loss"),
    ],
)
def test_the_kit_tells_what_a_classifier_does_wrong(wrong, told, tmp_path):
    with pytest.raises(AssertionError, match=told):
        classifiers.check_classifier(partial(NearestFamily, wrong), tmp_path)

"""The kit of families finds what is wrong with a classifier."""

import json
import pickle
from functools import partial

import numpy as np
import pytest

from podium.families._base import Classifier, ClassModel
from podium.families._sequences import require_same_names, stats_for
from podium.prediction import ClassPrediction
from podium.space import Choice, Space
from podium.testing.families import check_family
from podium.testing.tasks.classify import CURVE


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
            require_same_names(*self.names, asked.sequences)
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
    resumable = True

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
        state = None if keep is None else keep.last()
        done, before = (0, 0.0) if state is None else json.loads(state)
        for epoch in (1, 2):
            shift += 0.25
            if done and self.wrong == "forgets on resuming":
                shift += before
            scores = dict.fromkeys(CURVE, shift)
            if self.wrong == "tells no rate":
                scores.pop("train_loss")
            if validation is None:
                scores = {n: v for n, v in scores.items() if n.startswith("train_")}
            report(epoch, scores | {"learning_rate": 0.1})
            if keep is not None and epoch > done and keep.wants(epoch):
                keep.put(epoch, json.dumps([epoch, shift]).encode(), best=True)
        names = [list(data.feature_names), list(data.class_names)]
        return Nearest(self.wrong, names, means, float(config["width"]) + shift)

    def load(self, read):
        return Nearest(self.wrong, *json.loads(read("model")))


def test_the_kit_accepts_an_honest_classifier(tmp_path):
    check_family(NearestFamily, tmp_path)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("takes strangers", "were not refused"),
        ("reads the padding", "padding is longer|padding is not zero|alone"),
        ("reads the labels", "only the labels"),
        ("looks around", "in another order|alone"),
        ("sums to more", "sum 1"),
        ("loses digits", "after save and load"),
        ("pickles", "runs code"),
        ("takes anything", "were not refused"),
        ("fits on everything", "padding is longer|outside the training"),
        ("another seed each time", "same seed|after save and load"),
        ("learns nothing", "shows that it learns"),
        ("forgets on resuming", "the curve differs"),
        ("tells no rate", "an epoch has no train_loss"),
    ],
)
def test_the_kit_tells_what_a_classifier_does_wrong(wrong, told, tmp_path):
    with pytest.raises(AssertionError, match=told):
        check_family(partial(NearestFamily, wrong), tmp_path)

"""Every family gives the numbers of its evaluation through every reader."""

import json
import os
from importlib.util import find_spec
from unittest import mock

import numpy as np
import pandas as pd
import pytest

import classes
import projects
from podium import artifact, champion, load_model, plugin, pyfunc
from podium.errors import DataError
from podium.ledger.projections import _mlflow_model
from podium.split import Windows
from podium.steps.candidates.finalize import finalize
from podium.steps.candidates.train import TrainingRequest, train
from podium.steps.data.bars import slot_data
from podium.steps.decisions.promote import promote
from podium.steps.serving.predict import classify, predict
from podium.steps.serving.signals import signals
from podium.steps.workspace.session import open_project

CLASSIFIERS = {
    "bilstm": classes.QUICK,
    "naive": {"method": "trend"},
    "logistic": {"class_weights": "balanced"},
}
FORECASTERS = {
    "lstm": {"lstm_units": 4, "max_epochs": 1},
    "naive": {"method": "ewma", "debias": True},
    "drift": {},
    "seasonal_naive": {},
    "ridge": {"alpha": 0.1},
    "har": {},
    **({"lightgbm": {}} if find_spec("lightgbm") else {}),
}
ONE_GATE = {"beta": {"fresh_evidence": {}}, "champion": {"fresh_evidence": {}}}
BODY = '''"""Body of a candle over its range."""
import numpy as np

def compute(dataset):
    return (dataset["close"] - dataset["open"]) / (dataset["high"] - dataset["low"] + 1e-9)
'''


def uneven(n, seed, days):
    """Samples of 2 to 6 steps, whose last step tells the class."""
    made = classes.samples(n, seed, days)
    lengths = 2 + np.arange(n) % (classes.STEPS - 1)
    at = np.minimum(np.arange(classes.STEPS) + (classes.STEPS - lengths)[:, None], 5)
    x = made["X"][np.arange(n)[:, None], at]
    x[np.arange(classes.STEPS) >= lengths[:, None]] = 0.0
    return {**made, "X": x, "lengths": lengths}


def crown(project, candidate):
    done = promote(project, candidate.id, waive=["fresh_evidence"], reason="a test")
    assert done.stage == "champion", done.sentence


def served(folder, artifact_hash, place, x, **params):
    """Answer of MLflow's own loader from a saved model, called as MLflow calls it."""
    import mlflow

    target = place / folder.name
    _mlflow_model.save(folder, artifact_hash, target, run_id="r", created="2026-01-01")
    model = mlflow.pyfunc.load_model(str(target))
    return model.predict(x, params=params or None)


def probabilities(done):
    table = pd.read_csv(done.folder / "predictions.csv")
    return table.iloc[:, -len(classes.CLASSES) :].to_numpy()


@pytest.mark.slow
@pytest.mark.skipif(find_spec("mlflow") is None, reason="MLflow is not installed")
@pytest.mark.filterwarnings("default")
def test_classifiers_of_unequal_lengths_give_their_evaluation_through_every_reader(tmp_path):
    root = classes.project(tmp_path / "p", policies={"classify": ONE_GATE})
    rows = uneven(96, 2, "b")
    classes.write(root / "data" / "train.npz", uneven(160, 1, "a"))
    path = classes.write(root / "data" / "val.npz", rows)
    x, lengths = rows["X"], rows["lengths"]
    marked = x.copy()
    marked[np.arange(classes.STEPS) >= lengths[:, None]] = np.nan
    bare = {name: value for name, value in rows.items() if name != "lengths"}
    for family, settings in CLASSIFIERS.items():
        with open_project(root) as project:
            made = train(
                project, classes.SLOT, family, TrainingRequest(settings=settings)
            ).candidate
            crown(project, made)
        expected = probabilities(classes.evaluated(root, made.id))
        held = champion(classes.SLOT, root)
        assert held.champion.candidate_id == made.id
        model, own = held.load(), load_model(held.path)
        with open_project(root) as project:
            answers = [
                classify(project, classes.SLOT, file).prediction.probabilities
                for file in (path, classes.write(tmp_path / "nan.npz", {**bare, "X": marked}))
            ]
        for one in (model, own, pyfunc._load_pyfunc(str(held.path)).model):
            answers += [one.predict(x, lengths=lengths), one.predict(marked)]
        hash_ = made.artifact_hash
        answers.append(served(held.path, hash_, tmp_path / "1", x, lengths=lengths.tolist()))
        answers.append(served(held.path, hash_, tmp_path / "2", marked))
        for answer in answers:
            np.testing.assert_allclose(answer, expected, atol=1e-6)
        with pytest.raises(DataError, match="no lengths are given") as refusal:
            own.predict(x)
        assert len(refusal.value.problems) == 1
        with open_project(root) as project, pytest.raises(DataError, match="no lengths are given"):
            classify(project, classes.SLOT, classes.write(tmp_path / "bare.npz", bare))
        # A batch of complete samples is no padded one.
        whole = lengths == classes.STEPS
        np.testing.assert_allclose(own.predict(x[whole]), expected[whole], atol=1e-6)


def with_covariate_and_plugin(folder):
    """A project whose slot uses a plugin's feature and a covariate, with and without a lead."""
    features = ["log_return", "body", "covariate:rates.level", "covariate:rates.level:5"]
    slot = {"features": features, "families": ["lstm"]}
    root = projects.small_project(
        folder,
        slots={projects.SLOT: slot},
        datasets={"us4": {"covariates": {"rates": {"path": "rates.csv", "kind": "known_ahead"}}}},
        policies={"forecast": ONE_GATE},
    )
    days = pd.date_range("2000-01-01", "2002-12-31", freq="7D")
    level = np.random.default_rng(3).normal(size=len(days)).cumsum()
    pd.DataFrame({"date": days, "level": level}).to_csv(root / "rates.csv", index=False)
    (root / "plugins" / "features").mkdir(parents=True)
    (root / "plugins" / "features" / "body.py").write_text(BODY)
    return root


def bars_with_features(root, view):
    """Raw bars in long form, with a column of each feature of a covariate."""
    frames = []
    for column, ticker in enumerate(view.tickers):
        frame = pd.read_csv(root / "data" / "us4" / f"{ticker}.csv").assign(ticker=ticker)
        frame["date"] = pd.to_datetime(frame["date"])
        for place, name in enumerate(view.feature_names):
            if name.startswith("covariate:"):
                values = pd.Series(view.features[:, column, place], pd.DatetimeIndex(view.times))
                frame[name] = frame["date"].map(values).astype(float)
        frames.append(frame[frame["date"] <= view.times[-1]])
    return pd.concat(frames).rename(columns={"date": "time"})


def newest(frame):
    """Forecast of each ticker's newest bar."""
    return frame.sort_values("decided_at").groupby("ticker")["forecast"].last().to_dict()


@pytest.mark.slow
@pytest.mark.skipif(find_spec("mlflow") is None, reason="MLflow is not installed")
@pytest.mark.filterwarnings("default")
def test_forecasters_give_one_number_through_every_reader(tmp_path):
    root = with_covariate_and_plugin(tmp_path / "p")
    with open_project(root) as project:
        view = slot_data(project.config, projects.SLOT).view
    frame = bars_with_features(root, view)
    for family, config in FORECASTERS.items():
        (root / "mine.json").write_text(json.dumps({"family": family, "config": config}))
        with open_project(root) as project:
            made = finalize(project, projects.SLOT, config=root / "mine.json").candidate
            crown(project, made)
            model = champion(projects.SLOT, root).load()
            bars = np.arange(len(view) - 1, len(view), dtype=np.int64)
            exact = model.predict(Windows.of(view, bars))
            expected = dict(zip(exact.item.tolist(), exact.mean.tolist(), strict=True))
            assert np.isfinite(exact.mean).all()
            since = str(view.times[-1])
            rows = predict(project, projects.SLOT, since=since).rows()
            until = [row for row in rows if row["decided_at"] == since]
            signalled = [
                row
                for row in signals(project, projects.SLOT, since=since).rows()
                if row["as_of"] == since
            ]
        folder = root / "models" / "registry" / made.artifact_path
        # MLflow's copy lies elsewhere, and the plugin is the project's.
        plugin.use(None)
        with mock.patch.dict(os.environ, {"PODIUM_PROJECT": str(root)}):
            by_mlflow = served(folder, made.artifact_hash, tmp_path / family, frame)
        plugin.use(None)
        for answer in (
            newest(by_mlflow),
            newest(load_model(folder).predict(frame)),
            newest(model.predict(frame)),
            {row["ticker"]: row["forecast"] for row in until},
            {row["ticker"]: row["forecast"] for row in signalled},
        ):
            assert answer == pytest.approx(expected, rel=1e-5), family
        # The example of a model is long enough for a forecast, where its features may be computed.
        example = _mlflow_model._bars({**model.manifest, "plugins": {}})
        assert set(model.predict(example)["ticker"]) == set(expected), family


def test_a_plugin_that_no_project_has_is_one_sentence(tmp_path, monkeypatch):
    folder = tmp_path / "copy"
    manifest = {"family": "naive", "plugins": {"features/body": "x"}}
    place = artifact.Place(folder, "h", manifest, "best_model")
    monkeypatch.chdir(tmp_path)
    plugin.use(None)
    with pytest.raises(DataError, match=r"plugins/features/body\.py") as refusal:
        artifact._use_plugins(place)
    assert "PODIUM_PROJECT" in str(refusal.value)
    assert len(refusal.value.problems) == 1

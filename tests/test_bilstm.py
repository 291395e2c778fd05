"""The LSTM that classifies sequences: known answers, ends of samples, trainings gone on with."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from looped import looped, rest_slow
from podium.errors import DataError, UsageError
from podium.families import bilstm
from podium.families._base import DivergedError
from podium.families._torch import device_of
from podium.families._torch_classifier import Batches, class_weights
from podium.families.bilstm import Recurrent
from podium.feature_stats import FeatureStats
from podium.losses import focal
from podium.sequences import Sequences, Subset
from podium.stats.class_figures import accuracy, confusion, macro_f1
from podium.steps.data import glucose
from podium.testing._fits import Memory
from podium.testing.tasks.classify import Case

FAMILY = bilstm.CLASSIFIER()
CASE = Case.planted(150)


def config(**others):
    small = {"hidden_size": 8, "batch_size": 32, "max_epochs": 4, "dropout": 0.2}
    made = {**FAMILY.space(CASE.train.sequences).only([]).constants, **small, **others}
    FAMILY.space(CASE.train.sequences).require(made)
    return made


def fit(case=CASE, *, seed=3, keep=None, validated=True, **others):
    curve = []
    model = FAMILY.fit(
        config(**others),
        case.train,
        case.validation if validated else None,
        seed=seed,
        report=lambda epoch, scores: curve.append(dict(scores)),
        keep=keep,
    )
    return model, curve


# ------------------------------------------------------------------------- known answers


def test_inverse_frequency_weighs_a_class_by_how_rare_it_is():
    # 12 samples of 3 classes: 12 / (3 x count).
    assert class_weights(np.array([8, 3, 1]), "inverse_frequency", 0.9) == pytest.approx(
        [0.5, 4 / 3, 4]
    )


def test_effective_number_counts_what_each_sample_still_brings():
    # At beta 1/2 one sample is worth 1, two are worth 1.5; weights 1 and 2/3, their mean made 1.
    assert class_weights(np.array([1, 2]), "effective_number", 0.5) == pytest.approx([9 / 7, 6 / 7])
    assert class_weights(np.array([5, 2]), "effective_number", 0.0) == pytest.approx([1, 1])
    # As beta nears 1 every sample is new: the inverse frequency.
    assert class_weights(np.array([5, 2]), "effective_number", 1 - 1e-7) == pytest.approx(
        class_weights(np.array([5, 2]), "inverse_frequency", 0), rel=1e-5
    )


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_focal_loss_is_its_formula(gamma, smoothing):
    rng = np.random.default_rng(0)
    scores, truth, weights = rng.normal(size=(7, 3)), rng.integers(0, 3, 7), np.array([0.5, 1, 3])
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    label = np.eye(3)[truth] * (1 - smoothing) + smoothing / 3
    each = -(label * weights * np.log(p)).sum(axis=1)
    own = p[np.arange(7), truth]
    expected = (each * (1 - own) ** gamma).sum() / weights[truth].sum()
    made = focal.LOSS(torch.from_numpy(weights).float(), smoothing, gamma)
    found = made(torch.from_numpy(scores).float(), torch.from_numpy(truth))
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_a_sample_that_is_as_good_as_sure_has_a_gradient_under_the_focal_loss():
    scores = torch.tensor([[80.0, -80.0]], requires_grad=True)
    focal.LOSS(torch.ones(2), 0.1, 0.5)(scores, torch.tensor([0])).backward()
    assert torch.isfinite(scores.grad).all()


@looped("both", [True, False])
@looped("layers", [1, 2])
@looped("lengths", [[5, 2, 4, 1], [5, 5, 5, 5]])
def test_reading_is_that_of_torchs_packed_lstm(both, layers, lengths):
    torch.manual_seed(0)
    own = Recurrent(3, 4, layers, 0.0, both)
    packed = nn.LSTM(3, 4, layers, bidirectional=both)
    state = packed.state_dict()
    for name in state:
        kind, _, place = name.rpartition("_l")
        number, back, _ = place.partition("_reverse")
        lstm = (own.back if back else own.ahead)[int(number)]
        state[name] = lstm.state_dict()[f"{kind}_l0"]
    packed.load_state_dict(state)
    x, given_lengths = torch.randn(5, 4, 3), torch.tensor(lengths)
    _, (h, _) = packed(nn.utils.rnn.pack_padded_sequence(x, given_lengths, enforce_sorted=False))
    expected = torch.cat([h[-2], h[-1]], dim=1) if both else h[-1]
    x[torch.arange(5)[:, None] >= given_lengths] = 1e3
    ragged = None if min(lengths) == 5 else given_lengths
    assert torch.allclose(own(x, ragged), expected, atol=1e-6)


@settings(max_examples=30)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=80), st.integers(1, 40))
def test_an_epoch_has_every_sample_once_and_no_step_behind_the_longest(lengths, size):
    given_lengths = np.array(lengths)
    x = np.broadcast_to(
        np.arange(len(lengths), dtype=np.float32)[:, None, None], (len(lengths), 9, 1)
    )
    truth = np.zeros(len(lengths), dtype=np.int64)
    batches = Batches(np.ascontiguousarray(x), given_lengths, truth, torch.device("cpu"))
    order = batches.shuffled(size)
    assert sorted(torch.cat(order).tolist()) == list(range(len(lengths)))
    for rows in order:
        steps, found = batches.at(rows)
        assert steps.shape == (given_lengths[rows.numpy()].max(), len(rows), 1)
        assert steps[0, :, 0].tolist() == rows.tolist()
        assert (found is None) == (len(set(given_lengths[rows.numpy()].tolist())) == 1)
        assert found is None or found.tolist() == given_lengths[rows.numpy()].tolist()


def test_the_norm_of_a_gradient_is_clipped():
    norms = []

    def look(optimizer, args, kwargs):
        parts = [p.grad.norm() for group in optimizer.param_groups for p in group["params"]]
        norms.append(float(torch.stack(parts).norm()))

    hook = register_optimizer_step_pre_hook(look)
    try:
        fit(clip_norm=0.01)
        assert norms
        assert max(norms) <= 0.0101
        norms.clear()
        fit(clip_norm=0.0)
        assert max(norms) > 0.05
    finally:
        hook.remove()


@pytest.mark.parametrize("both", [True, False])
def test_reading_backwards_finds_what_only_the_first_step_says(both):
    """Fifty steps of noise behind it are too much for one direction in so short a training."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 50, 1))
    made = Sequences.of("s", x, (x[:, 0, 0] > 0).astype(int))
    case = Case(Subset(made, np.arange(200)), Subset(made, np.arange(200, 300)))
    _, curve = fit(
        case, bidirectional=both, learning_rate=0.02, max_epochs=6, hidden_size=16, dropout=0.0
    )
    best = max(scores["val_accuracy"] for scores in curve)
    assert best > 0.9 if both else best < 0.75


# ------------------------------------------------------------- epochs, and which is the best


def test_the_model_is_the_epoch_of_the_best_macro_f1_and_its_figures_are_the_curves():
    model, curve = fit(max_epochs=8, learning_rate=0.01)
    keys = [(scores["val_macro_f1"], -scores["val_loss"]) for scores in curve]
    assert model.epochs == keys.index(max(keys)) + 1
    found = model.predict(CASE.validation.blind())
    truth = CASE.validation.truth()
    counts = confusion(truth, found.chosen, 3)
    best = curve[model.epochs - 1]
    assert best["val_macro_f1"] == macro_f1(counts)
    assert best["val_accuracy"] == accuracy(counts)
    weights = class_weights(np.bincount(CASE.train.truth()), "effective_number", 0.999)[truth]
    losses = -np.log(found.probabilities[np.arange(len(truth)), truth])
    assert best["val_loss"] == pytest.approx((losses * weights).sum() / weights.sum(), rel=1e-5)


def test_training_ends_when_no_epoch_was_better_for_as_long_as_one_has_patience():
    whole = fit(max_epochs=30, learning_rate=0.02)[1]
    model, curve = fit(max_epochs=30, learning_rate=0.02, patience=3)
    assert curve == whole[: len(curve)]
    assert len(curve) == model.epochs + 3 < 30


def test_without_validation_all_epochs_are_trained_and_the_last_is_kept():
    model, curve = fit(validated=False, patience=1)
    assert model.epochs == len(curve) == 4
    assert set(curve[0]) == {"train_loss", "train_accuracy", "learning_rate"}


@pytest.mark.parametrize(
    ("scheduler", "expected"),
    [
        ("constant", [1, 1, 1, 1, 1]),
        ("step", [1, 1, 0.1, 0.1, 0.01]),
        ("cosine", [(1 + np.cos(np.pi * k / 5)) / 2 for k in range(5)]),
    ],
)
def test_the_learning_rate_follows_its_schedule(scheduler, expected):
    _, curve = fit(
        scheduler=scheduler, decay=0.1, decay_epochs=2, max_epochs=5, learning_rate=0.004
    )
    found = [scores["learning_rate"] / 0.004 for scores in curve]
    assert found == pytest.approx(expected)


def test_the_learning_rate_falls_when_the_validation_loss_does_not():
    _, curve = fit(scheduler="plateau", decay=0.1, decay_epochs=1, max_epochs=20, learning_rate=0.1)
    losses = [scores["val_loss"] for scores in curve]
    rate = 0.1
    for k in range(1, len(curve)):
        if k > 1 and losses[k - 1] >= min(losses[: k - 1]):
            rate *= 0.1
        assert curve[k]["learning_rate"] == pytest.approx(rate)
        if rate < 1e-6:  # smaller changes than torch makes
            break
    assert curve[-1]["learning_rate"] < 0.1


def test_a_loss_that_is_not_finite_ends_training():
    data = CASE.train.sequences
    wild = FeatureStats(data.feature_names, (0.0, 0.0), (1e-37, 1e-37))
    x = np.where(np.isnan(data.x), 1, data.x) * np.float32(1e30)
    made = Sequences.of("s", x, data.y, feature_names=data.feature_names)
    made = CASE.on(replace(made, stats=wild, class_names=data.class_names))
    with pytest.raises(DivergedError, match="not finite in epoch 1"):
        fit(made)


def test_nothing_outside_is_moved_by_a_training():
    torch.manual_seed(5)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    fit()
    assert torch.equal(before, torch.get_rng_state())
    assert torch.get_num_threads() == threads


# ------------------------------------------------------------------------- its files


def test_the_models_folder_has_its_weights_and_its_scaling(tmp_path):
    model, _ = fit()
    model.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.pt", "feature_stats.json"]
    state = torch.load(tmp_path / "best.pt", weights_only=True)
    assert state["class_names"] == ["falls", "stays", "rises"]
    assert set(state["model_state_dict"]) == set(model.network.state_dict())
    told = FeatureStats.parse((tmp_path / "feature_stats.json").read_text(), "f")
    assert told == FeatureStats.of(*CASE.train.inputs(), ("walk", "noise")) == model.stats


def test_scaling_that_is_given_is_used_in_place_of_the_training_samples():
    given_stats = FeatureStats(("walk", "noise"), (1.0, 2.0), (3.0, 4.0))
    data = replace(CASE.train.sequences, stats=given_stats)
    assert fit(CASE.on(data))[0].stats == given_stats
    strange = FeatureStats(("noise", "walk"), (1.0, 2.0), (3.0, 4.0))
    with pytest.raises(DataError, match="noise, walk"):
        fit(CASE.on(replace(data, stats=strange)))


# --------------------------------------------------------- trainings that are gone on with


@pytest.mark.parametrize(
    ("others", "validated"),
    rest_slow(
        [
            ({"scheduler": "plateau", "decay_epochs": 1, "learning_rate": 0.05}, True),
            ({"scheduler": "step", "decay_epochs": 2, "loss": "focal"}, True),
            ({"scheduler": "cosine", "num_layers": 2}, True),
            ({"patience": 2, "learning_rate": 0.05, "label_smoothing": 0.1}, True),
            ({"bidirectional": False}, False),
        ],
        fast=1,
    ),
)
def test_a_training_gone_on_with_has_the_uninterrupted_curve_to_the_bit(others, validated):
    others = {"max_epochs": 7, **others}
    states = Memory()
    whole, curve = fit(validated=validated, keep=states, **others)
    assert states.best == whole.epochs
    for epoch, state in states.kept.items():
        rest = Memory(state)
        again, told = fit(validated=validated, keep=rest, **others)
        assert told == curve
        asked = CASE.validation.blind()
        assert (again.predict(asked).probabilities == whole.predict(asked).probabilities).all()
        assert again.epochs == whole.epochs
        assert list(rest.kept) == list(range(epoch + 1, len(curve) + 1))


def test_more_epochs_than_before_are_trained_as_if_there_had_been_no_end():
    states = Memory()
    fit(max_epochs=3, keep=states)
    assert fit(max_epochs=6, keep=Memory(states.kept[3]))[1] == fit(max_epochs=6)[1]


def test_a_state_is_plain_tensors_and_values():
    states = Memory()
    fit(keep=states)
    found = torch.load(io.BytesIO(states.kept[2]), weights_only=True)
    assert found["epoch"] == len(found["curve"]) == 2
    for part in ("model", "optimizer", "scheduler"):
        assert found[f"{part}_state_dict"]
    assert json.loads(found["stats"])["feature_names"] == ["walk", "noise"]


def test_the_state_of_another_training_is_refused_with_all_that_differs():
    states = Memory()
    fit(keep=states)
    last = states.kept[4]
    fewer = Case(Subset(CASE.train.sequences, CASE.train.rows[1:]), CASE.validation)
    with pytest.raises(UsageError) as caught:
        fit(fewer, keep=Memory(last), seed=9, hidden_size=16, clip_norm=0.5)
    message = str(caught.value)
    for part in ("seed 3", "other samples", "hidden_size 8", "clip_norm 1.0"):
        assert part in message
    assert len(caught.value.problems) == 4
    with pytest.raises(UsageError, match="has 4 epochs"):
        fit(max_epochs=2, keep=Memory(last))


def test_a_cosine_cannot_be_made_longer():
    states = Memory()
    fit(scheduler="cosine", keep=states)
    with pytest.raises(UsageError, match="with a cosine schedule"):
        fit(scheduler="cosine", max_epochs=8, keep=Memory(states.kept[4]))


@pytest.mark.parametrize("content", [b"", b"nothing of torch's", b"PK\x03\x04"])
def test_bytes_that_are_no_state_are_refused(content):
    with pytest.raises(DataError, match="cannot be read"):
        fit(keep=Memory(content))


def test_a_torch_file_of_another_program_is_refused():
    buffer = io.BytesIO()
    torch.save({"model_state_dict": {}}, buffer)
    with pytest.raises(DataError, match="not written by podium"):
        fit(keep=Memory(buffer.getvalue()))


# ------------------------------------------------------------------------- devices


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(UsageError, match=r"device is 'tpu'\. Expected one of cpu, cuda, mps, auto"):
        device_of("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="this machine has none"):
            device_of("cuda")


def test_where_it_is_trained_is_no_part_of_a_config():
    assert "device" not in config()
    assert FAMILY.device == "cpu"


def test_half_precision_is_for_cuda_only():
    assert fit(amp=True)[1] == fit(amp=False)[1]


@pytest.mark.slow
def test_it_finds_rare_classes_in_readings_of_glucose():
    """After three epochs more than the majority (0.32), less than after all of them."""
    pytest.importorskip("bokeh_sampledata")
    parts = {
        name: Sequences.of("glucose", arrays.pop("X"), arrays.pop("y"), **arrays)
        for name, arrays in glucose.sequences(glucose.readings()).items()
    }
    train, validation = (Subset(part, np.arange(len(part))) for part in parts.values())
    _, curve = fit(
        Case(train, validation), hidden_size=32, batch_size=128, max_epochs=3, num_layers=1
    )
    assert max(scores["val_macro_f1"] for scores in curve) > 0.42

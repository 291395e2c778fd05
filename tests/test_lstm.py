"""What the LSTM family is asked for beyond the contract: fewer bits in its first epochs."""

import numpy as np
import pytest
import torch

from podium.errors import UsageError
from podium.families.lstm import FAMILY
from podium.testing._fits import trainings
from podium.testing.tasks.forecast import Case

HAS_BF16 = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
needs_bf16 = pytest.mark.skipif(not HAS_BF16, reason="this processor has no bf16 arithmetic")


@pytest.fixture(scope="module")
def parts():
    case = Case.planted()
    return case.train, case.validation


def config(parts, **other):
    space = FAMILY().space(parts[0].view).narrowed({"max_epochs": 4, **other}, "here").only([])
    [found] = space.grid()
    return found


def curve(parts, asked):
    told = []
    FAMILY().fit(
        asked, *parts, seed=5, report=lambda epoch, scores: told.append(scores["val_loss"])
    )
    return np.array(told)


def test_half_the_precision_is_in_no_config_unless_it_is_asked_for(parts):
    assert "bf16_epochs" not in config(parts)
    assert config(parts, bf16_epochs=2)["bf16_epochs"] == 2


@needs_bf16
def test_the_first_epochs_in_half_the_precision_come_to_nearly_the_same(parts):
    whole, half = curve(parts, config(parts)), curve(parts, config(parts, bf16_epochs=2))
    assert half[0] != whole[0]
    assert half == pytest.approx(whole, rel=0.02)
    # None of them: the very same bits.
    assert list(curve(parts, config(parts, bf16_epochs=0))) == list(whole)


@needs_bf16
def test_a_training_in_half_the_precision_pauses_and_goes_on_to_the_bit(parts):
    asked = config(parts, bf16_epochs=2)
    (_, whole), *others = trainings(FAMILY(), asked, *parts)
    for _, other in others:
        means = [list(model.predict(parts[1].blind()).mean) for model in (whole, other)]
        assert means[0] == means[1]


def test_a_device_without_it_is_refused_in_a_sentence(parts, monkeypatch):
    for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.setattr(torch.cpu, name, bool)
    with pytest.raises(UsageError, match="no bf16 arithmetic"):
        curve(parts, config(parts, bf16_epochs=2))
    [end] = FAMILY().fit_many([config(parts, bf16_epochs=2)], *parts, seeds=[1])
    assert end.model is None
    assert "Traceback" not in end.reason

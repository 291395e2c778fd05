"""The demo's verdicts come from the data: other data, other verdicts."""

import pandas as pd
import pytest

from podium import config
from podium.dataset import FIELDS
from podium.steps.archive.init import init
from podium.steps.data.bars import load_dataset
from podium.steps.pipeline.run import run
from podium.steps.workspace.session import open_project
from podium.testing.series import shuffled

pytestmark = pytest.mark.slow
VOLATILITY, RETURN = "us4/D/volatility", "us4/D/return"


def _verdicts(root):
    with open_project(root) as project:
        return {slot.slot: slot for slot in run(project).report.slots}


def _replace(root, *pairs):
    path = root / "podium.toml"
    text = path.read_text()
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)


def test_the_demo_promotes_the_volatility_model_and_refuses_the_return_model(tmp_path):
    found = _verdicts(init(tmp_path / "demo", demo=True))
    assert found[VOLATILITY].verdict == "promoted"
    assert found[VOLATILITY].dm_p_adjusted < 0.05
    assert found[VOLATILITY].trials_counted == 24
    assert found[RETURN].verdict == "refused"


@pytest.mark.parametrize("seed", [1, 2])
def test_on_shuffled_days_both_models_are_refused(tmp_path, seed):
    root = init(tmp_path / "demo", demo=True)
    dataset = shuffled(load_dataset(config.load(root), "us4"), seed=seed)
    for n, ticker in enumerate(dataset.tickers):
        frame = pd.DataFrame({field: dataset[field][:, n] for field in FIELDS})
        frame.insert(0, "date", dataset.times)
        frame.to_csv(root / "data" / "us4" / f"{ticker}.csv", index=False)
    _replace(root, ("adjust = true ", "adjust = false "))
    found = _verdicts(root)
    assert {name: slot.verdict for name, slot in found.items()} == {
        VOLATILITY: "refused",
        RETURN: "refused",
    }


def test_on_another_period_the_verdicts_are_made_anew(tmp_path):
    root = init(tmp_path / "demo", demo=True)
    # GOOG begins in 2004; without it the bars reach back to 2000.
    _replace(
        root,
        ('tickers = ["AAPL", "GOOG", "IBM", "MSFT"]', 'tickers = ["AAPL", "IBM", "MSFT"]'),
        ('test_from = "2010-01-01"', 'test_from = "2006-01-01"\ntest_to = "2008-12-31"'),
    )
    found = _verdicts(root)
    assert found[VOLATILITY].verdict == "promoted"
    assert found[RETURN].verdict == "refused"
    for slot in found.values():
        assert slot.test_period == ("2006-01-03", "2008-12-31")
        assert slot.test_looks in (1, 2)

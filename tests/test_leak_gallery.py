"""A gallery of ways to know the future: each is caught for every seed, its honest twin never."""

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from figures import DAY, with_figures
from looped import looped, rest_slow
from podium import registry
from podium.covariates import Covariate
from podium.errors import DataError
from podium.families._base import Family, Model
from podium.portfolio import simulate
from podium.prediction import Prediction
from podium.space import Choice, Space
from podium.split import Fold, Split
from podium.testing.leak import (
    BlindError,
    awaiting,
    examine,
    probe,
    probe_dated,
    probe_family,
    probe_fills,
    probe_split,
)
from podium.testing.series import bars, view

SEEDS = range(20)
BARS, BACK, AHEAD = 110, 8, 5


def place(seed, count=BARS):
    """A series and a bar of its own for every seed."""
    return bars(count, seed=seed), int(np.random.default_rng(seed).integers(count // 2, count - 15))


# ------------------------------------------------------------------ families


class Line(Model):
    def __init__(self, weights, mean, spread, shift):
        self.weights, self.mean, self.spread, self.shift = weights, mean, spread, shift

    def predict(self, windows):
        inputs = gathered(windows, self.shift, self.mean, self.spread)
        return Prediction.of(windows, inputs @ self.weights)

    def save(self, folder):
        raise NotImplementedError


class LineFamily(Family):
    """Least squares on scaled windows; on request a bar late, or scaled by all there is."""

    name = "line"

    def __init__(self, *, shift=0, greedy=False):
        self.shift, self.greedy = shift, greedy

    def space(self, view):
        return Space({"penalty": Choice((0.1,))})

    def fit(self, config, train, validation, *, seed, report):
        every = train.view.features
        seen = every[train.view.first_bar :].reshape(-1, every.shape[2])
        if not self.greedy:
            seen = every[train.at, train.item]
        mean, spread = seen.mean(axis=0), seen.std(axis=0)
        inputs = gathered(train, self.shift, mean, spread)
        square = inputs.T @ inputs + config["penalty"] * np.eye(inputs.shape[1])
        weights = np.linalg.solve(square, inputs.T @ train.truth())
        return Line(weights, mean, spread, self.shift)

    def load(self, read):
        raise NotImplementedError


def gathered(windows, shift, mean, spread):
    """Scaled windows that end ``shift`` bars after the decision, (n, L * F)."""
    ends = np.minimum(windows.at + shift, len(windows.view) - 1)
    rows = ends[:, np.newaxis] + np.arange(1 - windows.view.window, 1)
    values = windows.view.features[rows, windows.item[:, np.newaxis]]
    return ((values - mean) / spread).reshape(len(ends), -1).astype(float)


def family(**how):
    def look(seed):
        dataset, at = place(seed)
        config = {"penalty": 0.1}
        return probe_family(LineFamily(**how), config, dataset, at, view_of=view, seed=seed)

    return look


# ------------------------------------------------------------------ features


def over(values, before, after, reduce):
    """Of each bar the values from ``before`` bars earlier to ``after`` bars later, reduced."""
    found = np.full_like(values, np.nan)
    around = sliding_window_view(values, before + after + 1, axis=0)
    found[before : len(values) - after] = reduce(around, axis=-1)
    return found


def normalized(after):
    def compute(dataset):
        close = dataset["close"]
        mean, spread = (over(close, BACK, after, how) for how in (np.mean, np.std))
        return (close - mean) / spread

    return compute


def smoothed(before, after):
    return lambda dataset: over(dataset["close"], before, after, np.mean)


def feature(compute):
    def look(seed):
        dataset, at = place(seed)
        return probe(compute, dataset, at, seed=seed)

    return look


# ------------------------------------------------------------------ splits


def at_random(seen, rng):
    numbers = rng.permutation(seen.samples().index)
    return numbers[: len(numbers) * 3 // 4], numbers[len(numbers) * 3 // 4 :]


def in_time(seen, rng):
    numbers = seen.samples().index
    cut = int(rng.integers(40, 60))
    return numbers[: cut - seen.horizon + 1], numbers[cut:]


def split(cut):
    def look(seed):
        seen = view(bars(BARS, seed=seed), horizon=AHEAD, window=BACK)
        train, validation = cut(seen, np.random.default_rng(seed))
        samples = seen.samples()
        fold = Fold(0, np.sort(train), np.sort(validation))
        made = Split("made", {}, (fold,), samples.times, samples.horizon, samples)
        return probe_split(made, samples=samples)

    return look


# ------------------------------------------------------------------ dated figures


def joined(by):
    """A figure a month, published 20 days after the month has ended."""

    def look(seed):
        dataset, _ = place(seed)
        months = np.arange("2000-01", "2000-06", dtype="datetime64[M]")
        ends = (months + 1).astype("datetime64[s]")
        dates = {
            "start": months.astype("datetime64[s]"),
            "end": ends,
            "publication": ends + np.timedelta64(20, "D"),
        }
        figures = np.random.default_rng(seed).lognormal(size=len(months))

        def compute(known):
            row = np.searchsorted(dates[by], dataset.times, side="right") - 1
            latest = np.where(row >= 0, known[row], np.nan)
            return dataset["close"] / latest[:, np.newaxis]

        return probe_dated(compute, figures, dates["publication"], dataset.times, seed=seed)

    return look


def covariate(compute, kind=0):
    """A feature of covariates, probed where a release (0) or a revision (1) is awaited."""

    def look(seed):
        dataset = with_figures(bars(BARS, seed=seed), seed)
        waiting = awaiting(dataset)[kind]
        waiting = waiting[(waiting > 40) & (waiting < BARS - 5)]
        at = int(np.random.default_rng(seed).choice(waiting))
        return probe(compute, dataset, at, seed=seed)

    return look


def joined_as(dataset, moments, rows):
    """Earnings as if the rows had become known at these moments."""
    one = dataset.covariates["earnings"]
    eps, tickers = {"eps": one.values["eps"][rows]}, one.tickers[rows].tolist()
    known = Covariate.of("dated", eps, moments=moments, tickers=tickers)
    return known.at("eps", dataset.tickers, dataset.times)


def by_period(dataset):
    """The latest period that is over, whether its figure is out or not."""
    one = dataset.covariates["earnings"]
    first = one.moments - one.periods < 25 * DAY
    return joined_as(dataset, one.periods[first], first)


def as_revised(dataset):
    """Every period from its first release on, with the figure of its last one."""
    one = dataset.covariates["earnings"]
    # Rows lie in the order of tickers and periods, a revision after what it revises.
    change = one.periods[1:] != one.periods[:-1]
    first, last = np.append(True, change), np.append(change, True)
    return joined_as(dataset, one.moments[first], last)


def as_known(dataset):
    return registry.load("features", "covariate").compute(dataset, "earnings.eps")


# ------------------------------------------------------------------ fills


def filled(execution, *, same_bar):
    weigh = registry.load("signals", "sign").weights

    def held(dataset):
        # Long what closed above its open: known at the close, worth most at the open before it.
        weights = weigh(np.log(dataset["close"] / dataset["open"]), gross=0.01)
        if same_bar:
            # Handed in a bar early, so the kernel's next bar is the one it was decided on.
            weights = np.concatenate([weights[1:], np.full_like(weights[:1], np.nan)])
        made = simulate(dataset["close"], weights, open_prices=dataset["open"], execution=execution)
        return made.weights_held

    def look(seed):
        # Every bar is simulated fourteen times: fewer than elsewhere. The leak shows at one bar, in
        # a sign that another future turns every other time; two futures of three tickers are tried.
        dataset, at = place(seed, 60)
        return probe_fills(held, dataset, at, seed=seed)

    return look


GALLERY = {
    "a family that reads one bar ahead": (family(shift=1), family()),
    "a scaler fitted on everything": (family(greedy=True), family()),
    "a normalisation over the target window": (
        feature(normalized(AHEAD)),
        feature(normalized(0)),
    ),
    "a centred moving average": (feature(smoothed(BACK, BACK)), feature(smoothed(2 * BACK, 0))),
    "a random split of overlapping windows": (split(at_random), split(in_time)),
    "a figure joined where its period begins": (joined("start"), joined("publication")),
    "a figure joined where its period ends": (joined("end"), joined("publication")),
    "earnings joined at the end of their period": (covariate(by_period), covariate(as_known)),
    "earnings in their last revision": (covariate(as_revised, 1), covariate(as_known, 1)),
    "a fill at the open of the bar it was decided on": (
        filled("next_open", same_bar=True),
        filled("next_open", same_bar=False),
    ),
    "a fill at the close it was decided on": (
        filled("next_close", same_bar=True),
        filled("next_close", same_bar=False),
    ),
}
every_seed = looped("seed", SEEDS)
# The last two ways are fills that differ in the price alone.
every_way = pytest.mark.parametrize(
    ("way", "seeds"),
    rest_slow([(way, n) for n in (5, len(SEEDS)) for way in GALLERY], fast=len(GALLERY) - 1),
)


@every_way
def test_it_is_caught(way, seeds):
    dishonest, _ = GALLERY[way]
    assert [seed for seed in SEEDS[:seeds] if dishonest(seed) is None] == []


@every_way
def test_its_honest_twin_is_not_accused(way, seeds):
    _, honest = GALLERY[way]
    assert [seed for seed in SEEDS[:seeds] if honest(seed) is not None] == []


def test_the_bar_named_is_the_first_that_knows():
    dataset = bars(BARS)
    assert probe(smoothed(0, 3), dataset, 70).bar == 68
    assert probe_family(
        LineFamily(shift=1), {"penalty": 0.1}, dataset, 70, view_of=lambda d: view(d, window=2)
    ).column == (0,)
    # The first figure is of January and is published on the 20th of February; its month begins on
    # the 1st, before the first bar.
    assert joined("start")(0).bar == 0
    assert dataset.times[joined("end")(0).bar] == np.datetime64("2000-02-01")


@every_seed
def test_figures_joined_at_their_period_are_named_by_bar_and_ticker(seed):
    dataset = with_figures(bars(BARS, seed=seed), seed)
    leak = covariate(by_period)(seed)
    assert "values of 'earnings' published after it" in leak.how or "cut off" in leak.how
    [ticker] = leak.column
    one = dataset.covariates["earnings"]
    over = (one.tickers == dataset.tickers[ticker]) & (one.periods <= dataset.times[leak.bar])
    assert (one.moments[over] > dataset.times[leak.bar]).any(), "no figure was awaited there"


def test_columns_that_the_past_does_not_move_are_told_apart():
    def half_constant(dataset):
        return np.concatenate([dataset["close"][:, :2], np.ones((len(dataset), 1))], axis=1)

    sight = examine(half_constant, bars(BARS), 70)
    assert (sight.columns, sight.blind) == (((0,), (1,), (2,)), ((2,),))
    assert sight.leak is None


def test_a_join_that_uses_no_figure_makes_the_probe_blind():
    dataset = bars(BARS)
    published = dataset.times[[20, 40]]
    figures = np.array([1.0, 2.0])
    with pytest.raises(BlindError, match="blind"):
        probe_dated(lambda known: dataset["close"], figures, published, dataset.times)
    with pytest.raises(BlindError, match="blind"):
        probe_dated(lambda known: known, figures, published + np.timedelta64(9999, "D"), published)


def test_a_portfolio_that_never_trades_makes_the_probe_blind():
    with pytest.raises(DataError, match="blind"):
        probe_fills(lambda dataset: np.zeros_like(dataset["close"]), bars(BARS), 70)

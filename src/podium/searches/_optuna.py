"""Model-based searches on an Optuna study in memory, by ask and tell."""

from __future__ import annotations

import abc
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState

from podium.errors import MissingExtraError
from podium.searches._base import Search
from podium.space import Choice, ConfigDict, Float, Parameter, Space, Value
from podium.trial import trial_seed

# Optuna's warnings are for its direct users.
optuna.logging.set_verbosity(optuna.logging.ERROR)


class _FixedSpace:
    """Search space of a sampler; Optuna's own intersect the spaces of all trials each time."""

    space: dict[str, BaseDistribution]

    def infer_relative_search_space(
        self, study: optuna.Study, trial: optuna.trial.FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return the whole space: every trial of a study has every parameter."""
        return self.space


class _TPE(_FixedSpace, optuna.samplers.TPESampler):
    """TPE with a fixed space."""


class _GP(_FixedSpace, optuna.samplers.GPSampler):
    """Gaussian process with a fixed space."""


class OptunaSearch(Search):
    """An Optuna study in memory, rebuilt from the record.

    Each trial has a new sampler, seeded by the study's seed and the trial's number, so the next
    config depends on the known trials alone. A parameter that does not count in a config has the
    middle of its range there.
    """

    # Random trials before the first model.
    start: int = 10

    def __init__(self, space: Space, seed: int) -> None:
        super().__init__(space, seed)
        self.study = optuna.create_study(direction="minimize")
        self.distributions = {name: _distribution(p) for name, p in space.parameters.items()}
        self.searched = {n: d for n, d in sorted(self.distributions.items()) if not d.single()}
        # Optuna's number of each proposed trial without a score.
        self.running: dict[int, int] = {}

    @abc.abstractmethod
    def sampler(self, seed: int) -> _TPE | _GP:
        """Return a new sampler."""

    def ask(self, numbers: Sequence[int]) -> list[ConfigDict]:
        """Propose one generation; earlier proposals without a score count as running."""
        configs = []
        for number in numbers:
            sampler = self.study.sampler = self.sampler(trial_seed(self.seed, number))
            sampler.space = self.searched
            trial = self.study.ask(self.distributions)
            config = self.fresh(self.space.complete(trial.params), number)
            if config is not None and self._params(config) == trial.params:
                self.running[number] = trial.number
            else:
                # The sampler ignores failed trials.
                self.study.tell(trial, state=TrialState.FAIL)
                if config is None:
                    break
                self.expect(number, config)
            configs.append(config)
        return configs

    def expect(self, number: int, config: ConfigDict) -> None:
        """Add a running trial with a config of another sampler."""
        self.running[number] = self._add(config, TrialState.RUNNING)

    def tell(self, number: int, config: ConfigDict, score: float) -> None:
        """Receive a score; one that is not finite is a failure."""
        self.remember(config)
        failed = not math.isfinite(score)
        state = TrialState.FAIL if failed else TrialState.COMPLETE
        if number in self.running:
            self.study.tell(self.running.pop(number), None if failed else score, state=state)
        else:
            self._add(config, state, None if failed else score)

    def _add(self, config: ConfigDict, state: TrialState, score: float | None = None) -> int:
        """Add a trial that Optuna did not draw; return its number."""
        with warnings.catch_warnings():
            # Optuna warns of a config from before a choice was added; its score is still usable.
            warnings.simplefilter("ignore", UserWarning)
            params = self._params(config)
            trial = optuna.trial.create_trial(
                state=state, value=score, params=params, distributions=self.distributions
            )
            self.study.add_trial(trial)
        return len(self.study.get_trials(deepcopy=False)) - 1

    def _params(self, config: ConfigDict) -> dict[str, Value]:
        counting = self.space.counting(config) if self.space.conditions else self.distributions
        parameters = self.space.parameters.items()
        return {name: config[name] if name in counting else p.at(0.5) for name, p in parameters}


class TPESearch(OptunaSearch):
    """Tree-structured Parzen estimator, multivariate and with constant liar."""

    def sampler(self, seed: int) -> _TPE:
        """Return a new sampler."""
        return _TPE(seed=seed, n_startup_trials=self.start)


class GPSearch(OptunaSearch):
    """Gaussian process; running trials count with their expected score."""

    def __init__(self, space: Space, seed: int) -> None:
        if not has_torch():
            raise MissingExtraError(
                "search 'gp' needs the package 'torch', which is not installed",
                fix="run: pip install torch, or set tune.search = 'tpe'",
            )
        super().__init__(space, seed)

    def sampler(self, seed: int) -> _GP:
        """Return a new sampler."""
        return _GP(seed=seed, n_startup_trials=self.start, warn_independent_sampling=False)

    def ask(self, numbers: Sequence[int]) -> list[ConfigDict]:
        """Propose one generation, computed on one thread."""
        with _one_thread():
            return super().ask(numbers)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Use one thread: faster for small matrices, and the bits must not depend on the number."""
    # Imported here: only a Gaussian process needs it.
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def has_torch() -> bool:
    """Whether torch is installed, which Optuna's Gaussian process needs."""
    return find_spec("torch") is not None


def _distribution(parameter: Parameter) -> BaseDistribution:
    if isinstance(parameter, Choice):
        return CategoricalDistribution(parameter.options)
    if isinstance(parameter, Float):
        return FloatDistribution(parameter.low, parameter.high, log=parameter.log)
    return IntDistribution(parameter.low, parameter.high, log=parameter.log)

"""Tree-structured Parzen estimator of Optuna 5 (multivariate, constant liar), ask and tell."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from podium.searches._base import Search
from podium.space import Choice, ConfigDict, Float, Parameter, Space
from podium.trial import trial_seed

optuna.logging.set_verbosity(optuna.logging.WARNING)


class _Sampler(optuna.samplers.TPESampler):
    """TPE that knows its space, where Optuna's own intersects those of all trials each time."""

    def __init__(self, seed: int, space: dict[str, BaseDistribution]) -> None:
        super().__init__(seed=seed)
        self._known = {name: d for name, d in sorted(space.items()) if not d.single()}

    def infer_relative_search_space(
        self, study: optuna.Study, trial: optuna.trial.FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The whole space: every trial of a study has every parameter."""
        return self._known


class TPESearch(Search):
    """Optuna's study lives in memory only and is rebuilt from the record.

    The sampler is made anew for every trial from the study's seed and the trial's number, so the
    next config depends on the trials told and on nothing else.
    """

    def __init__(self, space: Space, seed: int) -> None:
        super().__init__(space, seed)
        self.study = optuna.create_study(direction="minimize")
        self.distributions = {name: _distribution(p) for name, p in space.parameters.items()}
        self.asked: dict[int, optuna.Trial] = {}

    def ask(self, numbers: Sequence[int]) -> list[ConfigDict]:
        """Configs of one generation; those asked before it and not told yet count as running."""
        configs = []
        for number in numbers:
            self.study.sampler = _Sampler(trial_seed(self.seed, number), self.distributions)
            self.asked[number] = self.study.ask(self.distributions)
            configs.append(self.space.complete(self.asked[number].params))
        return configs

    def tell(self, number: int, config: ConfigDict, score: float) -> None:
        """A score, or a failure when it is not finite."""
        failed = not math.isfinite(score)
        state = optuna.trial.TrialState.FAIL if failed else optuna.trial.TrialState.COMPLETE
        if number in self.asked:
            self.study.tell(self.asked.pop(number), None if failed else score, state=state)
            return
        with warnings.catch_warnings():
            # A config from before a choice was added is still worth learning from.
            warnings.simplefilter("ignore", UserWarning)
            self.study.add_trial(
                optuna.trial.create_trial(
                    state=state,
                    value=None if failed else score,
                    params={name: config[name] for name in self.distributions},
                    distributions=self.distributions,
                )
            )


SEARCH = TPESearch


def _distribution(parameter: Parameter) -> BaseDistribution:
    if isinstance(parameter, Choice):
        return CategoricalDistribution(parameter.options)
    if isinstance(parameter, Float):
        return FloatDistribution(parameter.low, parameter.high, log=parameter.log)
    return IntDistribution(parameter.low, parameter.high, log=parameter.log)

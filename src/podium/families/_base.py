"""The contract of a family and of the models it fits."""

from __future__ import annotations

import abc
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from podium.prediction import Prediction
from podium.space import Choice, ConfigDict, Space, Value
from podium.split import Windows
from podium.trial import Epoch, Fitted
from podium.view import View

Report = Callable[[int, Mapping[str, float]], None]


class DivergedError(Exception):
    """Training left the finite numbers; the trial fails with this message."""


class Model(abc.ABC):
    """A fitted model: predicts windows and writes itself into a folder."""

    @abc.abstractmethod
    def predict(self, windows: Windows) -> Prediction:
        """Forecasts of the windows in their order; may read bars up to each decision only."""

    @abc.abstractmethod
    def save(self, folder: Path) -> None:
        """Write the model's files; no pickled Python object in any of them."""

    @property
    def epochs(self) -> int:
        """Epochs behind this model: of the best one when it was validated. 0: not iterative."""
        return 0


class Family(abc.ABC):
    """A kind of model. ``families/<name>.py`` holds one as ``FAMILY``.

    A family says with a new ``VERSION`` that its numbers changed, so that old trials are not taken
    for its own.
    """

    name: str
    VERSION: int = 1
    # Whether a ticker's forecast needs its own bars only, so that some tickers may be left out.
    each_alone: bool = False

    @abc.abstractmethod
    def space(self, view: View) -> Space:
        """What can be tuned for this task."""

    @abc.abstractmethod
    def fit(
        self,
        config: ConfigDict,
        train: Windows,
        validation: Windows | None,
        *,
        seed: int,
        report: Report,
    ) -> Model:
        """Fit one config.

        Parameters
        ----------
        config : dict
            Fits the family's space.
        train : Windows
            All that may be fitted on, scalers included.
        validation : Windows or None
            To choose the epoch by; None: train all epochs and keep the last.
        seed : int
            The same seed gives the same model to the bit on CPU.
        report : callable
            ``report(epoch, {"train_loss": ..., "val_loss": ...})`` after each epoch, from 1.

        Raises
        ------
        DivergedError
            A loss is not finite.
        """

    @abc.abstractmethod
    def load(self, read: Callable[[str], bytes]) -> Model:
        """Model from its files; ``read(name)`` returns bytes whose hash was checked."""

    def grid(self, view: View) -> Mapping[str, Sequence[Value]]:
        """Values a grid tries where a user names none; default: every choice of the space."""
        chosen = self.space(view).parameters.items()
        return {name: p.options for name, p in chosen if isinstance(p, Choice)}

    def complexity(self, config: ConfigDict, n_features: int) -> float:
        """Size by which the simpler of two equally good configs is told; usually parameters."""
        del config, n_features
        return 0.0

    def fit_many(
        self,
        configs: Sequence[ConfigDict],
        train: Windows,
        validation: Windows | None,
        *,
        seeds: Sequence[int],
    ) -> Iterator[Epoch | Fitted]:
        """Fit a list of configs on the same windows, one after another by default.

        Families that train several at once override this. Epochs come in order for each config,
        then its Fitted; configs may be interleaved.
        """
        for number, (config, seed) in enumerate(zip(configs, seeds, strict=True)):
            events: list[Epoch] = []

            def report(epoch: int, scores: Mapping[str, float], n: int = number) -> None:
                events.append(Epoch(n, epoch, dict(scores)))  # noqa: B023 - consumed at once

            try:
                model: Model | None = self.fit(config, train, validation, seed=seed, report=report)
                reason = ""
            except DivergedError as error:
                model, reason = None, str(error)
            except Exception:  # noqa: BLE001 - one config's failure is not the next one's
                model, reason = None, traceback.format_exc(limit=-3)
            yield from events
            yield Fitted(number, model, reason)

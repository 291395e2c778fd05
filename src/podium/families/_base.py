"""The contract of a family and of the models it fits."""

from __future__ import annotations

import abc
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from podium.errors import PodiumError, UsageError
from podium.prediction import ClassPrediction, Prediction
from podium.sequences import Sequences, Subset
from podium.space import Choice, ConfigDict, Space, Value
from podium.split import Windows
from podium.trial import Epoch, Fitted, Stopped, TrainingPaused
from podium.view import View

Report = Callable[[int, Mapping[str, float]], None]
DataT = TypeVar("DataT")
PartT = TypeVar("PartT")
PredictionT = TypeVar("PredictionT")


class DivergedError(Exception):
    """Training left the finite numbers; the trial fails with this message."""


class Keep(Protocol):
    """Where a family leaves what a training that was cut off goes on from."""

    def last(self) -> bytes | None:
        """State of the last epoch that was put away; None: start from the beginning."""

    def wants(self, epoch: int) -> bool:
        """Whether the state after this epoch is to be put away: only then are its bytes made."""

    def put(self, epoch: int, state: bytes, *, best: bool) -> None:
        """Put the state after an epoch away; ``best`` where it is the best one so far.

        Raises
        ------
        Paused
            The training is to stop here.
        """


class AnyModel(abc.ABC, Generic[PartT, PredictionT]):
    """A fitted model: predicts, and writes itself into a folder."""

    @abc.abstractmethod
    def predict(self, asked: PartT, /) -> PredictionT:
        """Predictions in the order asked; may read what is known at each decision only."""

    @abc.abstractmethod
    def save(self, folder: Path) -> None:
        """Write the model's files; no pickled Python object in any of them."""

    @property
    def epochs(self) -> int:
        """Epochs behind this model: of the best one when it was validated. 0: not iterative."""
        return 0

    @property
    def scaler(self) -> Mapping[str, Any] | None:
        """What inputs and target are scaled by, as JSON for people; None: nothing, or not told."""
        return None


class Model(AnyModel[Windows, Prediction]):
    """A fitted forecaster: windows in, a number each out."""


class ClassModel(AnyModel[Subset, ClassPrediction]):
    """A fitted classifier: samples in, a probability of every class out."""


ModelT = TypeVar("ModelT", bound=AnyModel[Any, Any])


class AnyFamily(abc.ABC, Generic[DataT, PartT, ModelT]):
    """What forecasting and classifying families have in common.

    A module holds the class. Each training has a new object of it, made without arguments, so what
    an object keeps is its own. A family says with a new ``VERSION`` that its numbers changed, so
    that old trials are not taken for its own.
    """

    name: str
    # What it is for: "forecast", "classify".
    task: str
    VERSION: int = 1
    # Whether ``fit`` takes ``keep``; one that does not is trained in one go, whatever the schedule.
    resumable: bool = False
    # Whether ``fit`` takes ``parent``; one that does not is never given another model.
    continues: bool = False
    # How many configs ``fit_many`` trains at once: a runner hands over up to so many of one fold.
    together: int = 1
    # The metric that ``val_loss`` is, where it is one.
    loss: str = ""
    # Where ``fit`` trains, set once on a new object; families without devices leave it alone.
    device: str = "cpu"

    @abc.abstractmethod
    def space(self, data: DataT, /) -> Space:
        """What can be tuned for this task."""

    @abc.abstractmethod
    def fit(
        self,
        config: ConfigDict,
        train: PartT,
        validation: PartT | None,
        *,
        seed: int,
        report: Report,
        keep: Keep | None = None,
        parent: ModelT | None = None,
    ) -> ModelT:
        """Fit one config.

        Parameters
        ----------
        config : dict
            Fits the family's space.
        train : Windows or Subset
            All that may be fitted on, scalers included.
        validation : Windows, Subset or None
            To choose the epoch by; None: train all epochs and keep the last.
        seed : int
            The same seed gives the same model to the bit on CPU.
        report : callable
            ``report(epoch, {"train_loss": ..., "val_loss": ...})`` after each epoch, from 1.
        keep : Keep, optional
            Given to families that are ``resumable`` only. The states it wants are put there after
            the epoch was reported. A state that is there already is gone on from: the epochs before
            are reported again, and curve and model are the uninterrupted ones to the bit on CPU.
        parent : model of this family, optional
            Given to families that ``continues`` only: a fitted model that this one goes on from.

        Raises
        ------
        UsageError
            A parent is given, and the family cannot go on from one.
        DivergedError
            A loss is not finite.
        """

    @abc.abstractmethod
    def load(self, read: Callable[[str], bytes]) -> ModelT:
        """Model from its files; ``read(name)`` returns bytes whose hash was checked."""

    def grid(self, data: DataT, /) -> Mapping[str, Sequence[Value]]:
        """Values a grid tries where a user names none; default: every choice of the space."""
        chosen = self.space(data).parameters.items()
        return {name: p.options for name, p in chosen if isinstance(p, Choice)}

    def priority(self, data: DataT, /) -> Sequence[Mapping[str, Value]]:
        """Configs most people would try first, in order, without what is as usual in them.

        Default: the usual config alone.
        """
        del data
        return [{}]

    def quick(self, data: DataT, /) -> Mapping[str, Sequence[Value]]:
        """Values of a small grid; default: two of each of the first three of the whole grid."""
        return {name: values[:2] for name, values in list(self.grid(data).items())[:3]}

    def complexity(self, config: ConfigDict, n_features: int) -> float:
        """Size by which the simpler of two equally good configs is told; usually parameters."""
        del config, n_features
        return 0.0

    def fit_many(
        self,
        configs: Sequence[ConfigDict],
        train: PartT,
        validation: PartT | None,
        *,
        seeds: Sequence[int],
        keeps: Sequence[Keep | None] | None = None,
        parent: ModelT | None = None,
    ) -> Iterator[Epoch | Fitted | Stopped]:
        """Fit a list of configs on the same windows, one after another by default.

        Families that train several at once override this. Epochs come in order for each config,
        then its Fitted; configs may be interleaved. ``keeps`` has one for each config, and is given
        to families that are ``resumable`` only; one that pauses its training is Stopped. ``parent``
        is the model that all of them go on from.

        Raises
        ------
        UsageError
            A parent is given, and the family cannot go on from one.
        """
        if not self.continues:
            self.refuse_parent(parent)
        for number, (config, seed) in enumerate(zip(configs, seeds, strict=True)):
            events: list[Epoch] = []

            def report(epoch: int, scores: Mapping[str, float], n: int = number) -> None:
                events.append(Epoch(n, epoch, dict(scores)))  # noqa: B023 - consumed at once

            keep = keeps[number] if keeps else None
            # A family that knows nothing of keeping states is never given one.
            more: dict[str, Any] = {} if keep is None else {"keep": keep}
            more |= {} if parent is None else {"parent": parent}
            try:
                model: ModelT | None = self.fit(
                    config, train, validation, seed=seed, report=report, **more
                )
                reason = trace = ""
            except TrainingPaused:
                yield from events
                yield Stopped(number)
                continue
            except (DivergedError, PodiumError) as error:
                model, reason, trace = None, str(error), traceback.format_exc()
            except Exception:  # noqa: BLE001 - one config's failure is not the next one's
                model, reason = None, traceback.format_exc(limit=-3)
                trace = traceback.format_exc()
            yield from events
            yield Fitted(number, model, reason, trace)

    def refuse_parent(self, parent: ModelT | None) -> None:
        """Refuse a parent where there is one.

        Raises
        ------
        UsageError
            A parent is given.
        """
        if parent is not None:
            raise UsageError(
                f"family '{self.name}' cannot go on from another model",
                "a family that continues one",
                "train it from its start",
            )


class Family(AnyFamily[View, Windows, Model]):
    """A kind of model that forecasts. ``families/<name>.py`` holds the class as ``FAMILY``."""

    task = "forecast"
    # Whether a ticker's forecast needs its own bars only, so that some tickers may be left out.
    each_alone: bool = False


class Classifier(AnyFamily[Sequences, Subset, ClassModel]):
    """A kind of model that classifies sequences.

    ``families/<name>.py`` holds the class as ``CLASSIFIER``.

    Its samples may miss values (NaN) and have lengths of their own; :class:`FeatureStats` fills and
    scales them, by ``sequences.stats`` where they are given, else by those of ``train``. What an
    iterative one reports are ``train_loss train_accuracy val_loss val_accuracy val_macro_f1
    learning_rate``.
    """

    task = "classify"

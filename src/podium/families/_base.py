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
    """The loss is not finite; the trial fails with this message."""


class Keep(Protocol):
    """Storage of training states, from which an interrupted training resumes."""

    def last(self) -> bytes | None:
        """State of the last saved epoch; None: start from the beginning."""

    def wants(self, epoch: int) -> bool:
        """Whether to save the state after this epoch; other states need not be serialized."""

    def put(self, epoch: int, state: bytes, *, best: bool) -> None:
        """Save the state after an epoch; ``best`` marks the best one so far.

        Raises
        ------
        Paused
            The training pauses here.
        """


class AnyModel(abc.ABC, Generic[PartT, PredictionT]):
    """A fitted model."""

    @abc.abstractmethod
    def predict(self, part: PartT, /) -> PredictionT:
        """Predictions in the order of the rows; may use only values known at each decision."""

    @abc.abstractmethod
    def save(self, folder: Path) -> None:
        """Write the model's files, without pickled Python objects."""

    @property
    def epochs(self) -> int:
        """Number of epochs; with validation those up to the best one. 0: not iterative."""
        return 0

    @property
    def scaler(self) -> Mapping[str, Any] | None:
        """Scaling of inputs and target, as JSON for people; None: no scaling, or unknown."""
        return None


class Model(AnyModel[Windows, Prediction]):
    """A fitted forecaster: one number for each window."""


class ClassModel(AnyModel[Subset, ClassPrediction]):
    """A fitted classifier: a probability of every class for each sample."""


ModelT = TypeVar("ModelT", bound=AnyModel[Any, Any])


class AnyFamily(abc.ABC, Generic[DataT, PartT, ModelT]):
    """Base class of forecasting and classifying families.

    A module holds the class. Each training uses a new object, made without arguments. A family
    increases ``VERSION`` when its results change, so that old trials are not reused.
    """

    name: str
    # "forecast" or "classify".
    task: str
    VERSION: int = 1
    # Whether ``fit`` accepts ``keep``; without it no training is paused, whatever the schedule.
    resumable: bool = False
    # Whether ``fit`` accepts ``parent``.
    continues: bool = False
    # Whether ``fit`` uses its seed; without it a final model is trained once.
    random: bool = True
    # Most configs that ``fit_many`` trains at once; a runner passes as many of one fold.
    together: int = 1
    # Metric in ``val_loss``; empty if it is none.
    loss: str = ""
    # Device of ``fit``, set on a new object; other families ignore it.
    device: str = "cpu"
    # Called with the number of a config, an epoch and its scores while ``fit_many`` runs.
    live: Callable[[int, int, Mapping[str, float]], None] | None = None

    @abc.abstractmethod
    def space(self, data: DataT, /) -> Space:
        """Search space for this task."""

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
            A config of the family's space.
        train : Windows or Subset
            All data for fitting, including scalers.
        validation : Windows, Subset or None
            Data that choose the best epoch; None: train all epochs and keep the last.
        seed : int
            The same seed gives the same model bit for bit on the CPU.
        report : callable
            ``report(epoch, {"train_loss": ..., "val_loss": ...})`` after each epoch, from 1.
        keep : Keep, optional
            Only for ``resumable`` families. Wanted states are saved after the epoch is reported.
            Training resumes from an existing state: earlier epochs are reported again, and curve
            and model equal the uninterrupted ones bit for bit on the CPU.
        parent : model of this family, optional
            Only for families with ``continues``: a fitted model to continue from.

        Raises
        ------
        UsageError
            A parent is given, and the family cannot go on from one.
        DivergedError
            A loss is not finite.
        """

    @abc.abstractmethod
    def load(self, read: Callable[[str], bytes]) -> ModelT:
        """Model from its files; ``read(name)`` returns verified bytes."""

    def grid(self, data: DataT, /) -> Mapping[str, Sequence[Value]]:
        """Values of a grid by default: every choice of the space."""
        chosen = self.space(data).parameters.items()
        return {name: p.options for name, p in chosen if isinstance(p, Choice)}

    def priority(self, data: DataT, /) -> Sequence[Mapping[str, Value]]:
        """Differences of common configs from the usual one, in order of preference.

        Default: only the usual config.
        """
        del data
        return [{}]

    def quick(self, data: DataT, /) -> Mapping[str, Sequence[Value]]:
        """Values of a small grid; default: two of each of the grid's first three parameters."""
        return {name: values[:2] for name, values in list(self.grid(data).items())[:3]}

    def complexity(self, config: ConfigDict, n_features: int) -> float:
        """Size of a model, to choose the simpler of two configs; usually its number of weights."""
        del config, n_features
        return 0.0

    def rung(self, config: ConfigDict) -> int:
        """Rung of a config on the ladder of baselines; a lower one is simpler.

        Returns
        -------
        int
            0: a constant. 1: a rule on past values without fitted weights. 2: a linear model with
            few weights. 3: anything else, the default.
        """
        del config
        return 3

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

        Families that train several at once override this. Each config yields its epochs in order,
        then Fitted, or Stopped if it pauses; configs may be interleaved. ``keeps`` has one entry
        per config, only for ``resumable`` families. All configs continue from ``parent``.

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
                if self.live is not None:
                    self.live(n, epoch, scores)

            keep = keeps[number] if keeps else None
            # Other families do not have these parameters.
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
            except Exception:  # noqa: BLE001 - a failure concerns one config
                model, reason = None, traceback.format_exc(limit=-3)
                trace = traceback.format_exc()
            yield from events
            yield Fitted(number, model, reason, trace)

    def refuse_parent(self, parent: ModelT | None) -> None:
        """Refuse a parent.

        Raises
        ------
        UsageError
            A parent is given.
        """
        if parent is not None:
            found = f"family '{self.name}' cannot continue from another model"
            raise UsageError(found, "a family with continues = True", "train it from the start")


class ClosedForm(AnyFamily[DataT, PartT, ModelT]):
    """A family whose training has neither epochs nor random numbers, as most baselines.

    It is the first base class beside :class:`Family` or :class:`Classifier`.
    """

    random = False
    # Rung of all its configs.
    level: int = 2

    def rung(self, config: ConfigDict) -> int:
        """``level``."""
        del config
        return self.level

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
        """Fit with :meth:`learn`; a parent is refused."""
        self.refuse_parent(parent)
        del seed, report, keep
        return self.learn(config, train, validation)

    @abc.abstractmethod
    def learn(self, config: ConfigDict, train: PartT, validation: PartT | None) -> ModelT:
        """Model of one config."""


class Family(AnyFamily[View, Windows, Model]):
    """A kind of model that forecasts. ``families/<name>.py`` holds the class as ``FAMILY``."""

    task = "forecast"
    # Whether a ticker's forecast uses only its own bars, so that tickers may be left out.
    each_alone: bool = False
    # Whether models forecast paths where the view has ``path``; others are fitted for each step.
    paths: bool = False


class Classifier(AnyFamily[Sequences, Subset, ClassModel]):
    """A kind of model that classifies sequences.

    ``families/<name>.py`` holds the class as ``CLASSIFIER``.

    Samples may have missing values (NaN) and different lengths; :class:`FeatureStats` fills and
    scales them, from ``sequences.stats`` if present, else from ``train``. Iterative families report
    ``train_loss train_accuracy val_loss val_accuracy val_macro_f1 learning_rate``.
    """

    task = "classify"

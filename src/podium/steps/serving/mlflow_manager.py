"""Find models by their tags: the newest or best of a type, all of a stage."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from podium import config as configuration
from podium.config import Config
from podium.decision import Stage
from podium.errors import NotFoundError, PodiumError, UsageError, suggest
from podium.ledger import trial_facts
from podium.ledger.models import models
from podium.ledger.projections import _mlflow_target
from podium.ledger.record_reader import RecordReader
from podium.record import lower_is_better
from podium.steps.workspace import projections
from podium.steps.workspace.candidates import slot_of

BASE = "base"
Found = tuple[str | None, str | None]


def mlflow_manager(
    slot: str | None = None, timeframe: str | None = None, *, root: Path | str = "."
) -> Manager:
    """Manager that finds the models of a slot.

    Parameters
    ----------
    slot : str, optional
        Default: the project's default slot.
    timeframe : str, optional
        Timeframe of the slot's data, in place of its name, where one slot has it.
    root : path
        Folder in or below the project.

    Raises
    ------
    NotFoundError
        There is no project or no such slot.
    UsageError
        Slot and timeframe are given, or several slots have the timeframe.

    Examples
    --------
    >>> from podium.steps.archive import init
    >>> import tempfile
    >>> root = init.init(Path(tempfile.mkdtemp()) / "mine", demo=True)
    >>> mlflow_manager(slot="us4/D/volatility", root=root).find_latest_model(model_type="base")
    (None, None)
    """
    if slot and timeframe:
        raise UsageError(f"slot '{slot}' and timeframe '{timeframe}' are given", "one of them")
    project = configuration.find_root(Path(root))
    config = configuration.load(project)
    name = slot or (slot_of(config, timeframe) if timeframe else config.root_slot)
    config.slot(name)
    return Manager(project, config, name)


@dataclass(frozen=True)
class Manager:
    """Finds the models of a slot in the record, without MLflow.

    Run ids and paths are those of MLflow: ``runs:/<run id>/models/<timeframe>/model.zip``. For a
    model without a run in MLflow they are the trial's id and the model's folder.

    Parameters
    ----------
    root : Path
        The project's folder.
    config : Config
    slot : str
    """

    root: Path
    config: Config
    slot: str

    def find_latest_model(self, model_type: str = BASE, version_type: str = "latest") -> Found:
        """Run id and path of the newest model of a type; else of a base model.

        Parameters
        ----------
        model_type : str
            ``base``, or the kind of its enhancement.
        version_type : {"latest", "old"}
            ``old`` where a newer model of the type, or one made from it, exists.

        Returns
        -------
        (run id, path), or (None, None)

        Raises
        ------
        UsageError
            No such version type.

        Warns
        -----
        UserWarning
            There is no model of the type; a base model is returned.
        """
        if version_type not in ("latest", "old"):
            raise UsageError(f"version_type is '{version_type}'", "latest or old")
        rows = self._models(self.slot)
        mine = [row for row in rows if row["model_type"] == model_type]
        fits = [row for row in mine if row["version_type"] == version_type]
        return self._answer(fits, rows, f"{version_type} {model_type}")

    def find_best_model(
        self, model_type: str = BASE, metric: str = "evaluation/best_mean_reward"
    ) -> Found:
        """Run id and path of the best model of a type by a metric; else of the best base model.

        Parameters
        ----------
        metric : str
            Name of the metric in MLflow: a result of the training (``val_loss``), evidence after
            its kind (``evaluation/macro_f1``, ``test/mse``), or ``improvement_<metric>`` and
            ``delta_<metric>`` over the parent.

        Returns
        -------
        (run id, path), or (None, None)

        Raises
        ------
        UsageError
            The better direction of the metric is unknown.

        Warns
        -----
        UserWarning
            No model of the type has the metric; a base model is returned.
        """
        rows = self._models(self.slot)
        values = {row["id"]: self._value(row, metric) for row in rows}
        known = [row for row in rows if math.isfinite(values[row["id"]])]
        if known:
            # An improvement has the direction of its metric in its sign already.
            is_share = metric.startswith("improvement_")
            lower = not is_share and lower_is_better(metric, self.config.metrics, None)
            known.sort(key=lambda row: values[row["id"]] * (1 if lower else -1))
        mine = [row for row in known if row["model_type"] == model_type]
        return self._answer(mine, known, f"{model_type}", f" that has {metric}")

    def find_models_by_stage(
        self, promotion_stage: str, timeframe: str | None = None
    ) -> list[dict[str, Any]]:
        """Models of the project in a stage, newest first.

        Parameters
        ----------
        promotion_stage : {"development", "beta", "champion", "archived"}
        timeframe : str, optional
            Only models trained on bars of this length.

        Returns
        -------
        list of dict
            ``run_id model_path slot version candidate_id timeframe model_type version_type
            promotion_stage``, and MLflow's ``registered_model`` and ``mlflow_version``, or None.

        Raises
        ------
        NotFoundError
            There is no such stage.
        """
        if promotion_stage not in list(Stage):
            raise NotFoundError(
                f"no stage '{promotion_stage}'", fix=suggest(promotion_stage, Stage)
            )
        rows = self._models(None, stage=promotion_stage, timeframe=timeframe)
        return [self._to_dict(row) for row in rows]

    def _models(
        self, slot: str | None, *, stage: str | None = None, timeframe: str | None = None
    ) -> list[dict[str, Any]]:
        reader = self._reader
        return models(reader, slot=slot, stage=stage, timeframe=timeframe) if reader.exists else []

    @property
    def _reader(self) -> RecordReader:
        return RecordReader(self.config.ledger.url, self.root, self.config.project.id)

    def _answer(
        self, mine: list[dict[str, Any]], rows: list[dict[str, Any]], what: str, more: str = ""
    ) -> Found:
        """Place of the first match, else of the first base model, latest ones before old ones."""
        if mine:
            return self._place(mine[0])
        bases = [row for row in rows if row["model_type"] == BASE]
        if not more:
            bases.sort(key=lambda row: row["version_type"] != "latest")
        if not bases:
            return None, None
        base = bases[0]
        warnings.warn(
            f"{self.slot} has no {what} model{more}; the base model version {base['version']} "
            f"({base['version_type']}) is returned",
            stacklevel=3,
        )
        return self._place(base)

    def _place(self, row: dict[str, Any]) -> tuple[str, str]:
        """Run id and path of a model."""
        run_id, _ = self._remote(row["trial_id"])
        if run_id is None:
            store = self.root / self.config.paths.registry
            return row["trial_id"], str(store / row["artifact_path"])
        return run_id, f"runs:/{run_id}/{_mlflow_target.zip_of(row['timeframe'])}"

    def _to_dict(self, row: dict[str, Any]) -> dict[str, Any]:
        run_id, path = self._place(row)
        version, model = self._remote(row["id"])
        return {
            "run_id": run_id,
            "model_path": path,
            "slot": row["slot"],
            "version": row["version"],
            "candidate_id": row["id"],
            "timeframe": row["timeframe"],
            "model_type": row["model_type"],
            "version_type": row["version_type"],
            "promotion_stage": row["stage"],
            "registered_model": model,
            "mlflow_version": version,
        }

    def _remote(self, subject_id: str) -> tuple[str | None, str | None]:
        """Id and name in MLflow, or None."""
        try:
            config = projections.with_remembered(self.config, self._reader)
            target = _mlflow_target.resolve(config).key
        except PodiumError:
            # MLflow is not installed, or its store cannot be opened.
            return None, None
        place = {"target": target, "subject_id": subject_id}
        row = self._reader.first("projected", order="subject_id", **place)
        return (row["remote_id"], row["remote_name"]) if row else (None, None)

    def _value(self, row: dict[str, Any], metric: str) -> float:
        """A model's value of a metric; NaN where it has none."""
        names = [metric, metric.removeprefix("best_epoch/")]
        results = trial_facts.results(self._reader, [row["trial_id"]])[row["trial_id"]]
        kind, _, name = metric.partition("/")
        if metric.startswith(("improvement_", "delta_")):
            kind, name = "improvement", metric
        about = {"candidate_id": row["id"], "kind": kind}
        evidence = self._reader.first("evidence", "scalars", order="seq DESC", **about)
        figure = evidence["scalars"].get(name, [None])[0] if evidence else None
        values = [*map(results.get, names), figure]
        return next((float(v) for v in values if isinstance(v, int | float)), math.nan)

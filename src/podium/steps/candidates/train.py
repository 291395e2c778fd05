"""Train one config of a family on a slot's samples in this process, with every epoch reported."""

from __future__ import annotations

import itertools
import json
import re
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from podium import artifact, registry
from podium import config as configuration
from podium.candidate import Candidate
from podium.config import Config
from podium.errors import DataError, NotFoundError, PodiumError, UsageError
from podium.evidence import Evidence, Scalar
from podium.feature_stats import FILE as STATS
from podium.feature_stats import FeatureStats
from podium.files import full_disk_explained, write_atomic
from podium.hashing import digest, json_text
from podium.ledger import reads, writes
from podium.ledger.ledger import Transaction
from podium.ledger.reads import TrialRow
from podium.runners._base import Runner, ended, family_of, parts
from podium.runners._live import LiveCurves
from podium.sequences import Subset
from podium.space import ConfigDict
from podium.steps.candidates.final_model import Registered
from podium.steps.candidates.register import register
from podium.steps.data.data import add, append_table
from podium.steps.data.sequences import class_data, read_stats
from podium.steps.evidence.evidence import evidence_about, put_training_marks
from podium.steps.evidence.looks import count_configs
from podium.steps.search.results import SearchResult, against_baseline
from podium.steps.search.tune import search_left
from podium.steps.trials import baselines, execute
from podium.steps.trials.context import begin_study
from podium.steps.trials.driver import best_of, work_folder
from podium.steps.trials.execute import Planned
from podium.steps.trials.finalists import winner
from podium.steps.trials.once import once
from podium.steps.workspace import recorded
from podium.steps.workspace.best_file import classifying, own_slot
from podium.steps.workspace.project import Project
from podium.steps.workspace.verb import on_slot
from podium.study import Study
from podium.tasks.classify import ClassData
from podium.trial import BUDGET, Ended, Epoch, Fitted, Job, State, Task, curves_csv

PHASE = "train"
LAST, BEST, CURVES, CONFIG = "last.pt", "best.pt", "metrics.csv", "config.json"


@dataclass(frozen=True, eq=False)
class Trained(Registered):
    """A training and its candidate: the result of ``train``.

    Parameters
    ----------
    data : ClassData
    trial : TrialRow
    reference : TrialRow
        Best baseline on the same validation samples.
    candidate : Candidate
    validation : Evidence
        Evidence from the validation samples.
    output : Path
        Folder with best.pt, last.pt, metrics.csv, feature_stats.json, config.json.
    fresh : bool
        False when the same training was on record already.
    """

    data: ClassData
    trial: TrialRow
    reference: TrialRow
    validation: Evidence
    output: Path

    @property
    def sentence(self) -> str:
        """The candidate and its validation score against the best baseline."""
        score = against_baseline(self.trial.score, self.reference, self.data)
        known = "" if self.fresh else "; this training was on record"
        return f"{self.candidate.title}: {self.data.section.metric} on validation {score}{known}"


@dataclass(frozen=True, kw_only=True)
class TrainingRequest:
    """Arguments of a training; paths are as the user wrote them.

    Parameters
    ----------
    settings : mapping
        Parameters of the config; the others are the project's, else the family's defaults.
    best : bool
        Start from the best config of the slot's search instead of the defaults.
    training, validation : Path, optional
        Samples in place of the dataset's.
    stats : Path, optional
        Feature stats: read if the file exists, else computed from the training samples and written.
    output : Path, optional
        Folder of the checkpoints. Default: below ``artifacts/``.
    device : str
        ``cpu``, ``cuda``, ``mps`` or ``auto``.
    resume : bool, optional
        Whether to continue from ``last.pt`` of the output folder. Default: if the same training
        was interrupted.
    seed : int, optional
        Default: ``tune.seed``.
    extras : mapping
        Fields for trackers: the flags, ``data_version``, ``model_tag``.
    notes : str
        Stored with the run.
    """

    settings: Mapping[str, Any]
    best: bool = False
    training: Path | None = None
    validation: Path | None = None
    stats: Path | None = None
    output: Path | None = None
    device: str = "cpu"
    resume: bool | None = None
    seed: int | None = None
    extras: Mapping[str, Any] | None = None
    notes: str = ""


@on_slot("train")
def train(project: Project, slot: str, family: str, request: TrainingRequest) -> Trained:
    """Train one config and register it as a candidate in stage development.

    The same training again trains nothing new. An interrupted one continues from ``last.pt`` of its
    output folder if config, data and seed are the same, and gives the same curve on CPU.

    Parameters
    ----------
    slot : str, optional
        Default: the default slot.
    family : str
    request : TrainingRequest

    Returns
    -------
    Trained

    Raises
    ------
    DataError, UsageError
        The data or the config have problems; nothing is trained.
    NotFoundError
        There is no ``last.pt`` to resume, or no finished search.

    Examples
    --------
    >>> import podium
    >>> from podium.steps.candidates.train import TrainingRequest
    >>> with podium.open("glucose") as project:  # doctest: +SKIP
    ...     request = TrainingRequest(settings={"hidden_size": 32, "max_epochs": 20})
    ...     project.slot("glucose/class").train("bilstm", request).trial.score
    """
    if not request.best:
        return _train(project, family, slot, request, {})
    with search_left(project, slot) as (search, other):
        project.reporter.say(
            f"{slot}: the config is the best one of {family} in search {search.study.id}, the "
            f"newest finished one{other}"
        )
        return _train(project, family, slot, request, _best_config(search, family))


def _train(
    project: Project, family: str, slot: str, request: TrainingRequest, best: Mapping[str, Any]
) -> Trained:
    stats = read_stats(request.stats) if request.stats and request.stats.exists() else None
    data = class_data(
        project.config, slot, training=request.training, validation=request.validation, stats=stats
    )
    data = _with_stats(data, stats, request.stats)
    config = _config(project, data, family, {**best, **request.settings})
    seed = project.config.tune.seed if request.seed is None else request.seed
    spaces = {family: data.family(family).space(data.dataset)}
    context = begin_study(project, data, data.split, spaces, search=PHASE)
    study = context.study
    baselines.run(context)
    plan = Planned(
        PHASE, _number(project, study, config, seed), config, fold=0, seed=seed,
        named=True, extras=request.extras, notes=request.notes,
    )  # fmt: skip
    output = request.output or project.root / "artifacts" / f"{family}-{digest([config, seed])[:8]}"
    resume = request.resume
    if resume is None and _is_unfinished(project, study, config, seed):
        resume = (output / LAST).is_file() or None
    keep = Checkpoints(output, resume=bool(resume))
    if resume and request.resume is None:
        keep.optional = True
        project.reporter.say(
            f"{slot}: the interrupted training continues from {output / LAST}; "
            "--restart begins anew"
        )
    here = InProcessRunner(project, f"{slot}: train {family}", keep)
    job = execute.job_of(data, data.split, family)
    with work_folder(project, slot, PHASE) as work, full_disk_explained(output):
        job = replace(job, save_to=work, device=request.device)
        [row] = execute.run(context, job, [plan], runner=here)
        if row.state is not State.COMPLETE:
            raise DataError(
                f"the training failed: {row.reason.strip().splitlines()[-1]}",
                "a training to its end",
                f"run: podium show {row.id}",
            )
        _lay_out(project, row, output, request)
    reference = baselines.best(baselines.rows_of(context), data, PHASE)
    candidate, validation = _registered(project, data, study, row, reference)
    return Trained(data, row, reference, validation, output, candidate=candidate, fresh=here.ran)


class InProcessRunner(Runner):
    """Trains in this process, reports every epoch, and stores checkpoints to resume from."""

    def __init__(self, project: Project, label: str, keep: Checkpoints) -> None:
        super().__init__(1)
        self.project, self.label, self.keep, self.ran = project, label, keep, False

    def run(self, job: Job, tasks: Sequence[Task]) -> Iterator[Ended]:
        """Train the one task there is, or none."""
        for task in tasks:
            self.ran = True
            yield self._trained(job, task)

    def close(self) -> None:
        """Nothing was started."""

    def _trained(self, job: Job, task: Task) -> Ended:
        training, validation = parts(job, task.fold)
        curve: dict[int, Mapping[str, float]] = {}
        total = int(task.config.get(BUDGET, 0))
        keep, live = self.keep, LiveCurves(self.live_to)

        def report(epoch: int, scores: Mapping[str, float]) -> None:
            curve[epoch] = dict(scores)
            write_atomic(keep.folder / CURVES, curves_csv(curve))
            live.add(task.trial_id, epoch, scores)
            score = scores.get(f"val_{job.metric}")
            note = f"val {job.metric} {score:.4g}" if score is not None else ""
            self.project.reporter.progress(self.label, epoch, total, note)

        def fit() -> Any:
            return family_of(job).fit(
                task.config, training, validation, seed=task.seed, report=report, keep=keep
            )

        keep.folder.mkdir(parents=True, exist_ok=True)
        started = time.perf_counter()
        try:
            try:
                model = fit()
            except PodiumError as error:
                if curve or not keep.optional:
                    raise
                # The state may be damaged, or of another training in the same folder.
                self.project.reporter.say(f"{self.label} begins anew: {error.problems[0].found}")
                keep.last_state = None
                model = fit()
            fitted = Fitted(0, model)
        except PodiumError:
            # A problem of the data or the config is an error of the user, no failed trial.
            raise
        except Exception:  # noqa: BLE001 - its last line is the reason on record
            fitted = Fitted(0, None, traceback.format_exc(limit=-3), traceback.format_exc())
        epochs = tuple(Epoch(0, epoch, scores) for epoch, scores in curve.items())
        end = ended(job, task, fitted, epochs, time.perf_counter() - started)
        if fitted.model is not None and keep.last_state is not None:
            (Path(job.save_to) / task.trial_id / LAST).write_bytes(keep.last_state)
        return end


class Checkpoints:
    """Folder with ``last.pt`` and ``best.pt``, written after every epoch.

    Parameters
    ----------
    folder : Path
    resume : bool
        Whether the training continues from its ``last.pt``.
    """

    def __init__(self, folder: Path, *, resume: bool) -> None:
        self.folder = folder
        self.last_state: bytes | None = None
        # Whether a state that does not fit is ignored.
        self.optional = False
        if resume:
            path = folder / LAST
            if not path.is_file():
                raise NotFoundError(
                    f"there is no {path} to resume",
                    "the output folder of an interrupted training",
                    "leave --resume out to begin anew",
                )
            self.last_state = path.read_bytes()

    def last(self) -> bytes | None:
        """State to resume from."""
        return self.last_state

    def wants(self, epoch: int) -> bool:
        """Whether the state after an epoch is stored: always."""
        del epoch
        return True

    def put(self, epoch: int, state: bytes, *, best: bool) -> None:
        """Store the state after an epoch."""
        del epoch
        self.last_state = state
        write_atomic(self.folder / LAST, state)
        if best:
            write_atomic(self.folder / BEST, state)


def declared(
    root: Path, config: Config, slot: str | None, request: TrainingRequest
) -> tuple[str, str]:
    """Slot to train for, and the table appended to podium.toml for it, if any.

    The slot is the named one, else the default one if it classifies, else the only one that does.
    Without any, the files of the request become a dataset and a slot.

    Raises
    ------
    UsageError
        Several slots classify and none is named, or there is neither a slot nor a file.
    """
    if slot is not None:
        config.slot(slot)
        return slot, ""
    if own := own_slot(config):
        return own, ""
    able = classifying(config)
    if able:
        raise UsageError(f"{len(able)} slots classify", f"--slot: {', '.join(able)}")
    if request.training is None:
        raise UsageError(
            f"no slot of {configuration.FILE} classifies",
            'a slot with task = "classify", or files for a new one',
            "set --train-npz FILE --val-npz FILE",
        )
    file, table = request.training.resolve(), ""
    known = (n for n, of in config.datasets.items() if (root / of.path).resolve() == file)
    name = next(known, "")
    if not name:
        plain = re.sub(r"[^A-Za-z0-9_-]+", "-", request.training.stem).strip("-") or "samples"
        numbered = (f"{plain}-{number}" for number in itertools.count(2))
        name = next(n for n in itertools.chain([plain], numbered) if n not in config.datasets)
        table = add(root, name, [request.training], validation=request.validation).table + "\n"
    new_slot = f"{name}/class"
    # The dataset of the new table, for the check that podium.toml can be read with it.
    dataset = f'[datasets.{name}]\npath = "."\nreader = "npz"\n'
    keys = {"dataset": name, "task": "classify"}
    return new_slot, table + append_table(root, f'slots."{new_slot}"', keys, context=dataset)


def _with_stats(data: ClassData, stats: FeatureStats | None, path: Path | None) -> ClassData:
    """The data; stats equal to their own are left out, so that both are one training."""
    if path is None:
        return data
    rows = data.split.folds[0].train
    own = FeatureStats.of(*data.dataset.inputs(rows), data.dataset.feature_names)
    if stats is None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, json_text(own.spec()) + "\n")
    elif (stats.mean, stats.std) != (own.mean, own.std):
        return data
    return replace(data, dataset=replace(data.dataset, stats=None))


def _config(
    project: Project, data: ClassData, family: str, settings: Mapping[str, Any]
) -> ConfigDict:
    # With the family's own number of epochs, not tune.epochs.
    theirs = project.config.space.get(family, {})
    space = data.family(family).space(data.dataset)
    space = space.narrowed(theirs, f"[space.{family}] of podium.toml")
    [config] = space.narrowed(settings, f"podium train {family}").only([]).grid()
    whole: ConfigDict = config
    return whole


def _best_config(result: SearchResult, family: str) -> ConfigDict:
    mine = [row for row in result.eligible if row.family == family]
    finals = [one for one in result.finalists if one.row.family == family]
    if first := winner(finals):
        return first.row.config
    return best_of(mine, result.data.slot, "tune", result.data.direction).config


def _number(project: Project, study: Study, config: ConfigDict, seed: int) -> int:
    """Number of a training in its study."""
    rows = project.ledger.read(reads.trials_of, study.id, PHASE)
    same = (row.number for row in rows if (row.config, row.seed) == (config, seed))
    return next(same, len(rows))


def _is_unfinished(project: Project, study: Study, config: ConfigDict, seed: int) -> bool:
    """Whether the training was interrupted or killed."""
    rows = project.ledger.read(reads.trials_of, study.id, PHASE)
    states = [row.state for row in rows if (row.config, row.seed) == (config, seed)]
    return any(state in (State.RUNNING, State.INTERRUPTED) for state in states)


def _lay_out(project: Project, row: TrialRow, output: Path, request: TrainingRequest) -> None:
    """Copy the files of the training to the output folder, also if it was on record."""
    assert row.checkpoint is not None
    source = (project.root / row.checkpoint).parent
    output.mkdir(parents=True, exist_ok=True)
    for name in (BEST, LAST, STATS):
        if (source / name).is_file():
            write_atomic(output / name, (source / name).read_bytes())
    epochs = project.ledger.read(reads.epochs_of, row.id)
    if epochs:
        write_atomic(output / CURVES, curves_csv(epochs))
    facts = {
        "schema": 1, "family": row.family, "config": row.config, "seed": row.seed,
        "trial": row.id, "extras": dict(request.extras or {}),
    }  # fmt: skip
    write_atomic(output / CONFIG, json.dumps(facts, indent=2, sort_keys=True) + "\n")


def _registered(
    project: Project, data: ClassData, study: Study, row: TrialRow, reference: TrialRow
) -> tuple[Candidate, Evidence]:
    """Candidate of a training and its validation evidence; registered once."""
    assert row.artifact_hash is not None
    folder = project.store / Path(str(row.checkpoint)).parts[-3]
    place = artifact.place_of(folder, row.artifact_hash)
    metric, way = data.section.metric, registry.direction(data.section.metric)
    seen = Subset(data.dataset, data.split.folds[0].train).marks()

    def write(tx: Transaction) -> dict[str, Any]:
        made = register(project, tx, place, study.id, row.id)
        if "validation" not in reads.evidence_of(tx, made.candidate.id):
            looked_at = count_configs(tx, data, data.split.validation_interval())
            evidence = evidence_about(
                made.candidate,
                "validation",
                PHASE,
                dataset=data.dataset.fingerprint,
                split=row.split_hash,
                scalars={
                    metric: Scalar(row.score, metric, way),
                    f"naive_{metric}": Scalar(reference.score, metric, way),
                    "configs_looked_at": Scalar(looked_at, "configs"),
                },
                series=put_training_marks(project, tx, seen),
                notes={
                    "metric": metric,
                    **baselines.notes(reference),
                    "reason": "the epoch was chosen on the samples it is scored on",
                },
            )
            writes.put_evidence(tx, evidence)
        return made.outputs

    of = {
        "family": row.family,
        "version of the family": data.version(row.family),
        "config": row.config,
        "data": data.dataset.fingerprint,
        "task": data.task_hash,
        "split": data.split.hash,
        "seed": row.seed,
    }
    done = once(project, data.slot, PHASE, of, lambda: write)
    candidate = recorded.candidate(project, done.outputs["candidate"])
    return candidate, recorded.evidence(project, candidate.id)["validation"]

"""Choose a config from the folds: the simplest within one standard error of the best."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from podium.arrays import Floats
from podium.ledger import reads
from podium.stats import diebold_mariano
from podium.steps.evidence.comparison import by_period
from podium.steps.evidence.looks import selection_bias_of
from podium.steps.evidence.selection_bias import ranking
from podium.steps.search import analysis_files
from podium.steps.search.extend import extension_left
from podium.steps.search.results import Analysis, CrossValidation, FoldScores
from podium.steps.workspace.project import Project
from podium.steps.workspace.verb import on_slot
from podium.tasks._base import TaskData
from podium.trial import config_hash


@on_slot("analyze")
def analyze(project: Project, slot: str) -> Analysis:
    """Choose a config of the slot's newest cross-validation; nothing is trained.

    The choice is the best mean over the folds, or a simpler config within one standard error of it.

    Parameters
    ----------
    slot : str, optional
        Default: the default slot.

    Returns
    -------
    Analysis
        Its files are ``best_config.json`` and ``analysis_plots/``.

    Raises
    ------
    NotFoundError
        Nothing is cross-validated, or the slot's data or settings have changed since.

    Examples
    --------
    >>> import podium
    >>> with podium.open("demo") as project:  # doctest: +SKIP
    ...     project.slot("us4/D/return").analyze().chosen.config
    {'lstm_units': 16, 'learning_rate': 0.0028, ...}
    """
    with extension_left(project, slot) as extension:
        return analyzed(project, extension)


def analyzed(project: Project, extension: CrossValidation) -> Analysis:
    """Analyze a cross-validation and write its files."""
    return write_files(project, compute(project, extension))


def write_files(project: Project, analysis: Analysis) -> Analysis:
    """Write the files of an analysis where they are missing or outdated."""
    return replace(analysis, files=analysis_files.write(project, analysis))


def compute(project: Project, extension: CrossValidation) -> Analysis:
    """Choose by the one-standard-error rule, with tests and selection bias; writes nothing."""
    data, naive = extension.tuned.data, extension.tuned.reference
    assert naive is not None
    best, sign = extension.configs[0], data.direction.sign
    limit = sign * best.mean + best.standard_error
    within = [c for c in extension.configs if sign * c.mean <= limit]
    chosen = min(within, key=lambda c: (_complexity(c, data), sign * c.mean))
    with project.ledger.reading() as tx:
        looked_at = reads.count_tested_configs(
            tx, data.slot, extension.tuned.split.validation_interval()
        )
        luck = selection_bias_of(
            project, data, tx, config_hash(chosen.family, chosen.config), naive, looked_at
        )
    metric = data.section.metric
    if chosen is best:
        most = "highest" if sign < 0 else "lowest"
        reason = f"{most} mean {metric} over {len(best.folds)} folds ({best.mean:.4g})"
    else:
        reason = (
            f"simpler than the best and within one standard error of it "
            f"({chosen.mean:.4g} against {best.mean:.4g} {'-' if sign < 0 else '+'} "
            f"{best.standard_error:.2g})"
        )
    if extension.split.times is not None and not extension.split.ordered:
        reason += (
            f"; {extension.split.name} also trains on bars after the validation bars, so the "
            "scores serve the choice and are no forecast record"
        )
    reference = extension.baselines[0]
    losses = [_by_period(c) for c in extension.configs]
    ranked = ranking(np.column_stack(losses), _by_period(reference), data.horizon, looked_at)
    return Analysis(
        extension=extension,
        chosen=chosen,
        reference=reference,
        against_naive=ranked.against_naive[extension.configs.index(chosen)],
        looked_at=looked_at,
        ranking=ranked,
        luck=luck,
        reason=reason,
        distinguishable=_next(extension, chosen, data.horizon),
    )


def _complexity(extended: FoldScores, data: TaskData) -> float:
    family = data.family(extended.family)
    return float(family.complexity(extended.config, data.n_features))


def _by_period(extended: FoldScores) -> Floats:
    """Loss of each decision; tickers of a day, which are dependent, are averaged."""
    return by_period(extended.losses, extended.units)


def _next(extension: CrossValidation, chosen: FoldScores, horizon: int) -> str:
    others = [c for c in extension.configs if c is not chosen]
    if not others:
        return "there is no other config"
    test = diebold_mariano(_by_period(chosen), _by_period(others[0]), horizon)
    if test.reason:
        return f"the difference from the next config is undecidable: {test.reason}"
    if test.p_value < 0.05:
        return f"it is distinguishable from the next config (p = {test.p_value:.2g})"
    return f"it is not distinguishable from the next config (p = {test.p_value:.2g})"

"""Choose a config from the folds: the simplest that is not distinguishable from the best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from podium.arrays import Floats
from podium.stats import diebold_mariano
from podium.steps.evidence.comparison import by_period
from podium.steps.evidence.looks import count_configs, selection_bias_of
from podium.steps.evidence.selection_bias import Ranking, ranking
from podium.steps.search import analysis_files
from podium.steps.search.extend import extension_left
from podium.steps.search.results import Analysis, CrossValidation, FoldScores
from podium.steps.trials import baselines
from podium.steps.workspace.project import Project
from podium.steps.workspace.verb import on_slot
from podium.tasks._base import TaskData
from podium.trial import config_hash

# Setting ``analyze.choose``: a baseline may be chosen.
SIMPLEST = "simplest"


@on_slot("analyze")
def analyze(project: Project, slot: str) -> Analysis:
    """Choose a config of the slot's newest cross-validation; nothing is trained.

    The choice is the best mean over the folds, or a simpler config within one standard error of it;
    or a baseline, if one is not distinguishable from the best (``analyze.choose``).

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
    """Choose a config or a baseline, with tests and selection bias; writes nothing."""
    data, naive = extension.tuned.data, extension.tuned.reference
    assert naive is not None
    interval = extension.tuned.split.validation_interval()
    looked_at = project.ledger.read(count_configs, data, interval)
    losses = np.column_stack([_by_period(one) for one in extension.entries])
    configs = len(extension.configs)
    ranked = ranking(losses[:, :configs], losses[:, configs:], data.horizon, looked_at)
    chosen, reason = _chosen(extension, ranked, project.config.analyze.choose)
    if extension.split.times is not None and not extension.split.ordered:
        reason += (
            f"; {extension.split.name} also trains on bars after the validation bars, so the "
            "scores serve the choice and are no forecast record"
        )
    reference = extension.reference_of(chosen)
    n_baselines = len(extension.baselines) if chosen in extension.baselines else 0
    of = (config_hash(chosen.family, chosen.config), naive, looked_at, n_baselines)
    with project.ledger.reading() as tx:
        luck = selection_bias_of(project, data, tx, *of)
    return Analysis(
        extension=extension,
        chosen=chosen,
        reference=reference,
        against_naive=diebold_mariano(_by_period(chosen), _by_period(reference), data.horizon),
        looked_at=looked_at,
        ranking=ranked,
        luck=luck,
        reason=reason,
        distinguishable=_next(extension.configs, chosen, data.horizon),
    )


def _chosen(extension: CrossValidation, ranked: Ranking, choose: str) -> tuple[FoldScores, str]:
    """The simplest entry that is not distinguishable from the best, and the reason."""
    configs, data = extension.configs, extension.tuned.data
    best, sign = configs[0], data.direction.sign
    within = _within_one_error(configs, best, sign)
    chosen = min(within, key=lambda c: (_complexity(c, data), sign * c.mean))
    included = ranked.included[len(configs) :]
    tied = [one for one, tie in zip(extension.ladder, included, strict=True) if tie]
    if ranked.reason or data.loss:
        # The confidence set is undecidable, or of another loss than the metric.
        leader = min(best, extension.ladder[0], key=lambda one: sign * one.mean)
        tied = _within_one_error(extension.ladder, leader, sign)
    if tied and choose == SIMPLEST:
        simplest = min(tied, key=lambda one: baselines.rung_of(one, data.section.task))
        return simplest, "no config is significantly better than this baseline"
    if chosen is best:
        most = "highest" if sign < 0 else "lowest"
        mean = f"mean {data.section.metric} over {len(best.folds)} folds"
        return chosen, f"{most} {mean} ({best.mean:.4g})"
    return chosen, (
        f"simpler than the best and within one standard error of it "
        f"({chosen.mean:.4g} against {best.mean:.4g} {'-' if sign < 0 else '+'} "
        f"{best.standard_error:.2g})"
    )


def _within_one_error(
    entries: Sequence[FoldScores], leader: FoldScores, sign: float
) -> list[FoldScores]:
    """Entries that are at most one standard error worse than the leader."""
    limit = sign * leader.mean + leader.standard_error
    return [one for one in entries if sign * one.mean <= limit]


def _complexity(extended: FoldScores, data: TaskData) -> float:
    family = data.family(extended.family)
    return float(family.complexity(extended.config, data.n_features))


def _by_period(extended: FoldScores) -> Floats:
    """Loss of each decision; tickers of a day, which are dependent, are averaged."""
    return by_period(extended.losses, extended.units)


def _next(configs: Sequence[FoldScores], chosen: FoldScores, horizon: int) -> str:
    others = [c for c in configs if c is not chosen]
    if not others:
        return "there is no other config"
    test = diebold_mariano(_by_period(chosen), _by_period(others[0]), horizon)
    if test.reason:
        return f"the difference from the next config is undecidable: {test.reason}"
    if test.p_value < 0.05:
        return f"it is distinguishable from the next config (p = {test.p_value:.2g})"
    return f"it is not distinguishable from the next config (p = {test.p_value:.2g})"

"""The verb finalize: train the chosen config and register a candidate."""

from __future__ import annotations

from pathlib import Path

from podium.errors import UsageError
from podium.steps.candidates.final_model import FinalModel, finalized
from podium.steps.candidates.given_config import GivenModel, finalize_config
from podium.steps.candidates.with_test import ModelWithTest, finalize_with_test
from podium.steps.search.analyze import compute
from podium.steps.search.extend import extension_left
from podium.steps.workspace.project import Project
from podium.steps.workspace.verb import on_slot


@on_slot("finalize")
def finalize(
    project: Project,
    slot: str,
    *,
    config: Path | str | None = None,
    include_test: bool = False,
    candidate: str | None = None,
) -> FinalModel | GivenModel | ModelWithTest:
    """Train the config that the slot's newest analysis chooses, and register it as a candidate.

    Parameters
    ----------
    slot : str, optional
        Default: the default slot.
    config : path, optional
        JSON file with the config to train instead, as ``best_config.json`` has it. A config that
        no search chose has no evidence from validation, and gates that need it refuse.
    include_test : bool
        Train a judged candidate once more, on the sealed test too. The new candidate is never
        judged there.
    candidate : str, optional
        With `include_test`: its id. Default: the champion, else the newest judged one.

    Returns
    -------
    FinalModel, GivenModel or ModelWithTest
        ``candidate``, ``fresh`` (whether it is new) and ``folder`` (its ``final_model/``).

    Raises
    ------
    NotFoundError
        Nothing is cross-validated, the slot's data or settings have changed, or there is no file.
    UsageError
        Arguments that exclude each other, or a config outside of the family's space.
    RefusedError
        With `include_test`: the candidate was not judged on the test.
    DataError
        A training failed.

    Examples
    --------
    >>> import podium
    >>> with podium.open("demo") as project:  # doctest: +SKIP
    ...     project.slot("us4/D/return").finalize(seeds=3).candidate.version
    1
    """
    if candidate and not include_test:
        raise UsageError("--candidate is set without --include-test", fix="set both")
    if include_test and (config or project.overrides("finalize.epochs", "finalize.seeds")):
        raise UsageError(
            "--include-test keeps the config, the epochs and the seeds of the candidate",
            "--include-test without --config, --epochs and --seeds",
        )
    if include_test:
        return finalize_with_test(project, slot, candidate)
    if config is not None:
        return finalize_config(project, slot, Path(config))
    with extension_left(project, slot) as extension:
        return finalized(project, compute(project, extension), replace_newer=True)

"""Runtime reader: the champion of a slot and its model, without the record's database library.

Importing and calling this module takes milliseconds: it imports the standard library only, and as
little of that as possible. ``Resolved.load`` imports a model's framework.
"""

from __future__ import annotations

import os

from podium import manifest, project_file
from podium.errors import DataError, NotFoundError
from podium.project_file import CACHE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from podium.artifact import Loaded, Place
    from podium.config import Config
    from podium.slot import Resolved

# Last answers of this process, by project and slot, with the number of the newest decision then;
# None: the slot had no champion. They are newer than the file if the record is on a server and
# other machines make decisions.
_last_answers: dict[tuple[str, str], tuple[int, dict[str, Any] | None]] = {}


def get_active_model_path(root: Path | str | None = None, *, slot: str = "") -> Path:
    """File of the best model of all grids, which ``models/active_model.txt`` names.

    Before the first grid of a slot: the file of its champion, else of the best run of its searches
    whose model is kept.

    Parameters
    ----------
    root : path, optional
        The project's folder or one below it; else ``PODIUM_PROJECT``, else the current folder.
    slot : str, optional
        A slot other than the default one; its file is under ``slots/``.

    Returns
    -------
    Path
        Absolute; after a move of the project, the file's new place.

    Raises
    ------
    NotFoundError
        There is no model yet, or the file names one that does not exist.

    Examples
    --------
    >>> from podium.steps.archive import init
    >>> import pathlib, tempfile
    >>> root = init.init(pathlib.Path(tempfile.mkdtemp()) / "mine", demo=True)
    >>> try:
    ...     get_active_model_path(root)
    ... except NotFoundError as error:
    ...     print(error.problems[0].fix)
    run: podium grid
    """
    config, pointer = _pointer(root, slot)
    other = None if pointer.exists() else _without_grid(config, slot or config.root_slot)
    return other or grid_model_path(root, slot=slot)


def _pointer(root: Path | str | None, slot: str) -> tuple[Config, Path]:
    """Settings, and the file that names the active model of a slot."""
    from pathlib import Path

    from podium import config as configuration

    project = Path(project_file.find(project_file.start_folder(root)))
    config = configuration.load(project)
    if slot in ("", config.root_slot):
        return config, project / config.paths.active_model
    config.slot(slot)
    return config, project / "slots" / slot / "models" / "active_model.txt"


def _without_grid(config: Config, slot: str) -> Path | None:
    """File of a slot's champion, else of the best run of its searches whose model is kept."""
    if slot not in config.slots:
        return None
    from contextlib import suppress

    from podium import registry
    from podium.artifact import CHECKPOINTS, opened_file
    from podium.ledger import run_models, runs
    from podium.ledger.record_reader import RecordReader

    with suppress(NotFoundError):
        folder = champion(slot, config.root).path
        top = next(folder / name for name in CHECKPOINTS if (folder / name).is_dir())
        return top / opened_file(top)
    reader = RecordReader(config.ledger.url, config.root, config.project.id)
    if not reader.exists:
        return None
    name = config.slots[slot].metric
    lower, metric = registry.direction(name) == "min", f"val_{name}"
    among, _, _ = runs.comparable(reader, metric, slot=slot)
    files = run_models.checkpoints(reader, config.paths.tuning, config.paths.registry)
    # More runs than a search keeps models of.
    best = runs.top(reader, metric, 1000, minimize=lower, among=among) if files else []
    return next((files[run.trial_id] for run in best if run.trial_id in files), None)


def grid_model_path(root: Path | str | None = None, *, slot: str = "") -> Path:
    """File of the best model of all grids; otherwise as :func:`get_active_model_path`."""
    from podium.files import rerooted

    config, pointer = _pointer(root, slot)
    project = config.root
    try:
        text = pointer.read_text(encoding="utf-8").strip()
    except OSError:
        raise NotFoundError(
            f"there is no active model yet: no file {pointer}", fix="run: podium grid"
        ) from None
    path = rerooted(text.partition("\n")[0].strip(), project)
    if not text or not path.exists():
        raise NotFoundError(
            f"{pointer} names {text!r}, which does not exist" if text else f"{pointer} is empty",
            "the path of a model",
            "run: podium grid, or write the path of a model into the file",
        )
    return path


def load_model(path: Path | str) -> Loaded:
    """Load a model for prediction from frames, arrays and windows; its hashes are checked.

    Parameters
    ----------
    path : path
        An artefact's folder, a copy of it such as ``final_model/``, a checkpoint's folder in it,
        or a file in that. A path from before the project was moved works if the current folder is
        inside the project.

    Raises
    ------
    NotFoundError
        There is no such path.
    DataError
        The path is not podium's, or a file is missing or changed.
    """
    from podium import artifact

    return artifact.load_place(find_model(path))


def find_model(path: Path | str) -> Place:
    """Locate a model without loading it.

    Parameters
    ----------
    path : path
        See :func:`load_model`.
    """
    import contextlib
    from pathlib import Path

    from podium import artifact
    from podium.files import rerooted

    place = Path(path)
    if not os.path.exists(place):
        with contextlib.suppress(NotFoundError):
            place = rerooted(str(place), Path(project_file.find(".")))
    return artifact.find(place)


def champion(slot: str, root: Path | str | None = None) -> Resolved:
    """Current champion of a slot.

    Parameters
    ----------
    slot : str
        For example ``us4/D/volatility``.
    root : path, optional
        The project's folder or one below it; else ``PODIUM_PROJECT``, else the current folder.

    Raises
    ------
    NotFoundError
        The slot does not exist or has no champion.
    DataError
        The artefact's manifest is missing or does not match the registered hash, or no intact
        decision on record made the champion.

    Warns
    -----
    UserWarning
        The record could not be read; the answer is this process's last one, or that of
        ``.podium/champions.json``, written after the last decision.
    """
    from pathlib import Path

    from podium.slot import Champion, Resolved

    facts, project, warning = _find(slot, root)
    if warning:
        import warnings

        warnings.warn(warning, stacklevel=2)
    path, source = Path(facts.pop("path")), facts.pop("source")
    return Resolved(Champion(**facts), path, source, Path(project))


def _find(slot: str, root: Path | str | None) -> tuple[dict[str, Any], str, str]:
    """A champion's facts with ``path`` and ``source``; the project; a warning or an empty text."""
    project = project_file.find(project_file.start_folder(root))
    url, project_id, registry = _settings(project, slot)
    warning, source = "", "record"
    try:
        sequence, holders = _holders(url, project, project_id)
    except (NotFoundError, DataError) as error:
        source, sequence, holders = _last_known(project, slot)
        if not source:
            raise
        place = os.path.join(project, CACHE) if source == "cache" else "the last answer"
        warning = f"{error} Answering from {place}."
    if slot not in holders:
        _last_answers[project, slot] = (sequence, None)
        doubt = f". {warning.rstrip('.')}" if warning else ""
        raise NotFoundError(
            f"slot {slot} has no champion{doubt}", fix=f"show the decisions: podium show {slot}"
        )
    facts = holders[slot]
    if source == "record":
        from podium.ledger.champions import champion_facts

        facts = champion_facts(facts)
    if not manifest.inside(facts["artifact_path"]):
        raise DataError(
            f"the artefact path of {facts['candidate_id']} is {facts['artifact_path']!r:.80}",
            f"a folder in {registry}",
            "run: podium doctor",
        )
    path = os.path.join(project, registry, facts["artifact_path"])
    manifest.require_hash(path, facts["artifact_hash"])
    _last_answers[project, slot] = (sequence, facts)
    return {**facts, "path": path, "source": source}, project, warning


def _settings(project: str, slot: str) -> tuple[str, str, str]:
    """Ledger URL, project id and registry folder; the slot must be declared."""
    with open(os.path.join(project, project_file.FILE), "rb") as handle:
        text = handle.read().decode(errors="replace")
    plain = project_file.parse_plain(text)
    if plain is not None and slot in plain[1] and "project.id" in plain[0]:
        settings = plain[0]
        return (
            project_file.setting("ledger.url", settings, project_file.LEDGER_URL),
            project_file.setting("project.id", settings, ""),
            project_file.setting("paths.registry", settings, project_file.REGISTRY),
        )
    # The full reader handles other spellings and explains errors.
    from pathlib import Path

    from podium import config as configuration

    config = configuration.load(Path(project))
    config.slot(slot)
    return config.ledger.url, config.project.id, config.paths.registry


def _holders(url: str, project: str, project_id: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Number of the newest decision, and row of every champion by slot, from the record."""
    from podium.ledger import champions

    queries = [(sql, (project_id,)) for sql in (champions.SEQUENCE, champions.HOLDERS)]
    if url.startswith(champions.SCHEME):
        path = os.path.join(project, url.removeprefix(champions.SCHEME))
        champions.require_record(path, project)
        newest, rows = champions.snapshot(path, queries)
    else:
        from pathlib import Path

        from podium.ledger.record_reader import RecordReader

        newest, rows = RecordReader(url, Path(project), project_id).snapshot(*queries)
    return newest[0]["seq"] if newest else 0, {row["slot"]: row for row in rows}


def _last_known(project: str, slot: str) -> tuple[str, int, dict[str, dict[str, Any]]]:
    """Last known champions: ``memory``, ``cache`` or empty; the newest decision; by slot."""
    import json

    try:
        with open(os.path.join(project, CACHE), encoding="utf-8") as handle:
            content = json.load(handle)
        cached, sequence = champions_in(content), int(content["sequence"])
    except (OSError, ValueError, KeyError, TypeError):
        cached, sequence = {}, -1
    last, facts = _last_answers.get((project, slot), (-1, None))
    if last >= 0 and last >= sequence:
        return "memory", last, {slot: facts} if facts else {}
    return ("cache" if sequence >= 0 else ""), sequence, cached


def champions_in(content: Any) -> dict[str, dict[str, Any]]:
    """Champion of each slot in the content of ``.podium/champions.json``.

    Raises
    ------
    ValueError
        The content has another shape than podium writes.
    """
    texts = ("slot", "candidate_id", "artifact_hash", "artifact_path", "since", "decision_id")
    champions = content.get("champions") if isinstance(content, dict) else None
    if not isinstance(champions, dict) or not all(
        isinstance(facts, dict)
        and all(isinstance(facts.get(name), str) for name in texts)
        and {*facts} == {*texts, "version"}
        for facts in champions.values()
    ):
        raise ValueError(f"{CACHE} is not as podium writes it; run: podium run")
    return champions


def main(arguments: list[str]) -> int:
    """Run ``podium resolve SLOT [--json] [--project DIR]`` without importing click."""
    words, root = [a for a in arguments if a != "--json"], None
    if "--project" in words:
        place = words.index("--project")
        root = words[place + 1]
        del words[place : place + 2]
    facts, _, warning = _find(words[0], root)
    if warning:
        import sys

        print(f"warning: {warning}", file=sys.stderr)
    if "--json" in arguments:
        import json

        print(json.dumps({"podium": 1, "kind": "champion", "items": [facts]}))
    else:
        print(facts["path"])
    return 0

"""The runtime reader: who holds a slot, and its model, without the record's machinery.

Importing this module and asking it costs milliseconds: it needs the standard library alone, and of
that no more than an answer does. A model's framework is imported by ``Resolved.load`` only.
"""

from __future__ import annotations

import os

from podium import manifest, project_file
from podium.errors import DataError, NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from podium.artifact import Loaded, Place
    from podium.slot import Resolved

# Rewritten after each decision; answers when the record cannot be read.
CACHE = ".podium/champions.json"
# What this process was told last, by project and slot; newer than the file where the record is on a
# server and decisions are made on other machines.
_told: dict[tuple[str, str], dict[str, Any]] = {}


def get_active_model_path(root: Path | str | None = None, *, slot: str = "") -> Path:
    """File of the model that the grids found best: what ``models/active_model.txt`` names.

    Parameters
    ----------
    root : path, optional
        The project's folder or one below it; else ``PODIUM_PROJECT``, else the current folder.
    slot : str, optional
        Another slot than the default one; its file lies under ``slots/``.

    Returns
    -------
    Path
        Absolute; where the project has moved, the file's place now.

    Raises
    ------
    NotFoundError
        No grid was run yet, or the model is gone.

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
    from pathlib import Path

    from podium import config as configuration
    from podium.files import rerooted

    project = Path(project_file.find(project_file.start_folder(root)))
    config = configuration.load(project)
    pointer = project / config.paths.active_model
    if slot not in ("", config.root_slot):
        config.slot(slot)
        pointer = project / "slots" / slot / "models" / "active_model.txt"
    try:
        told = pointer.read_text(encoding="utf-8").strip()
    except OSError:
        raise NotFoundError(
            f"there is no active model yet: no {pointer}", fix="run: podium grid"
        ) from None
    path = rerooted(told.partition("\n")[0].strip(), project)
    if not told or not path.exists():
        raise NotFoundError(
            f"{pointer} names {told or 'nothing'!r}, which is not there",
            "the path of a model",
            "run: podium grid, or write the path of a model into it",
        )
    return path


def load_model(path: Path | str) -> Loaded:
    """Model ready to predict from frames, arrays and windows, its hashes checked.

    Parameters
    ----------
    path : path
        Any that podium writes: an artefact's folder, a checkpoint's in it, or a file in that; a
        path from a project that has moved is found again from inside the project.

    Raises
    ------
    NotFoundError
        There is no such path.
    DataError
        Not podium's, or something is missing or changed.
    """
    from podium import artifact

    return artifact.load_place(find_model(path))


def find_model(path: Path | str) -> Place:
    """Where a model lies that a path leads to; nothing of it is loaded.

    Parameters
    ----------
    path : path
        As :func:`load_model` takes it.
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
    """Champion of a slot, as the record has it at this moment.

    Parameters
    ----------
    slot : str
        For example ``us4/D/volatility``.
    root : path, optional
        The project's folder or one below it; else ``PODIUM_PROJECT``, else the current folder.

    Raises
    ------
    NotFoundError
        No such slot, or nobody holds it.
    DataError
        The artefact's manifest is missing or not what was judged.

    Warns
    -----
    UserWarning
        The record could not be read, and the answer is what this process was told last, or that of
        ``.podium/champions.json``, written after the last decision.
    """
    from pathlib import Path

    from podium.slot import Champion, Resolved

    facts, project, doubt = _find(slot, root)
    if doubt:
        import warnings

        warnings.warn(doubt, stacklevel=2)
    path, source = Path(facts.pop("path")), facts.pop("source")
    return Resolved(Champion(**facts), path, source, Path(project))


def _find(slot: str, root: Path | str | None) -> tuple[dict[str, Any], str, str]:
    """A champion's facts with ``path`` and ``source``; the project; what is doubtful about it."""
    project = project_file.find(project_file.start_folder(root))
    url, project_id, registry = _settings(project, slot)
    doubt, source = "", "record"
    try:
        holders = _holders(url, project, project_id)
    except (NotFoundError, DataError) as error:
        source, holders = _remembered(project, slot)
        if not source:
            raise
        place = os.path.join(project, CACHE) if source == "cache" else "what was told before"
        doubt = f"{error} Answering from {place}."
    if slot not in holders:
        raise NotFoundError(
            f"slot {slot} has no champion", fix=f"see what was decided: podium show {slot}"
        )
    facts = holders[slot]
    if not manifest.inside(facts["artifact_path"]):
        raise DataError(
            f"the artefact of {facts['candidate_id']} is said to be {facts['artifact_path']!r:.80}",
            f"a folder in {registry}",
            "run: podium doctor",
        )
    path = os.path.join(project, registry, facts["artifact_path"])
    manifest.require_hash(path, facts["artifact_hash"])
    _told[project, slot] = facts
    return {**facts, "path": path, "source": source}, project, doubt


def _settings(project: str, slot: str) -> tuple[str, str, str]:
    """Where the record is, who the project is in it, and its store; the slot must be declared."""
    with open(os.path.join(project, project_file.FILE), "rb") as handle:
        text = handle.read().decode(errors="replace")
    plain = project_file.parse_plain(text)
    if plain is not None and slot in plain[1] and "project.id" in plain[0]:
        told = plain[0]
        return (
            project_file.setting("ledger.url", told, project_file.LEDGER_URL),
            project_file.setting("project.id", told, ""),
            project_file.setting("paths.registry", told, project_file.REGISTRY),
        )
    # It says so in another way, or it is wrong; this tells.
    from pathlib import Path

    from podium import config as configuration

    config = configuration.load(Path(project))
    config.slot(slot)
    return config.ledger.url, config.project.id, config.paths.registry


def _holders(url: str, project: str, project_id: str) -> dict[str, dict[str, Any]]:
    """Champion of every slot, from the record."""
    from podium.ledger import champions

    if url.startswith(champions.SCHEME):
        path = os.path.join(project, url.removeprefix(champions.SCHEME))
        return champions.holders(path, project_id)
    from pathlib import Path

    from podium.ledger.record_reader import RecordReader

    found = RecordReader(url, Path(project), project_id).champions()
    return {name: dict(vars(holder)) for name, holder in found.items()}


def _remembered(project: str, slot: str) -> tuple[str, dict[str, dict[str, Any]]]:
    """The last good answer and where it is from, ``memory`` or ``cache``; empty: there is none."""
    import json

    try:
        with open(os.path.join(project, CACHE), encoding="utf-8") as handle:
            written: dict[str, dict[str, Any]] = json.load(handle)["champions"]
        newest = str(written[slot]["since"]) if slot in written else ""
    except (OSError, ValueError, KeyError, TypeError):
        written, newest = {}, ""
    mine = _told.get((project, slot))
    if mine is not None and mine["since"] >= newest:
        return "memory", {slot: mine}
    return ("cache" if written else ""), written


def main(arguments: list[str]) -> int:
    """``podium resolve SLOT [--json] [--project DIR]``, before click is imported."""
    words, root = [a for a in arguments if a != "--json"], None
    if "--project" in words:
        place = words.index("--project")
        root = words[place + 1]
        del words[place : place + 2]
    facts, _, doubt = _find(words[0], root)
    if doubt:
        import sys

        print(f"warning: {doubt}", file=sys.stderr)
    if "--json" in arguments:
        import json

        print(json.dumps({"podium": 1, "kind": "champion", "items": [facts]}))
    else:
        print(facts["path"])
    return 0

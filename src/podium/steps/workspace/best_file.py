"""``artifacts/best.pt``: the champion of a slot that classifies, as a file, and whose it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from podium.config import Config
from podium.files import write_atomic
from podium.manifest import read_checked, require_hash
from podium.steps.workspace.project import Project

NAME, ABOUT = "best.pt", "best.json"
# Of the served checkpoint, where that is one model.
INSIDE = ("final_model/best.pt", "best_model/best.pt")


def classifying(config: Config) -> list[str]:
    """Slots that classify, in the order of podium.toml."""
    return [name for name, section in config.slots.items() if section.task == "classify"]


def own_slot(config: Config) -> str:
    """The slot whose files lie in the project itself: the default one, else the only one.

    Empty where several classify and none of them is the default.
    """
    able = classifying(config)
    if config.root_slot in able:
        return config.root_slot
    return able[0] if len(able) == 1 else ""


def place(config: Config, slot: str) -> Path:
    """Folder of a slot's ``best.pt``."""
    root = config.root if slot == own_slot(config) else config.root / "slots" / slot
    return root / "artifacts"


def write(project: Project) -> list[str]:
    """Put each classifying slot's champion there; where nobody holds a slot, say so beside it.

    The old file stays then: whoever reads it goes on working, and ``best.json`` tells.

    Returns
    -------
    list of str
        What was written, relative to the project.
    """
    written: list[str] = []
    able = classifying(project.config)
    holders = project.reader.champions() if able and project.reader.exists else {}
    for slot in able:
        folder, holder = place(project.config, slot), holders.get(slot)
        about: dict[str, Any] = {"podium": 1, "slot": slot}
        files: dict[str, Any] = {}
        if holder is not None:
            artifact = project.store / holder.artifact_path
            files = json.loads(require_hash(artifact, holder.artifact_hash))["files"]
        inside = next((name for name in INSIDE if name in files), None)
        if holder is None or inside is None:
            # A champion of several models, or of a family with other files, has no such file.
            before = _read(folder / ABOUT)
            if (folder / NAME).is_file() and before.get("champion"):
                _put(folder / ABOUT, {**before, "champion": False})
                written.append(project.shown(folder / ABOUT))
            continue
        about |= {
            "champion": True,
            "candidate": holder.candidate_id,
            "version": holder.version,
            "artifact_hash": holder.artifact_hash,
            "sha256": files[inside],
        }
        if _read(folder / ABOUT) == about and (folder / NAME).is_file():
            continue
        data = read_checked(artifact, files, inside)
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / NAME, data)
        _put(folder / ABOUT, about)
        written.append(project.shown(folder / NAME))
    return written


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _put(path: Path, about: dict[str, Any]) -> None:
    write_atomic(path, json.dumps(about, indent=2, sort_keys=True) + "\n")

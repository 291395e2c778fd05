"""What ``podium --help`` prints, made from file names and first lines; imports nothing heavy."""

from __future__ import annotations

from pathlib import Path

from podium.registry import first_line

FOLDER = Path(__file__).parent / "verbs"
GROUPS = ("Start", "Search", "Judge", "Ship", "Serve")


def verbs() -> dict[str, Path]:
    """Every verb and its file; an underscore at the end of a file's name is not the verb's."""
    found = {path.stem.rstrip("_"): path for path in FOLDER.glob("[!_]*.py")}
    return dict(sorted(found.items()))


def overview() -> str:
    """Help of the whole command, verbs grouped by the journey."""
    known = verbs()
    wide = max(map(len, known)) + 2
    lines: dict[str, list[str]] = {group: [] for group in GROUPS}
    for name, path in known.items():
        group, _, text = first_line(path).partition(": ")
        lines[group].append(f"  {name:<{wide}}{text[0].upper()}{text[1:]}")
    parts = [
        "Usage: podium [--version] VERB ...",
        "",
        "Take time-series models from a search space to a champion you can defend.",
    ]
    for group, told in lines.items():
        parts += ["", f"{group}:", *told]
    parts += [
        "",
        "podium VERB --help explains a verb. Any verb takes --debug, the only way to a traceback.",
    ]
    return "\n".join(parts)

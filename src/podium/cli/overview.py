"""Help of the whole command, from file names and first lines; imports nothing heavy."""

from __future__ import annotations

from pathlib import Path

from podium.registry import first_line

FOLDER = Path(__file__).parent / "verbs"
GROUPS = ("Start", "Search", "Judge", "Ship", "Serve")
# Verbs in the order of the journey.
ORDER = """
init data check run import export backup restore doctor gc clean tune grid sweep extend train
status stop logs sync list show select analyze impact backtest evaluate explain compare leak
reproduce note ui finalize sign promote rollback resolve predict signals shadow
"""


def verbs() -> dict[str, Path]:
    """Every verb and its file, in the order of the journey; others follow by name."""
    # An underscore at the end of a file name is not part of the verb.
    files = {path.stem.rstrip("_"): path for path in sorted(FOLDER.glob("[!_]*.py"))}
    ordered = [name for name in ORDER.split() if name in files]
    return {name: files[name] for name in dict.fromkeys([*ordered, *files])}


def overview() -> str:
    """Help of the whole command, verbs grouped by the journey."""
    known = verbs()
    width = max(map(len, known)) + 2
    lines: dict[str, list[str]] = {group: [] for group in GROUPS}
    for name, path in known.items():
        group, _, text = first_line(path).partition(": ")
        lines[group].append(f"  {name:<{width}}{text[0].upper()}{text[1:]}")
    parts = [
        "Usage: podium [--version] VERB ...",
        "",
        "Take time-series models from a search space to a champion you can defend.",
    ]
    for group, of_group in lines.items():
        parts += ["", f"{group}:", *of_group]
    parts += ["", "podium help VERB explains a verb. --debug, with any verb, prints a traceback."]
    return "\n".join(parts)

"""Help of the whole command, from file names and first lines; imports nothing heavy."""

from __future__ import annotations

from pathlib import Path

from podium.registry import first_line

FOLDER = Path(__file__).parent / "verbs"
GROUPS = ("Start", "Search", "Judge", "Ship", "Serve")
# Verbs in the order of the journey, each with the example at the end of its help.
EXAMPLES = {
    "init": "podium init demo --demo",
    "data": "podium data add us4 data/us4 --timeframe D",
    "data add": "podium data add us4 data/us4 --timeframe D --repair sort",
    "data make": "podium data make glucose",
    "check": "podium check us4",
    "run": "podium run us4/D/return --to extend",
    "import": "podium import sweep_results.json --slot us4/D/return --dry-run",
    "export": "podium export --format csv --to trials.csv",
    "backup": "podium backup ../demo.tar.gz",
    "restore": "podium restore demo.tar.gz restored",
    "doctor": "podium doctor",
    "gc": "podium gc --keep-best 5 --older-than 30d --dry-run",
    "clean": "podium clean --older-than 30d",
    "tune": "podium tune us4/D/return --trials 48",
    "grid": "podium grid us4/D/return --set learning_rate=0.001,0.003",
    "sweep": "podium sweep us4/D/return --max-runs 40",
    "extend": "podium extend us4/D/return --folds 8",
    "train": "podium train bilstm --slot glucose/class --learning-rate 0.003",
    "status": "podium status",
    "stop": "podium stop us4/D/return",
    "logs": "podium logs last --follow",
    "sync": "podium sync --check",
    "list": "podium list trials --slot us4/D/return --sort score --limit 5",
    "show": "podium show us4/D/return --history",
    "analyze": "podium analyze us4/D/return",
    "impact": "podium impact learning_rate --family lstm",
    "backtest": "podium backtest us4/D/return --fee-bps 10",
    "evaluate": "podium evaluate glucose/class",
    "explain": "podium explain beats_naive --slot us4/D/return",
    "compare": "podium compare c-62vvp3ypymqdg c-p649n3ct4zn2r",
    "leak": "podium leak features/log_return --slot us4/D/return",
    "reproduce": "podium reproduce c-62vvp3ypymqdg",
    "note": "podium note c-62vvp3ypymqdg 'worst in the crash of 2008'",
    "ui": "podium ui --port 5001",
    "finalize": "podium finalize us4/D/return",
    "sign": "podium sign c-62vvp3ypymqdg --approve --reason 'errors are of quiet days'",
    "promote": "podium promote us4/D/return",
    "rollback": "podium rollback us4/D/return --reason 'errors have grown'",
    "resolve": "podium resolve us4/D/return",
    "predict": "podium predict us4/D/return --bars 5",
    "signals": "podium signals us4/D/return --since 2013-01-01",
    "shadow": "podium shadow us4/D/return c-62vvp3ypymqdg --reason 'lower error'",
}


def verbs() -> dict[str, Path]:
    """Every verb and its file, in the order of the journey; others follow by name."""
    # An underscore at the end of a file name is not part of the verb.
    files = {path.stem.rstrip("_"): path for path in sorted(FOLDER.glob("[!_]*.py"))}
    ordered = [name for name in EXAMPLES if name in files]
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

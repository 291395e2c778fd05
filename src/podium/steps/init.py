"""Create a project: podium.toml, folders, and with ``demo`` real data and two slots."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from podium.config import FILE
from podium.errors import ConflictError
from podium.files import full_disk_explained, write_atomic
from podium.hashing import new_id

_TEMPLATE = """\
# What podium may set here: podium show config; every key: docs/config.md.

[project]
name = "{name}"
id = "{id}"

# [datasets.prices]
# path = "data/prices"          # one <ticker>.csv: date,open,high,low,close,volume,adj_close
# tickers = ["AAA", "BBB"]
# timeframe = "D"

# [slots."prices/D/volatility"]
# dataset = "prices"
# target = "volatility"
# horizon = 5
# features = ["log_return", "log_volatility:21"]
# test_from = "2024-01-01"
"""
_IGNORED = ".podium/\nmodels/registry/\npodium.db*\nreports/\n"


def init(folder: Path, *, demo: bool = False) -> Path:
    """Lay out a project in a folder; returns the folder.

    Raises
    ------
    ConflictError
        The folder holds a podium.toml already; it is left as it is.
    """
    folder = folder.resolve()
    if (folder / FILE).exists():
        raise ConflictError(
            f"{folder / FILE} exists",
            "a folder without one",
            "choose another name; nothing was changed",
        )
    shipped = files("podium.demo")
    with full_disk_explained(folder):
        if demo:
            for source in (shipped / "us4").iterdir():
                write_atomic(folder / "data" / "us4" / source.name, source.read_bytes())
            text = (
                (shipped / "podium.toml").read_text(encoding="utf-8").replace("@id@", new_id("p"))
            )
        else:
            text = _TEMPLATE.format(name=folder.name, id=new_id("p"))
        write_atomic(folder / ".gitignore", _IGNORED)
        # Last, so that a folder with a podium.toml is a whole project.
        write_atomic(folder / FILE, text)
    return folder

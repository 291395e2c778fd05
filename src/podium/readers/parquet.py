"""Parquet files of bars: one per ticker, one with a ticker column, or a column per ticker."""

from __future__ import annotations

from pathlib import Path

from podium.errors import MissingExtraError
from podium.readers._bars import Format
from podium.readers._options import ReadOptions
from podium.readers._table import Table

SUFFIXES = (".parquet", ".pq")


def _open(path: Path, options: ReadOptions) -> Table:
    try:
        from podium.readers._arrow import open_table
    except ModuleNotFoundError:
        raise MissingExtraError(
            "reader 'parquet' needs the package 'pyarrow', which is not installed",
            fix="run: pip install pyarrow",
        ) from None
    return open_table(path, options)


FORMAT = Format(SUFFIXES, _open)
read, examine = FORMAT.read, FORMAT.examine

"""Parquet files read with pyarrow; the import fails if pyarrow is not installed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from podium.errors import DataError
from podium.readers._options import ReadOptions, require_count, require_size
from podium.readers._table import Loaded, TableSource, loaded

# pyarrow ships no types; imported by name it is Any.
arrow: Any = import_module("pyarrow")
parquet: Any = import_module("pyarrow.parquet")

_WHAT = "a Parquet file of plain columns"


@dataclass(frozen=True)
class ParquetTable:
    """A Parquet file; the footer is read at once, the columns on request."""

    path: Path
    source: TableSource
    names: tuple[str, ...]
    options: ReadOptions

    def load(self, times: Sequence[str], ticker: str, numbers: Sequence[str]) -> Loaded:
        """Return the columns of these names."""
        path = self.path
        words = [ticker] if ticker else []
        try:
            frame = parquet.read_table(
                path,
                columns=list(dict.fromkeys([*times, *words, *numbers])),
                read_dictionary=words,
                use_pandas_metadata=False,
                # One file at a time: no guessing of partitions from the names of folders.
                partitioning=None,
            ).to_pandas(date_as_object=False, ignore_metadata=True)
            return loaded(dict(frame.items()), times, ticker, numbers, np.arange(len(frame)))
        except (arrow.ArrowException, OSError, ValueError) as error:
            raise _read_error(path, error) from None


def open_table(path: Path, options: ReadOptions) -> ParquetTable:
    """Open a table; the footer is checked against the limits before any data is unpacked."""
    require_size(path, options.limits)
    try:
        with parquet.ParquetFile(path) as file:
            about, schema = file.metadata, file.schema_arrow
            require_count(path, about.num_columns, options.limits.columns, "columns")
            require_count(path, about.num_rows, options.limits.rows, "rows")
            unpacked = sum(about.row_group(n).total_byte_size for n in range(about.num_row_groups))
            require_count(path, unpacked, options.limits.bytes, "bytes, unpacked")
    except (arrow.ArrowException, OSError, ValueError) as error:
        raise _read_error(path, error) from None
    plain = tuple(field.name for field in schema if not arrow.types.is_nested(field.type))
    return ParquetTable(path, TableSource(str(path), "row", 1), plain, options)


def _read_error(path: Path, error: Exception) -> DataError:
    return DataError(f"{path}: {(str(error).splitlines() or ['damaged'])[0]}", _WHAT)

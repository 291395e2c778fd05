"""Parquet files through pyarrow, whose import says whether they can be read here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podium.errors import DataError
from podium.readers._options import Options, require_count, require_size
from podium.readers._table import Codes, Loaded, Numbers, Source, to_numbers

# pyarrow ships no types; imported by name it is Any.
arrow: Any = import_module("pyarrow")
compute: Any = import_module("pyarrow.compute")
parquet: Any = import_module("pyarrow.parquet")

_WHAT = "a Parquet file of plain columns"


@dataclass(frozen=True)
class ParquetTable:
    """A Parquet file whose footer was read; columns are read when they are asked for."""

    path: Path
    source: Source
    names: tuple[str, ...]
    options: Options

    def load(self, times: Sequence[str], ticker: str, numbers: Sequence[str]) -> Loaded:
        """The columns of these names."""
        path = self.path
        words = [ticker] if ticker else []
        try:
            table = parquet.read_table(
                path,
                columns=list(dict.fromkeys([*times, *words, *numbers])),
                read_dictionary=words,
                use_pandas_metadata=False,
                # One file at a time: no guessing of partitions from the names of folders.
                partitioning=None,
            )
            stamps = [_times(table[name]) for name in times]
            return Loaded(
                positions=np.arange(table.num_rows),
                times=[values for values, _ in stamps],
                aware=all(aware for _, aware in stamps),
                ticker=_codes(table[ticker]) if ticker else None,
                numbers={name: _numbers(table[name]) for name in numbers},
            )
        except (arrow.ArrowException, OSError, ValueError) as error:
            raise _unread(path, error) from None


def open_table(path: Path, options: Options) -> ParquetTable:
    """The file's columns, checked against the limits by its footer before any data is unpacked."""
    require_size(path, options.limits)
    try:
        with parquet.ParquetFile(path) as file:
            about, schema = file.metadata, file.schema_arrow
            require_count(path, about.num_columns, options.limits.columns, "columns")
            require_count(path, about.num_rows, options.limits.rows, "rows")
            unpacked = sum(about.row_group(n).total_byte_size for n in range(about.num_row_groups))
            require_count(path, unpacked, options.limits.bytes, "bytes, unpacked")
    except (arrow.ArrowException, OSError, ValueError) as error:
        raise _unread(path, error) from None
    plain = tuple(field.name for field in schema if not arrow.types.is_nested(field.type))
    return ParquetTable(path, Source(str(path), "row", 1), plain, options)


def _unread(path: Path, error: Exception) -> DataError:
    return DataError(f"{path}: {(str(error).splitlines() or ['damaged'])[0]}", _WHAT)


def _times(column: Any) -> tuple[Any, bool]:
    """Stamps as ``datetime64``, whole numbers or text, and whether they are in UTC."""
    kind = column.type
    if arrow.types.is_timestamp(kind):
        values: NDArray[Any] = column.cast(arrow.timestamp(kind.unit)).to_numpy()
        return values, kind.tz is not None
    if arrow.types.is_date(kind):
        return column.cast(arrow.timestamp("s")).to_numpy(), False
    if arrow.types.is_integer(kind) or arrow.types.is_floating(kind):
        return column.to_numpy(), False
    return pd.Series(column.to_pandas(), dtype="str"), False


def _codes(column: Any) -> Codes:
    if not arrow.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    column = column.unify_dictionaries()
    names = column.chunk(0).dictionary.to_pylist() if column.num_chunks else []
    parts = [chunk.indices for chunk in column.chunks] or [arrow.array([], arrow.int32())]
    codes = compute.fill_null(arrow.chunked_array(parts), -1).to_numpy().astype(np.int32)
    told = ["" if name is None else str(name).strip() for name in names]
    # Names that differ in blanks alone are one; a name of blanks is none.
    known = {name: place for place, name in enumerate(dict.fromkeys(filter(None, told)))}
    table = np.asarray([*(known.get(name, -1) for name in told), -1], dtype=np.int32)
    same = len(known) == len(told)
    return Codes(codes if same else table[codes], list(known))


def _numbers(column: Any) -> Numbers:
    kind = column.type
    if arrow.types.is_decimal(kind):
        column = column.cast(arrow.float64())
    elif not (arrow.types.is_integer(kind) or arrow.types.is_floating(kind)):
        texts: dict[int, str] = {}
        return Numbers(to_numbers(pd.Series(column.to_pandas()), 0, texts), texts)
    values = column.to_numpy()
    return Numbers(values.astype(np.float64, copy=False))

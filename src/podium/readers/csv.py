"""CSV files of bars: one per ticker, one with a ticker column, or a column per ticker."""

from __future__ import annotations

import gzip
import io
import re
import warnings
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from podium.errors import DataError
from podium.readers._bars import Format
from podium.readers._head import HEAD_BYTES, SEPARATORS, WHAT, Head, decimal_of, read_head
from podium.readers._options import ReadLimits, ReadOptions, require_count, require_size
from podium.readers._table import Loaded, TableSource, loaded

SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt", ".txt.gz")
# Rows per chunk: unused columns are dropped before the next chunk is parsed.
_CHUNK = 200_000
_EMPTY = [
    "", "NA", "N/A", "n/a", "NaN", "nan", "-NaN", "-nan", "NULL", "null", "None", "<NA>", "#N/A",
    "#NA", "#N/A N/A", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN",
]  # fmt: skip


@dataclass(frozen=True)
class CsvTable:
    """A CSV file; the columns are parsed on request."""

    path: Path
    source: TableSource
    head: Head
    options: ReadOptions

    @property
    def names(self) -> tuple[str, ...]:
        """The unique names of the header."""
        return self.head.names

    def load(self, times: Sequence[str], ticker: str, numbers: Sequence[str]) -> Loaded:
        """Return the columns of these names, read in chunks to limit memory."""
        path = self.path
        words = [*times, *([ticker] if ticker else [])]
        parts, rows = [], 0
        try:
            for chunk in self._chunks(words, numbers):
                rows += len(chunk)
                require_count(path, rows, self.options.limits.rows, "rows")
                # A blank line counts as a line and is no row.
                full = chunk[list(numbers)].notna().any(axis=1) | (chunk[words] != "").any(axis=1)
                parts.append(chunk if full.all() else chunk[full])
        except (pd.errors.ParserError, pd.errors.ParserWarning, pd.errors.EmptyDataError) as error:
            raise _parse_error(path, error) from None
        except UnicodeDecodeError as error:
            raise _encoding_error(path, error) from None
        except (gzip.BadGzipFile, zlib.error, EOFError, OSError) as error:
            raise DataError(f"{path}: {error}", "a whole gzip file") from None
        whole = pd.concat(parts) if parts else pd.DataFrame(columns=[*words, *numbers])
        columns = {str(name): column for name, column in whole.items()}
        return loaded(columns, times, ticker, numbers, whole.index.to_numpy(np.int64))

    def _chunks(self, words: Sequence[str], numbers: Sequence[str]) -> Iterator[pd.DataFrame]:
        thousands = self.options.thousands
        decimal = self.options.decimal
        if not decimal and thousands != ",":
            decimal = decimal_of(self.head, numbers)
        needed = [*words, *numbers]
        # pandas reads 1,23 as 123 if the comma separates thousands.
        plain = () if thousands else numbers
        with warnings.catch_warnings(), _opened(self.path, self.options.limits) as handle:
            # pandas would cut off a row with more values than the header.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frames = pd.read_csv(
                handle,
                sep=self.head.separator,
                header=None,
                names=list(self.head.names),
                skiprows=self.head.skip,
                index_col=False,
                dtype=dict.fromkeys((n for n in self.head.names if n not in plain), str),
                keep_default_na=False,
                na_values=dict.fromkeys(numbers, _EMPTY),
                skip_blank_lines=False,
                decimal=decimal or ".",
                encoding="utf-8",
                chunksize=_CHUNK,
                low_memory=False,
            )
            for frame in frames:
                part = frame[needed]
                # A line without cells has no text either.
                part = part.fillna(dict.fromkeys(words, ""))
                if thousands:
                    part = part.assign(
                        **{name: _grouped(part[name], thousands, decimal) for name in numbers}
                    )
                yield part


def _open(path: Path, options: ReadOptions) -> CsvTable:
    """Open a file and read its header.

    Raises
    ------
    DataError
        The file is no text, has no header or one column, or exceeds the limits.
    """
    require_size(path, options.limits)
    try:
        with _opened(path, options.limits) as handle:
            start = handle.read(HEAD_BYTES)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise DataError(f"{path}: {error}", "a whole gzip file") from None
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        fix = "save it as CSV in UTF-8 (spreadsheets: 'CSV UTF-8')"
        raise DataError(f"{path} is UTF-16 text or no text", WHAT, fix)
    try:
        # The last character may be incomplete.
        text = start.decode("utf-8-sig", errors="strict" if len(start) < HEAD_BYTES else "ignore")
    except UnicodeDecodeError as error:
        raise _encoding_error(path, error) from None
    head = read_head(path, text, whole=len(start) < HEAD_BYTES, options=options)
    require_count(path, len(head.names), options.limits.columns, "columns")
    others = "".join(sign for sign in SEPARATORS if sign not in "".join(head.names))
    return CsvTable(path, TableSource(str(path), "line", head.skip + 1, others), head, options)


FORMAT = Format(SUFFIXES, _open)
read, examine = FORMAT.read, FORMAT.examine


class _Capped(io.RawIOBase):
    """A stream with a limit: a small file may unpack to a huge one."""

    def __init__(self, inner: IO[bytes], path: Path, limit: int) -> None:
        self._inner, self._path, self._left, self._limit = inner, path, limit, limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._inner.read(len(buffer))
        self._left -= len(data)
        if self._left < 0:
            what = f"{self._path} unpacks to more than {self._limit:,} bytes"
            raise DataError(what, "less than the limit", "split it into several files")
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._inner.close()
        super().close()


def _opened(path: Path, limits: ReadLimits) -> IO[bytes]:
    if path.suffix.lower() != ".gz":
        return path.open("rb")
    packed = gzip.open(path, "rb")  # noqa: SIM115 - closed by the outer stream
    return io.BufferedReader(_Capped(packed, path, limits.bytes), 1 << 16)  # type: ignore[arg-type]


def _grouped(column: pd.Series[Any], thousands: str, decimal: str) -> pd.Series[Any]:
    """Return cells without thousands separators that separate groups of three digits."""
    group, point = re.escape(thousands), re.escape(decimal or ".")
    form = rf"-?(\d{{1,3}}({group}\d{{3}})+|\d+)({point}\d+)?"
    text = column.str.strip()
    whole = text.str.fullmatch(form).fillna(value=False).astype(bool)
    bare = text.str.replace(thousands, "", regex=False)
    if decimal == ",":
        bare = bare.str.replace(",", ".", regex=False)
    return bare.where(whole, text)


def _parse_error(path: Path, error: Exception) -> DataError:
    message = str(error).strip()
    match = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", message)
    if match:
        expected, line, seen = match.groups()
        found = f"{path} line {line} has {seen} values, the header names {expected}"
        return DataError(found, WHAT, "quote cells that hold the separator")
    if "does not match length" in message:
        return DataError(f"{path}: its rows have more values than the header has names", WHAT)
    if "EOF inside string" in message:
        return DataError(f"{path}: a quoted cell is never closed", WHAT, "close its quotes")
    return DataError(f"{path}: {message.removeprefix('Error tokenizing data. C error: ')}", WHAT)


def _encoding_error(path: Path, error: UnicodeDecodeError) -> DataError:
    byte = error.object[error.start] if error.object else 0
    return DataError(f"{path} is no UTF-8 text (byte {byte:#04x})", WHAT, "save it as CSV in UTF-8")

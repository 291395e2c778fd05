"""The contract of an importer.

``importers/<name>.py`` has two functions: ``recognizes(path) -> bool``, which looks at a file's
name and first bytes and never runs anything from it, and ``read(path, **options) -> Imported``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from podium.record import Record


@dataclass(frozen=True)
class Imported:
    """What a file holds.

    Parameters
    ----------
    source : str
        What it is, for people and for the record: records of one source are comparable among
        themselves, and the same record of the same source is written once.
    records : sequence of Record
        In the file's order.
    problems : sequence of str
        What could not be read and was left out, each with its place.
    """

    source: str
    records: Sequence[Record]
    problems: Sequence[str] = ()

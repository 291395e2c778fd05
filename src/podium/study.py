"""Study: a search that knows its question and its budget and counts every config it looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from podium.hashing import digest

# Receipt of what a search chose itself.
CHOICES = "search"


@dataclass(frozen=True)
class Study:
    """One question asked of one slot's data.

    Parameters
    ----------
    id : str
    slot : str
    question : mapping
        Everything that decides which trials a search asks for, in which order: dataset
        fingerprint, task, split, families, spaces, search, seed, generation, metric. A budget
        (how many trials) is no part of it, so a study can always go on.
    """

    id: str
    slot: str
    question: Mapping[str, Any]

    @property
    def key(self) -> str:
        """SHA-256 of slot and question; the same question finds the same study again."""
        return digest([self.slot, self.question])


def choices_of(study_key: str, family: str) -> str:
    """What the receipt of a search's own choices is known by: how it began with a family."""
    return digest([study_key, family])

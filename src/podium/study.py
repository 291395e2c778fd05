"""Study: a search with a fixed question; counts every config that it evaluates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from podium.hashing import digest

# Receipt of a search's own choices.
CHOICES = "search"


@dataclass(frozen=True)
class Study:
    """One search on one slot's data.

    Parameters
    ----------
    id : str
    slot : str
    question : mapping
        Everything that determines the trials of a search and their order: dataset fingerprint,
        task, split, families, spaces, search, seed, generation, metric. The budget (number of
        trials) is not part of it, so every study can be continued.
    """

    id: str
    slot: str
    question: Mapping[str, Any]

    @property
    def key(self) -> str:
        """SHA-256 of slot and question, which identifies the study."""
        return digest([self.slot, self.question])


def choices_of(study_key: str, family: str) -> str:
    """Key of the receipt of a search's own choices for a family."""
    return digest([study_key, family])

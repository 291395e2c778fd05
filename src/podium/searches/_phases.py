"""Searches with several samplers: phases as data, with shares of the plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from podium.searches._base import Search
from podium.searches._draws import QMCSearch, RandomSearch
from podium.searches._local import LocalSearch
from podium.searches._optuna import GPSearch, OptunaSearch, TPESearch, has_torch
from podium.space import Choice, ConfigDict, Space

AUTO = "auto"
SAMPLERS: Mapping[str, type[Search]] = {
    "random": RandomSearch,
    "qmc": QMCSearch,
    "tpe": TPESearch,
    "gp": GPSearch,
    "local": LocalSearch,
}
# Beyond these a Gaussian process takes seconds a trial and is no better than TPE.
MAX_PARAMETERS, MAX_TRIALS = 8, 300


@dataclass(frozen=True)
class Phase:
    """A part of a search.

    Parameters
    ----------
    name : str
        Name in the record.
    sampler : str
        One of ``SAMPLERS``, or ``auto``: a Gaussian process where it is known to be better.
    share : float
        Share of the trials planned when the study began; all shares add up to 1.
    """

    name: str
    sampler: str
    share: float


class PhasedSearch(Search):
    """Use the sampler of each trial's phase; every sampler receives all scores.

    A study that is continued beyond its plan repeats the phases without the first one.
    """

    phases: ClassVar[tuple[Phase, ...]]

    def __init__(self, space: Space, seed: int) -> None:
        super().__init__(space, seed)
        self.auto, self.why = choose(space, self.planned)
        self.searches: dict[str, Search] = {}
        self.trials: list[tuple[int, ConfigDict, float]] = []
        self.pending: dict[int, ConfigDict] = {}

    def begin(self, planned: int, stride: int, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Choose the sampler of ``auto``, or use the choice from the study's beginning."""
        super().begin(planned, stride, stored)
        if stored:
            self.auto, self.why = stored["auto"], stored["why"]
        elif any(phase.sampler == AUTO for phase in self.phases):
            self.auto, self.why = choose(self.space, planned)
        else:
            self.auto, self.why = "", "fixed by the search"
        phases = [
            [phase.name, self._sampler(phase), self.starts[n + 1] - self.starts[n]]
            for n, phase in enumerate(self.phases)
        ]
        return {"auto": self.auto, "why": self.why, "phases": phases}

    @property
    def starts(self) -> list[int]:
        """Place of the first trial of each phase, and the plan's end."""
        shares = [sum(p.share for p in self.phases[:n]) for n in range(len(self.phases))]
        return [*(round(share * self.planned) for share in shares), self.planned]

    def phase(self, number: int) -> str:
        """Name of the trial's phase."""
        return self._phase(number)[0].name

    def _phase(self, number: int) -> tuple[Phase, int]:
        """Return a trial's phase and its place in this round of the plan."""
        rounds, place = divmod(self.place(number), self.planned)
        index = sum(place >= start for start in self.starts[1:-1])
        if rounds and index == 0:
            index = min(1, len(self.phases) - 1)
        return self.phases[index], place

    def _sampler(self, phase: Phase) -> str:
        return self.auto if phase.sampler == AUTO else phase.sampler

    def ask(self, numbers: Sequence[int]) -> list[ConfigDict]:
        """Propose one config a number, each from its phase's sampler."""
        configs: list[ConfigDict] = []
        for number in numbers:
            name = self._sampler(self._phase(number)[0])
            proposed = self._search(name).ask([number])
            if not proposed:
                break
            configs += proposed
            self.pending[number] = proposed[0]
            for other, search in self.searches.items():
                if other != name and isinstance(search, OptunaSearch):
                    search.expect(number, proposed[0])
        return configs

    def tell(self, number: int, config: ConfigDict, score: float) -> None:
        """Pass the score to every sampler."""
        self.remember(config)
        self.pending.pop(number, None)
        self.trials.append((number, config, score))
        for search in self.searches.values():
            search.tell(number, config, score)

    def _search(self, name: str) -> Search:
        """Return the sampler of that name, created on first use with all scores so far."""
        if name not in self.searches:
            search = self.searches[name] = SAMPLERS[name](self.space, self.seed)
            search.begin(self.planned, self.stride, {})
            # All samplers propose for one study, so none repeats a config of another.
            search.seen, search.distinct = self.seen, self.distinct
            if isinstance(search, LocalSearch):
                search.since = self.starts[[p.sampler for p in self.phases].index(name)]
            if isinstance(search, OptunaSearch):
                # The first phase replaces the sampler's random trials; a model needs one score.
                first = self.starts[1] if len(self.phases) > 1 else search.start
                search.start = max(1, min(search.start, first))
            for trial in self.trials:
                search.tell(*trial)
            if isinstance(search, OptunaSearch):
                for number, config in self.pending.items():
                    search.expect(number, config)
        return self.searches[name]


def choose(space: Space, planned: int) -> tuple[str, str]:
    """Name of the better model-based sampler for a space, and the reason."""
    names = list(space.parameters)
    chosen = [name for name, p in space.parameters.items() if isinstance(p, Choice)]
    if chosen:
        return "tpe", f"{chosen[0]} is a choice, and a Gaussian process is for numbers"
    if space.conditions:
        return "tpe", f"{next(iter(space.conditions))} does not count everywhere"
    if not names:
        return "tpe", "nothing is searched"
    if len(names) > MAX_PARAMETERS:
        return "tpe", f"{len(names)} parameters are more than {MAX_PARAMETERS}"
    if planned > MAX_TRIALS:
        return "tpe", f"{planned} trials are more than {MAX_TRIALS}"
    if not has_torch():
        return "tpe", "a Gaussian process needs torch, which is not installed"
    numbers = "1 number" if len(names) == 1 else f"{len(names)} numbers"
    return "gp", f"{numbers}, {planned} trials: a Gaussian process finds more in them"

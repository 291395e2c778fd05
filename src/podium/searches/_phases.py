"""Searches that change their sampler on the way: phases as data, with shares of the plan."""

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
# Beyond these a Gaussian process takes seconds a trial, and is no better than TPE.
MOST_PARAMETERS, MOST_TRIALS = 8, 300


@dataclass(frozen=True)
class Phase:
    """A part of a search.

    Parameters
    ----------
    name : str
        What the record calls it.
    sampler : str
        One of ``SAMPLERS``, or ``auto``: a Gaussian process where it is known to be better.
    share : float
        Of the trials planned when the study was begun; those of all phases add up to 1.
    """

    name: str
    sampler: str
    share: float


class PhasedSearch(Search):
    """Hands each trial to the sampler of its phase; every sampler is told of all trials.

    A study that goes on beyond its plan goes through the phases again, with what it knows in place
    of a blind start.
    """

    phases: ClassVar[tuple[Phase, ...]]

    def __init__(self, space: Space, seed: int) -> None:
        super().__init__(space, seed)
        self.auto, self.why = choose(space, self.planned)
        self.made: dict[str, Search] = {}
        self.told: list[tuple[int, ConfigDict, float]] = []
        self.pending: dict[int, ConfigDict] = {}

    def begin(self, planned: int, stride: int, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Choose what ``auto`` is, or take what was chosen when the study was begun."""
        super().begin(planned, stride, stored)
        if stored:
            self.auto, self.why = stored["auto"], stored["why"]
        elif any(phase.sampler == AUTO for phase in self.phases):
            self.auto, self.why = choose(self.space, planned)
        else:
            self.auto, self.why = "", "as the search is written"
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
        """A trial's phase, and how many trials of the plan were before it in this round."""
        rounds, place = divmod(self.place(number), self.planned)
        index = sum(place >= start for start in self.starts[1:-1])
        if rounds and index == 0:
            index = min(1, len(self.phases) - 1)
        return self.phases[index], place

    def _sampler(self, phase: Phase) -> str:
        return self.auto if phase.sampler == AUTO else phase.sampler

    def ask(self, numbers: Sequence[int]) -> list[ConfigDict]:
        """One config a number, each from its phase's sampler."""
        found = []
        for number in numbers:
            name = self._sampler(self._phase(number)[0])
            configs = self._made(name).ask([number])
            if not configs:
                break
            found += configs
            self.pending[number] = configs[0]
            for other, search in self.made.items():
                if other != name and isinstance(search, OptunaSearch):
                    search.expect(number, configs[0])
        return found

    def tell(self, number: int, config: ConfigDict, score: float) -> None:
        """Every sampler learns of it."""
        self.remember(config)
        self.pending.pop(number, None)
        self.told.append((number, config, score))
        for search in self.made.values():
            search.tell(number, config, score)

    def _made(self, name: str) -> Search:
        """The sampler of that name, made when it is first asked and told all there is."""
        if name not in self.made:
            search = self.made[name] = SAMPLERS[name](self.space, self.seed)
            search.begin(self.planned, self.stride, {})
            # They ask for one study, so none repeats what another asked for.
            search.seen, search.distinct = self.seen, self.distinct
            if isinstance(search, LocalSearch):
                search.since = self.starts[[p.sampler for p in self.phases].index(name)]
            if isinstance(search, OptunaSearch):
                # A blind start makes its own unnecessary; of nothing there is no model.
                begun = self.starts[1] if len(self.phases) > 1 else search.start
                search.start = max(1, min(search.start, begun))
            for trial in self.told:
                search.tell(*trial)
            if isinstance(search, OptunaSearch):
                for number, config in self.pending.items():
                    search.expect(number, config)
        return self.made[name]


def choose(space: Space, planned: int) -> tuple[str, str]:
    """Name of the better model-based sampler for a space, and why it is taken."""
    names = list(space.parameters)
    chosen = [name for name, p in space.parameters.items() if isinstance(p, Choice)]
    if chosen:
        return "tpe", f"{chosen[0]} is a choice, and a Gaussian process is for numbers"
    if space.conditions:
        return "tpe", f"{next(iter(space.conditions))} does not count everywhere"
    if not names:
        return "tpe", "nothing is searched"
    if len(names) > MOST_PARAMETERS:
        return "tpe", f"{len(names)} parameters are more than {MOST_PARAMETERS}"
    if planned > MOST_TRIALS:
        return "tpe", f"{planned} trials are more than {MOST_TRIALS}"
    if not has_torch():
        return "tpe", "a Gaussian process needs torch, which is not installed"
    numbers = "1 number" if len(names) == 1 else f"{len(names)} numbers"
    return "gp", f"{numbers}, {planned} trials: a Gaussian process finds more in them"

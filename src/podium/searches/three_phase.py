"""An even start (15 per cent), then a model (55), then refinement of the best (30)."""

from podium.searches._phases import AUTO, Phase, PhasedSearch


class ThreePhaseSearch(PhasedSearch):
    """The shares with the best measured results; docs/search.md shows how small the gain is."""

    phases = (
        Phase("start", "qmc", 0.15),
        Phase("model", AUTO, 0.55),
        Phase("refine", "local", 0.3),
    )


SEARCH = ThreePhaseSearch

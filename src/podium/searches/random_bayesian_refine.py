"""The classical three phases: random (30 per cent), TPE (50), refinement of the best (20)."""

from podium.searches._phases import Phase, PhasedSearch


class RandomBayesianRefine(PhasedSearch):
    """Measured a little worse than TPE alone, since its random start is long."""

    phases = (
        Phase("random", "random", 0.3),
        Phase("bayesian", "tpe", 0.5),
        Phase("refine", "local", 0.2),
    )


SEARCH = RandomBayesianRefine

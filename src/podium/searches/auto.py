"""A Gaussian process for a few numbers and at most 300 trials, else TPE; the study keeps why."""

from podium.searches._phases import AUTO, Phase, PhasedSearch


class AutoSearch(PhasedSearch):
    """One phase without a name."""

    phases = (Phase("", AUTO, 1.0),)


SEARCH = AutoSearch

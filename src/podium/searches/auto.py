"""A Gaussian process for few numbers and at most 300 trials, else TPE; the study has the reason."""

from podium.searches._phases import AUTO, Phase, PhasedSearch


class AutoSearch(PhasedSearch):
    """One phase without a name."""

    phases = (Phase("", AUTO, 1.0),)


SEARCH = AutoSearch

"""Points of a Sobol sequence: as blind as random draws, but spread evenly over the space."""

from podium.searches._draws import QMCSearch

SEARCH = QMCSearch

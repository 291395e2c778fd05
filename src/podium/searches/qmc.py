"""Points of a Sobol sequence: independent of scores like random draws, but spread evenly."""

from podium.searches._draws import QMCSearch

SEARCH = QMCSearch

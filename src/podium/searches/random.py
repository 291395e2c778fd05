"""Independent draws from the space; the baseline of every search."""

from podium.searches._draws import RandomSearch as RandomSearch

SEARCH = RandomSearch

"""Small steps from the best config so far: refines the result of another search."""

from podium.searches._local import LocalSearch

SEARCH = LocalSearch

"""Small steps from the best config so far: refines what another search found."""

from podium.searches._local import LocalSearch

SEARCH = LocalSearch

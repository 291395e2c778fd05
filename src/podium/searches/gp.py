"""Gaussian process of Optuna 5: best for few numbers and slow trials; up to a second a trial."""

from podium.searches._optuna import GPSearch

SEARCH = GPSearch

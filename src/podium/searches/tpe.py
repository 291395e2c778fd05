"""Tree-structured Parzen estimator of Optuna 5 (multivariate, constant liar), ask and tell."""

from podium.searches._optuna import TPESearch

SEARCH = TPESearch

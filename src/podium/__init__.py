"""podium takes time-series models from a search space to a champion you can defend."""

__version__ = "0.1.0"

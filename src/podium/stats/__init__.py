"""Tests and estimates of luck: arrays in, numbers out, no input or output."""

from podium.stats.diebold_mariano import DieboldMariano, diebold_mariano, panel_loss

__all__ = ["DieboldMariano", "diebold_mariano", "panel_loss"]

"""Metrics: truth and prediction in, a loss per window and one figure out, with its direction."""

"""Metrics of predictions: a loss per window, or a score of all samples."""

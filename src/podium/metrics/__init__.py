"""Metrics: truth and prediction in, a loss per window out; lower is better."""

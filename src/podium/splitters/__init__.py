"""Splitters of views, sequences or samples into purged folds."""

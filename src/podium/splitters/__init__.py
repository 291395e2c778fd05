"""Splitters: a view, sequences or samples in, a Split with purged folds out."""

"""Splitters: a view in, a Split with purged folds out."""

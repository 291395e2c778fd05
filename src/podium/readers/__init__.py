"""Readers of files: a Dataset or Sequences."""

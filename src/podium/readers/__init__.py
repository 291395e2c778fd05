"""Readers: files in, a Dataset or Sequences out."""

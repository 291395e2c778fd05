"""Readers: files in, a Dataset out."""

"""Projections of the record: files and stores that can be rebuilt from it."""

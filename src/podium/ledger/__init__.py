"""The record: append-only tables, heads that decisions move, and plain reads."""

"""Steps: one file a verb; the only code that joins kinds and the record."""

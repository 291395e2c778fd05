"""Gates: pure functions from evidence to a verdict, which read no files, records or clocks."""

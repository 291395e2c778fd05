"""Gates: evidence in, a verdict out; pure functions that never read files, records or clocks."""

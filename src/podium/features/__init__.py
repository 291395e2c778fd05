"""Features: one causal column per ticker; ``compute(dataset, *numbers) -> (T, S)``."""

"""Features: bars in, one causal column a ticker out; ``compute(dataset, *numbers) -> (T, S)``."""

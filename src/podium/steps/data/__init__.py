"""From podium.toml to samples: bars, sequences, covariates, the user's own code."""

"""A signal turns the forecasts of a bar into the target weights of that bar."""

"""What runs after promotion: forecasts, signals, their outcomes, drift, shadows."""

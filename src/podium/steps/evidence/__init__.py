"""Arrays and rows to findings: selection bias, looks, leaks, drift, improvement."""

"""Targets: what is forecast; increments of one bar, and how their mean becomes the target."""

"""Runners: where trials run; they hand a family a list and pass its events on."""

"""Schedules: after which epochs trials pause, and which of them are worth going on with."""

"""Planned trials, run against the record: the driver of a search, schedules, objectives."""

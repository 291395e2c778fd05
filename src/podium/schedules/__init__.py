"""Schedules: the epochs after which trials pause, and the trials that continue."""

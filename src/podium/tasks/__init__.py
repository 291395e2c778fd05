"""Tasks of slots, one file each.

A task opens a slot's data, separates the sealed part, splits the rest, and scores predictions. Its
file also names the stages of its pipeline, its baselines and the settings of its slots; these are
read as text, so the configuration imports no task.
"""

"""Tasks: what a slot asks of its models, one file each.

A task opens a slot's data, with the sealed part apart, splits what is left, and scores predictions.
Its file also names the stages of its pipeline, its baselines, and the settings of a slot that it
takes; these are read from the text, so the configuration imports no task.
"""

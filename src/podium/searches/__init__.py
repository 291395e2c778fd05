"""Searches: which configs to look at next; Optuna lives in this folder and nowhere else."""

"""The command line: click lives in this folder and nowhere else."""

"""Verbs: one file each; the first docstring line is ``Group: help`` and is read without import."""

"""Checks for families of one task, one file per task.

A file has the name of the ``task`` of its families. It has ``Case``, a :class:`_fits.KnownTask`,
and ``CHECKS``, functions of a family's object.
"""

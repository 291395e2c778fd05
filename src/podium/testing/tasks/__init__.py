"""What families of one task promise besides what all of them do; one file a task.

A file is named like the ``task`` of its families. It has ``Case``, a :class:`_fits.Case` of that
task, and ``CHECKS``, functions of a family's object.
"""

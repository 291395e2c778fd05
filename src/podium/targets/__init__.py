"""Targets: what is forecast; increments of one bar, and how their mean becomes the target.

A member has ``UNIT``, ``CENTERED``, ``increments(dataset) -> (T, S)``, known at each bar's close,
and ``aggregate(mean of increments, horizon)``. The label decided at ``t`` is the aggregate of the
mean increment of the bars ``t + 1 .. t + horizon``; a target that tells where something will be,
and not by how much it moves, also has ``level(dataset) -> (T, S)``, which is added at ``t``.
"""

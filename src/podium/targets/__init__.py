"""Targets of forecasts: increments per bar, and their aggregate over the horizon.

A member has ``UNIT``, ``CENTERED``, ``increments(dataset) -> (T, S)``, known at each bar's close,
and ``aggregate(mean of increments, horizon)``. The label decided at ``t`` is the aggregate of the
mean increment of the bars ``t + 1 .. t + horizon``; the target of a level, as opposed to a
change, also has ``level(dataset) -> (T, S)``, which is added at ``t``.
"""

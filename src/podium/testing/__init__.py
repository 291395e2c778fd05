"""Kits that show a new family, splitter, search, gate, runner or feature keeps its contract.

``series`` makes bars with known answers, ``leak`` looks for readers of the future, ``kit`` holds
the ``check_...`` functions of each kind. All are plain functions: a package that adds a member to
podium calls them from its own tests.
"""

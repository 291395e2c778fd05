"""Checks that a new member of a kind meets its contract, for the tests of a package.

One file per kind: ``families``, ``losses``, ``splitters``, ``searches``, ``gates``, ``runners``,
``features`` (and targets). Each ``check_...`` is a function that raises AssertionError with the
violation; podium's own tests call them for every file in the kind's folder::

    def test_my_family_keeps_the_contract(tmp_path):
        check_family(FAMILY, tmp_path)

``series`` makes bars with known properties, ``leak`` detects use of the future, ``pickles`` detects
files that run code when they are opened, ``fakes`` has a family that fails on demand.
"""

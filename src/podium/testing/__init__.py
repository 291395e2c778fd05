"""Checks that show a new member of a kind keeps its contract; a package calls them from its tests.

One file a kind: ``families``, ``losses``, ``splitters``, ``searches``, ``gates``, ``runners``,
``features`` (and targets). Each ``check_...`` is a plain function and raises AssertionError with
what broke the contract; podium's own tests call them for every file in the kind's folder::

    def test_my_family_keeps_the_contract(tmp_path):
        check_family(FAMILY, tmp_path)

``series`` makes bars with known answers, ``leak`` looks for readers of the future, ``pickles`` for
files that run code when they are opened, ``fakes`` misbehaves on demand.
"""

"""Examples of property tests: the same whatever else a worker has loaded."""

import importlib
import sys

from hypothesis import given
from hypothesis import strategies as st


def drawn():
    """What a property test is shown, in words: NaN is not equal to itself."""
    found = []

    @given(st.integers(), st.floats(), st.text())
    def shown(number, figure, word):
        found.append(repr((number, figure, word)))

    shown()
    return found


def test_examples_do_not_depend_on_the_modules_that_are_loaded(tmp_path, monkeypatch):
    before = drawn()
    figures = [f"{n}, {n}.5, 'word {n}'" for n in range(1000, 1300)]
    (tmp_path / "freshly_loaded.py").write_text(f"FIGURES = [{', '.join(figures)}]")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("freshly_loaded")
    try:
        assert drawn() == before
    finally:
        del sys.modules["freshly_loaded"]

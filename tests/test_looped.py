"""Looped tests try every case and name each that fails."""

import pytest

from looped import looped


@looped("number", range(5))
@looped("word", ["even", "odd"])
def test_loops_nest_and_take_fixtures(tmp_path, number, word):
    (tmp_path / f"{number} {word}").touch()
    assert len(list(tmp_path.iterdir())) >= number


def test_every_value_that_fails_is_named_with_why():
    seen = []

    @looped("number, square", [(1, 1), (2, 5), (3, 9), (4, 17), (5, 25)])
    def check(number, square):
        seen.append(number)
        if number == 4:
            pytest.fail("too large")
        assert number**2 == square

    with pytest.raises(BaseExceptionGroup, match="2 of 5 cases failed") as caught:
        check()
    assert seen == [1, 2, 3, 4, 5]
    wrong, large = caught.value.exceptions
    assert (wrong.__notes__, large.__notes__) == (
        ["number=2, square=5"],
        ["number=4, square=17"],
    )
    assert str(large) == "too large"


def test_no_values_are_no_test():
    with pytest.raises(ValueError, match="nothing to try"):
        looped("number", [])

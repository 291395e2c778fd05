"""A loop inside one test, where pytest's parameters would make a test of every tiny case."""

import functools
import inspect

import pytest


def looped(names, values):
    """Like ``pytest.mark.parametrize``, as one test: all values are tried, each failure is kept.

    Fixtures are made once for all values, and a test that skips skips the rest: not for tests that
    change what a fixture gave them, nor for those that may be skipped.
    """
    names = [name.strip() for name in names.split(",")] if isinstance(names, str) else names
    values = list(values)
    if not values:
        raise ValueError("nothing to try")

    def around(test):
        @functools.wraps(test)
        def all_of_them(**fixtures):
            failed = []
            for value in values:
                case = dict(zip(names, value if len(names) > 1 else [value], strict=True))
                try:
                    test(**fixtures, **case)
                except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 - kept
                    error.add_note(", ".join(f"{name}={one!r}" for name, one in case.items()))
                    failed.append(error)
            if failed:
                raise BaseExceptionGroup(f"{len(failed)} of {len(values)} cases failed", failed)

        signature = inspect.signature(test)
        rest = [given for name, given in signature.parameters.items() if name not in names]
        all_of_them.__signature__ = signature.replace(parameters=rest)
        return all_of_them

    return around


def rest_slow(cases, fast):
    """The cases as pytest's parameters; all but the first ones are marked slow."""
    values = [case if isinstance(case, tuple) else (case,) for case in cases]
    return [
        pytest.param(*value, marks=[pytest.mark.slow] if at >= fast else [])
        for at, value in enumerate(values)
    ]

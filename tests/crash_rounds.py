"""Kills in a row: one project, worked on by one process after the other, most of them killed.

A crash test says what is run, where and how often it is killed, and what is true after each kill.
"""

from __future__ import annotations

import random
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import projects
from nursery import Child, Nursery

ANY = "at any moment"
# Where to kill: a place of failpoints.py, behind the step it is in where there are several.
Place = str | tuple[str, str]
# How many kills each place has, and how often it is passed at most before one.
Kills = Mapping[Place, tuple[int, int]]


def blank(folder: Path, **settings: Mapping[str, Any]) -> Path:
    """A project before anything was done in it."""
    return projects.small_project(folder / "small", **settings)


class Series:
    """A copy of a project, and the processes that work on it one after the other."""

    program = ""

    def __init__(self, children: Nursery, start: Path, folder: Path) -> None:
        self.root = Path(shutil.copytree(start, folder / "small"))
        self.children = children
        self.seconds = 0.0

    def arguments(self) -> tuple[Any, ...]:
        """What the program is told beside the project and the place it dies at."""
        return ()

    def look(self, child: Child) -> None:
        """Find everything as it must be after a process ended, killed or not."""

    def told(self) -> object:
        """All that is left in the end and does not depend on clocks, ids and processes."""
        raise NotImplementedError

    def round(self, *place: str | int, kill_after: float | None = None) -> bool:
        """Let the program go on where it was; whether it was killed."""
        child = self.children.run(
            self.program, self.root, *self.arguments(), *place, kill_after=kill_after
        )
        assert child.was_killed or (child.code, child.error) == (0, ""), (place, child)
        assert "Traceback" not in child.error, (place, child.error)
        self.seconds = child.seconds
        self.look(child)
        return child.was_killed

    def undisturbed(self) -> tuple[object, float]:
        """What the program leaves when nobody kills it, and how long it takes."""
        assert not self.round()
        return self.told(), self.seconds

    def finish(self, expected: object) -> None:
        """Go on to the end: everything is as if nobody had ever been killed."""
        assert not self.round()
        assert self.told() == expected


def kill_all(
    kills: Kills,
    series_of: Callable[[str], Series],
    undisturbed: tuple[object, float],
    *,
    seed: int = 7,
    in_turn: bool = False,
) -> tuple[Counter[Place], int]:
    """Kill until each place has had its kills; how many each had, and in how many projects.

    Parameters
    ----------
    series_of : callable
        A new project under a name; one that came to its end is followed by another.
    in_turn : bool
        Once at each place, in the order they are named, instead of anywhere.
    """
    expected, seconds = undisturbed
    draw, had, count = random.Random(seed), Counter[Place](), 0
    left = Counter({place: number for place, (number, _) in kills.items()})
    asked = left.copy()
    while left.total():
        count += 1
        assert count <= asked.total(), left
        series = series_of(str(count))
        for place in _in_turn(left) if in_turn else _drawn(left, draw):
            *step, where = [place] if isinstance(place, str) else place
            turn = draw.randrange(kills[place][1] or 1)
            if where == ANY:
                killed = series.round(kill_after=draw.uniform(0.05, 0.9) * seconds)
            else:
                killed = series.round(*step, where, turn)
            if not killed:
                break
            had[place] += 1
            left[place] -= 1
        series.finish(expected)
    assert had == asked
    return had, count


def _drawn(left: Counter[Place], draw: random.Random) -> Iterator[Place]:
    while left.total():
        yield draw.sample(list(left), 1, counts=list(left.values()))[0]


def _in_turn(left: Counter[Place]) -> Iterable[Place]:
    return (place for place in list(left) if left[place])


def show(capsys: Any, title: str, found: tuple[Counter[Place], int]) -> None:
    """Print how many kills each place had, whatever pytest keeps to itself."""
    had, count = found
    names = {" ".join([place] if isinstance(place, str) else place): n for place, n in had.items()}
    lines = [f"  {n:3d}  {name.strip()}" for name, n in [*names.items(), ("in all", had.total())]]
    with capsys.disabled():
        title = f"\nkill -9 of {title}, {count} projects, by the place of the kill:"
        sys.stdout.write("\n".join([title, *lines, ""]))

"""The rules of stages without a record: what a real one is held against."""

from __future__ import annotations

NINE = {
    ("development", "beta"),
    ("development", "archived"),
    ("beta", "development"),
    ("beta", "champion"),
    ("beta", "archived"),
    ("champion", "beta"),
    ("champion", "archived"),
    ("archived", "development"),
    ("archived", "beta"),
}


class Rules:
    """What the rules say of one slot, without a record."""

    def __init__(self):
        self.stages: dict[str, str] = {}
        self.parents: dict[str, str | None] = {}
        self.latest: dict[str, str] = {}
        # Who held the slot one after another; None: nobody.
        self.reigns: list[str | None] = [None]
        self.decided = 0

    @property
    def champion(self):
        return self.reigns[-1]

    def register(self, name, model_type, parent):
        self.stages[name], self.parents[name] = "development", parent
        self.latest[model_type] = name
        self.decided += 1

    def move(self, name, to):
        if to == "champion" and self.champion:
            self.stages[self.champion] = "archived"
        if to == "champion" or name == self.champion:
            self.reigns.append(name if to == "champion" else None)
        self.stages[name] = to
        self.decided += 1

    def before(self):
        """Who would hold the slot after a rollback."""
        held = [name for name in self.reigns if name not in (None, self.champion)]
        return held[-1] if held else None

    def rollback(self):
        name = self.before()
        if self.champion:
            self.move(self.champion, "archived")
        for to in ("beta", "champion") if self.stages[name] != "beta" else ("champion",):
            self.move(name, to)

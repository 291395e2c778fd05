"""A second family that trains in no time, for slots of several families."""

from quick import QuickFamily

NAME = "brisk"


class BriskFamily(QuickFamily):
    """As the quick one under another name."""

    name = NAME


FAMILY = BriskFamily

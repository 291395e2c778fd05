"""What holds for every test."""

from hypothesis import settings

# The same examples on every machine, and no example fails because a machine is busy.
settings.register_profile("podium", deadline=None, derandomize=True)
settings.load_profile("podium")

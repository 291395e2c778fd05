"""What holds for every test."""

import pytest
from hypothesis import settings

import projects

# The same examples on every machine, and no example fails because a machine is busy.
settings.register_profile("podium", deadline=None, derandomize=True)
settings.load_profile("podium")


@pytest.fixture
def ledger(tmp_path):
    """An empty record."""
    found = projects.open_ledger(tmp_path)
    yield found
    found.close()

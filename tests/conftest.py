"""What holds for every test."""

import gc
import os
import subprocess

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants

import failpoints
import foreign
import ladder as ladders
import mlflow_places
import nursery
import pictures
import postgres
import projects
import quick

# The same examples on every machine, and no example fails because a machine is busy.
settings.register_profile(
    "podium", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
# `make check` runs the properties with the first profile, after the fast tests with this one.
settings.register_profile("few", settings.get_profile("podium"), max_examples=30)
settings.load_profile("few")

# Hypothesis mixes in figures and words from the source of every local module that is loaded, so
# that examples would change with worker, order and selection. No setting turns that off;
# test_examples.py fails where a later Hypothesis needs another way.
providers._get_local_constants = Constants

# A run draws some hundred pictures that no test looks at.
pictures.leave_blank()


def pytest_collection_finish():
    """Take modules and tests out of garbage collection: it goes through them again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


@pytest.fixture
def quick_family(monkeypatch):
    """The quick family, also in worker processes; nothing was trained yet."""
    with quick.offered() as folder:
        monkeypatch.syspath_prepend(folder)
        quick.TRAINED.clear()
        yield quick.NAME


@pytest.fixture
def drawn(monkeypatch):
    """Pictures as podium draws them."""
    pictures.draw(monkeypatch)


@pytest.fixture(scope="session")
def ladder(tmp_path_factory):
    """Finished projects, built once for all workers of a run; tests change copies of them."""
    place = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        place = place.parent
    found = ladders.Ladder(place / "ladder")
    yield found
    assert found.changed() == [], "a test wrote to a template instead of a copy"


@pytest.fixture(scope="session")
def children():
    """A warm process that forks those that are to be killed; see failpoints.py."""
    with quick.offered() as folder, nursery.Nursery(*failpoints.WARM, path=[folder]) as found:
        yield found


@pytest.fixture(scope="session")
def empty_store(ladder):
    """A store as MLflow makes it, for copying: making one takes seconds."""
    return ladder.kept("mlflow-store", mlflow_places.new_store) / "mlflow.db"


@pytest.fixture(scope="session")
def server():
    """A PostgreSQL server that only these tests talk to.

    Skipped where there is none, unless ``PODIUM_REQUIRE=postgresql`` says that there must be.
    """
    try:
        found = postgres.Server()
    except postgres.NoServerError as error:
        if os.environ.get("PODIUM_REQUIRE") == "postgresql":
            pytest.fail(f"PODIUM_REQUIRE=postgresql, but: {error}")
        pytest.skip(str(error))
    yield found
    found.close()


@pytest.fixture
def database(server):
    """URL of an empty database on that server."""
    with server.database() as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def folder(request, tmp_path):
    """A folder with no record yet, once for each database podium keeps records in."""
    if request.param == "postgresql":
        projects.use(tmp_path, request.getfixturevalue("database"))
    return tmp_path


@pytest.fixture
def ledger(folder):
    """An empty record, once in each database."""
    found = projects.open_ledger(folder)
    yield found
    found.close()


@pytest.fixture
def sqlite_ledger(tmp_path):
    """An empty record in an SQLite file."""
    found = projects.open_ledger(tmp_path)
    yield found
    found.close()


@pytest.fixture(scope="session")
def tracked(ladder):
    """An MLflow database that is only read."""
    folder = ladder.kept("tracked", lambda place: foreign.tracked(place / "mlflow.db"))
    return folder / "mlflow.db"


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 16 MiB that only this test writes to."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=16m", "podium-test", str(place)]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("no mount command")
    if done.returncode:
        pytest.skip(f"cannot mount a small disk: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture(scope="session")
def searched(ladder):
    """An Optuna database that is only read."""
    folder = ladder.kept("study", lambda place: foreign.database(place / "study.db"))
    return folder / "study.db"

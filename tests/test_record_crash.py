"""Two hundred kills of a program that fills a record: what was acknowledged stays, all else too."""

import json
import shutil
from contextlib import ExitStack

import pytest

import crash_rounds
import failpoints
import projects
import quick
from crash_rounds import ANY, kill_all, show
from podium.steps.trials import baselines
from projects import query

pytestmark = pytest.mark.slow

# Kills at each place, and how often a place is passed at most before one.
KILLS = {
    "before a start is written": (25, 3),
    "in training": (25, 4),
    "while a worker is busy": (12, 2),
    "inside an end": (40, 24),
    "between commit and files": (40, 12),
    "in an artefact's rename": (30, 6),
    ANY: (28, 0),
}
# On a server a round takes longer, and what is above podium's tables is the same.
KILLS_ON_A_SERVER = {name: (3 if name != ANY else 2, turns) for name, (_, turns) in KILLS.items()}


@pytest.fixture(scope="module")
def blank(tmp_path_factory):
    return crash_rounds.blank(tmp_path_factory.mktemp("blank"), **failpoints.SETTINGS)


@pytest.fixture(scope="module")
def undisturbed(blank, children, tmp_path_factory):
    """What the program leaves when nobody kills it, and how long it takes."""
    series = Series(children, blank, tmp_path_factory.mktemp("undisturbed"))
    found = series.undisturbed()
    assert len(series.ended) + len(series.logged) > 30
    return found


class Series(crash_rounds.Series):
    """What each process acknowledged is there after the next ones too."""

    program = "failpoints:work"

    def __init__(self, *given):
        super().__init__(*given)
        self.ended: dict[str, str] = {}
        self.logged: set[str] = set()

    def look(self, child):
        """Remember what was acknowledged, and look whether it is there."""
        for line in child.told:
            what, name, *score = line.split()
            if what == "ended":
                # One that ended does not end again.
                assert name not in self.ended
                self.ended[name] = score[0]
            elif what == "logged":
                assert name not in self.logged
                self.logged.add(name)
        if (self.root / "podium.db").exists() or not self.is_sqlite:
            self.assert_whole()

    @property
    def is_sqlite(self):
        return projects.url_of(self.root).startswith("sqlite")

    def assert_whole(self):
        """The record opens, is whole, has all that was acknowledged, and nothing twice."""
        projects.open_ledger(self.root, "p-small").close()
        if self.is_sqlite:
            assert query(self.root, "PRAGMA integrity_check") == [{"integrity_check": "ok"}]
        rows = query(self.root, "SELECT id, run_id, state, score, origin FROM trial")
        complete = {row["id"]: repr(row["score"]) for row in rows if row["state"] == "complete"}
        assert self.ended.items() <= complete.items()
        names = [row["run_id"] for row in rows if row["run_id"]]
        assert self.logged <= set(names)
        assert len(set(names)) == len(names)
        # An end is there with all its epochs and results, or not at all.
        # A forecast that equals the no-change forecast has no p-value against it.
        counts = (("score", {7}, {1}, {0}), ("result", {7, 8}, {5, 6}, {1}))
        for table, of_quick, of_baseline, of_logged in counts:
            counted = query(
                self.root,
                f"""SELECT t.family, t.state, count(r.trial_id) AS n FROM trial t
                    LEFT JOIN {table} r ON r.trial_id = t.id GROUP BY t.id, t.family, t.state""",
            )
            wanted = dict.fromkeys(baselines.families("forecast"), of_baseline)
            wanted |= {quick.NAME: of_quick, "toto": of_logged}
            for row in counted:
                whole = wanted[row["family"]] if row["state"] == "complete" else {0}
                assert row["n"] in whole, (table, row)
        box = query(self.root, "SELECT subject_id FROM outbox WHERE kind = 'trial'")
        assert sorted(row["subject_id"] for row in box) == sorted(complete)
        ids = [line["id"] for line in log_of(self.root)]
        assert len(set(ids)) == len(ids)
        runs = [run["run_id"] for run in sweep_of(self.root)]
        assert len(set(runs)) == len(runs)
        active = self.root / "models" / "active_model.txt"
        assert not active.exists() or projects.Path(active.read_text().strip()).is_file()

    def told(self):
        return told(self.root)

    def finish(self, expected):
        super().finish(expected)
        child = self.children.run("failpoints:examine", self.root)
        assert (child.code, child.error, child.told) == (0, "", [])
        assert list((self.root / ".podium").glob("work/*")) == []
        assert list((self.root / "models" / "registry").glob(".*")) == []


def log_of(root):
    """Lines of the users' log that can be read; the last one may be torn until the next time."""
    path = root / "experiments" / "experiments_log.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    found = []
    for number, line in enumerate(lines):
        try:
            found += [json.loads(line)] if line.strip() else []
        except ValueError:
            assert number == len(lines) - 1, line
    return found


def sweep_of(root):
    path = root / "hyperparams" / "sweep_results.json"
    return json.loads(path.read_text())["runs"] if path.exists() else []


def told(root):
    """Everything the record and its files say that does not depend on clocks, ids and processes."""
    mine = "FROM trial t {} WHERE t.origin = ''"
    best = json.loads((root / "experiments" / "best_config.json").read_text())
    active = (root / "models" / "active_model.txt").read_text().strip()
    lines = [line for line in log_of(root) if not line["phase"].endswith("summary")]
    facts = ("phase", "config", "final_val_loss", "state", "best_epoch", "seed", "family", "metric")
    runs = [(r["model_name"], r["hyperparams"], r["metrics"]) for r in sweep_of(root)]
    return {
        "trials": query(
            root,
            "SELECT key, run_id IS NULL AS nameless, config, fold, seed, state, score, epochs, "
            "best_epoch, loss_hash, prediction_hash, artifact_hash, checkpoint "
            f"{mine.format('')} ORDER BY key",
        ),
        "epochs": query(
            root,
            "SELECT t.key, s.part, s.epoch, s.metric, s.value "
            f"{mine.format('JOIN score s ON s.trial_id = t.id')} ORDER BY 1, 2, 3, 4",
        ),
        "results": query(
            root,
            "SELECT t.key, r.metric, r.value "
            f"{mine.format('JOIN result r ON r.trial_id = t.id')} ORDER BY 1, 2",
        ),
        "asked": query(
            root,
            "SELECT s.key AS study, l.phase, l.number, t.key FROM study_trial l "
            "JOIN trial t ON t.id = l.trial_id JOIN study s ON s.id = l.study_id "
            "WHERE t.origin = '' ORDER BY 1, 2, 3",
        ),
        "logged": query(
            root,
            "SELECT t.config, r.metric, r.value FROM trial t JOIN result r ON r.trial_id = t.id "
            "WHERE t.origin = 'tracker' ORDER BY 1, 2",
        ),
        "log": sorted(json.dumps({name: line[name] for name in facts}) for line in lines),
        "sweep": sorted(json.dumps(run) for run in runs),
        "best": (best["config"], best["final_val_loss"]),
        "active": projects.Path(active).relative_to(root).as_posix(),
        "store": sorted(path.name for path in (root / "models" / "registry").iterdir()),
    }


def test_two_hundred_kills_lose_nothing_that_was_acknowledged(
    blank, undisturbed, children, tmp_path, capsys
):
    had = kill_all(KILLS, lambda name: Series(children, blank, tmp_path / name), undisturbed)
    show(capsys, "a writer, SQLite", had)
    assert had[0].total() >= 200
    assert min(had[0].values()) >= 10


def test_twenty_kills_lose_nothing_that_a_server_acknowledged(
    server, blank, undisturbed, children, tmp_path, capsys
):
    with ExitStack() as databases:

        def on_the_server(name):
            series = Series(children, blank, tmp_path / name)
            url = databases.enter_context(server.database())
            projects.configure(series.root, **failpoints.SETTINGS, ledger={"url": url})
            projects.open_ledger(series.root, "p-small").close()
            return series

        had = kill_all(KILLS_ON_A_SERVER, on_the_server, undisturbed)
    show(capsys, "a writer, PostgreSQL", had)
    assert had[0].total() >= 20


@pytest.mark.parametrize("free", [0, 16, 512, 768, 1024, 1280, 1536, 1664, 1792, 1920])
def test_a_disk_that_fills_up_stops_the_program_with_a_sentence_and_loses_nothing(
    small_disk, blank, undisturbed, children, free
):
    series = Series(children, blank, small_disk)
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * (shutil.disk_usage(small_disk).free - free * 1024))
    child = children.run("failpoints:or_say", "work", series.root)
    assert child.code == 0, child.error
    # Where only the files beside the record have no room, the work is done and that is said.
    # A tracker prints warnings with a prefix, the logger of a session without one.
    warned = ("podium: warning: ", "the files beside the record were not updated: ", "the log ")
    assert [line for line in child.error.splitlines() if not line.startswith(warned)] == []
    stopped = [line for line in child.told if line.startswith("stopped")]
    # How much the work needs changes with the code; that it needs more than this does not.
    assert stopped or free > 256
    for line in stopped:
        _, code, sentence = line.split(maxsplit=2)
        assert code == "7"
        assert "space" in sentence
    ballast.unlink()
    series.look(child)
    series.finish(undisturbed[0])

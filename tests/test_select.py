"""The selection of a run on record, and the path of its model."""

import json
import os
import pty
import re
import select as waiting
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import podium
import projects
from ladder import copied
from podium.cli.main import run
from podium.errors import DataError, NotFoundError, UsageError
from podium.steps.search.select import FILE, export, select
from podium.steps.search.sweep import sweep
from podium.steps.workspace.session import open_project
from podium.tracker import HyperparamTracker
from projects import SLOT

OTHER = "us4/D/other"
# Seconds to wait for a terminal's output.
PATIENCE = 60


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A project with eight runs of two families, each with its model."""
    slot = projects.SMALL["slots"][SLOT]
    root = projects.small_project(
        tmp_path_factory.mktemp("select") / "small",
        slots={
            SLOT: {"families": ["ridge", "naive"]},
            OTHER: {**slot, "horizon": 3, "families": ["ridge"]},
        },
    )
    with open_project(root) as project:
        sweep(project, SLOT, "full", max_runs=6)
    return root


@pytest.fixture
def root(swept, tmp_path, monkeypatch):
    root = copied(swept, tmp_path / "small")
    monkeypatch.chdir(root)
    return root


def selected(root, slot=None, **how):
    with open_project(root) as project:
        return select(project, slot, **how)


def shown(capsys, *words, code=0):
    """Standard output and standard error of ``podium select``."""
    capsys.readouterr()
    assert run(["select", *words]) == code
    return capsys.readouterr()


def test_the_ranking_is_the_trackers(swept):
    tracker = HyperparamTracker(swept)
    for metric in ("val_mse", "val_r2", "val_mae"):
        for model in (None, "naive"):
            mine = selected(swept, metric=metric, model=model or "", top_k=4).runs
            theirs = tracker.get_top_k_models(4, metric, model, slot=SLOT)
            assert [run.run_id for run in mine] == [run.run_id for run in theirs]
            assert [run.checkpoint_path for run in mine] == [run.checkpoint_path for run in theirs]
    values = [run.metrics["val_r2"] for run in selected(swept, metric="val_r2").runs]
    assert values == sorted(values, reverse=True)
    with podium.open(swept) as project:
        assert project.slot(SLOT).select(top_k=2).frame()["rank"].tolist() == [1, 2]


def test_the_path_is_printed_alone_and_opens_the_model(root, capsys):
    out, _ = shown(capsys, "--model", "ridge", "--export-path")
    path = out.removesuffix("\n")
    assert path == (root / FILE).read_text()
    model = podium.load_model(path)
    best = selected(root, model="ridge").best
    assert (model.manifest["family"], model.manifest["config"]) == ("ridge", best.hyperparams)
    shown(capsys, "--metric", "val_mae", "--export-path", "--json")
    assert podium.load_model((root / FILE).read_text()).manifest["family"] == "naive"


def test_the_table_names_config_metrics_and_model(root, capsys):
    out, err = shown(capsys, "--top-k", "3")
    lines = out.splitlines()
    assert "best run" in lines[0]
    header = lines[2].split()
    assert header[3:5] == ["val_mse", "test_mse"]
    assert [line.split()[0] for line in lines[4:]] == ["1", "2", "3"]
    assert all("models/registry/" in line for line in lines[4:])
    assert "next: podium select us4/D/volatility --export-path" in err
    items = json.loads(shown(capsys, "--json").out)["items"]
    assert len(items) == 5
    assert {"rank", "run_id", "model_name", "hyperparams", "metrics"} <= {*items[0]}
    assert all(Path(item["checkpoint_path"]).exists() for item in items)


def test_an_empty_result_names_what_was_searched_and_a_command(root, tmp_path, capsys):
    out, err = shown(capsys, "--model", "lstm", code=3)
    assert (out, "searched 4 of naive, 2 of ridge" in err) == ("", True)
    assert f"podium sweep {SLOT} --model lstm" in err
    out, err = shown(capsys, "--model", "ridgi", code=3)
    assert "Did you mean 'ridge'" in err
    out, err = shown(capsys, "--metric", "val_mea", "--export-path", code=3)
    assert "Did you mean 'val_mae'? Known: dm_pvalue_vs_naive, naive_mae, val_mae" in err
    out, err = shown(capsys, "--metric", "zest", code=3)
    assert "Known: dm_pvalue_vs_naive, naive_mae, val_mae" in err
    out, err = shown(capsys, OTHER, code=3)
    assert f"podium sweep {OTHER}" in err
    assert not (root / FILE).exists()
    empty = projects.small_project(tmp_path / "empty")
    out, err = shown(capsys, "--project", str(empty), code=3)
    assert (out, "no record yet" in err) == ("", True)
    with pytest.raises(UsageError, match="at least 1"):
        selected(root, top_k=0)
    with pytest.raises(NotFoundError, match="us4/D/volatilty"):
        selected(root, "us4/D/volatilty")


def test_a_path_that_does_not_exist_is_never_printed(root, capsys):
    best, second, *_ = selected(root, model="ridge").runs
    (root / FILE).parent.mkdir(exist_ok=True)
    (root / FILE).write_text("before")
    shutil.rmtree(Path(best.checkpoint_path).parents[1])
    out, err = shown(capsys, "--model", "ridge", "--export-path", code=3)
    assert (out, (root / FILE).read_text()) == ("", "before")
    out, _ = shown(capsys, "--model", "ridge")
    assert "not kept" in out.splitlines()[4]
    # Both ways that the message names give a path.
    kept, again = re.findall(r"podium ((?:select|sweep) .*?)(?:;|\.\n)", err)
    out, _ = shown(capsys, *shlex.split(kept)[1:], "--model", "ridge")
    assert out == f"{second.checkpoint_path}\n"
    assert run(shlex.split(again)) == 0
    new = selected(root, model="ridge", kept=True).best
    assert new.hyperparams == best.hyperparams
    shutil.rmtree(root / "models" / "registry")
    with pytest.raises(NotFoundError, match="no run has a model on disk"):
        selected(root, kept=True)


def test_a_changed_model_is_refused(root):
    with open_project(root) as project:
        selection = select(project, model="ridge")
        Path(selection.best.checkpoint_path).write_text("{}")
        with pytest.raises(DataError):
            export(project, selection)
    assert not (root / FILE).exists()


def test_another_slot_has_a_file_for_its_path(root):
    with open_project(root) as project:
        sweep(project, OTHER)
        selection = select(project, OTHER, export_path=True)
    text = (root / "slots" / OTHER / FILE).read_text()
    assert text == selection.best.checkpoint_path
    assert not (root / FILE).exists()
    # Runs of the other slot are not ranked.
    assert {run.run_id for run in selection.runs}.isdisjoint(
        run.run_id for run in selected(root, SLOT, top_k=50).runs
    )


def test_logged_runs_are_ranked_in_the_direction_of_their_metric(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    plugin = tmp_path / "plugins" / "metrics" / "zest.py"
    with HyperparamTracker(tmp_path / "hyperparams" / "sweep_results.json") as tracker:
        weights = tmp_path / "toto.pt"
        weights.write_bytes(b"weights")
        for size, path in ((8, weights), (16, tmp_path / "gone.pt")):
            metrics = {"val_pct_mae": 1 / size, "val_zest": 1 / size}
            tracker.log_run("toto", {"patch_size": size}, metrics, checkpoint_path=path)
        plugin.parent.mkdir(parents=True)
        plugin.write_text('DIRECTION = "max"\n')
        # The name implies no direction; the metric's file has one.
        assert tracker.get_best_model("val_zest").hyperparams == {"patch_size": 8}
    out, _ = shown(capsys, "--metric", "val_zest", "--export-path")
    assert out == f"{weights}\n"
    out, err = shown(capsys, "--export-path", code=3)
    assert (out, "gone.pt does not exist" in err) == ("", True)
    assert shown(capsys, "--export-path", "--kept").out == f"{weights}\n"


def test_runs_of_own_code_are_ranked_by_their_metric(tmp_path):
    root = projects.init.init(tmp_path / "own")
    for name, direction in (("valley", "min"), ("hill", "max")):
        podium.search(
            lambda x: (x - 2) ** 2, {"x": [1, 2, 4]}, name=name, direction=direction, trials=3,
            search="grid", project=root,
        )  # fmt: skip
    with open_project(root) as project:
        assert select(project, "valley").best.hyperparams == {"x": 2}
        assert select(project, "own/hill").best.hyperparams == {"x": 4}


def test_results_on_the_test_are_beside_those_on_validation(ladder, tmp_path):
    root = ladder.copy(tmp_path / "small", "judged")
    judged = selected(root, metric="test_mse")
    assert {*judged.rows()[0]} >= {"test_mse", "val_mse"}
    [measured] = projects.query(
        root, "SELECT scalars FROM evidence WHERE kind = 'test' ORDER BY seq DESC LIMIT 1"
    )
    assert judged.best.metrics["test_mse"] == json.loads(measured["scalars"])["loss"][0]
    # This search keeps no models; the candidate made from the config has one.
    with open_project(root) as project:
        model = podium.load_model(export(project, judged))
    assert model.manifest["family"] == "lstm"


class Terminal:
    """A command on a pseudo-terminal."""

    def __init__(self, root, *words):
        self.own, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "podium", *words],
            cwd=root, stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True,
        )  # fmt: skip
        os.close(theirs)
        self.text = ""

    def read_until(self, pattern):
        """Read until the new output matches a pattern; returns that output."""
        new, end = "", time.monotonic() + PATIENCE
        while not re.search(pattern, new):
            assert time.monotonic() < end, new
            if waiting.select([self.own], [], [], 1)[0]:
                try:
                    new += os.read(self.own, 65536).decode()
                except OSError:
                    # Linux reports the end of a terminal as an error.
                    break
        self.text += new
        assert re.search(pattern, new), self.text
        return new

    def type(self, line):
        """Type a line."""
        os.write(self.own, f"{line}\n".encode())

    def close(self):
        """Wait for the end; returns the exit code."""
        try:
            return self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self.process.wait()
            os.close(self.own)


@pytest.mark.slow
def test_a_run_is_chosen_by_its_number_on_a_terminal(root):
    terminal = Terminal(root, "select", "--interactive", "--top-k", "3")
    table = terminal.read_until("Number of a run")
    assert re.search(r"^ *3 ", table, re.MULTILINE)
    terminal.type("9")
    terminal.read_until("(?s)1<=x<=3.*Number of a run")
    terminal.type("2")
    chosen = selected(root).runs[1]
    details = terminal.read_until(re.escape(Path(chosen.checkpoint_path).name) + r"\r\n(.|\n)*\n")
    assert terminal.close() == 0
    whole = terminal.text[terminal.text.index("9") :] + details
    assert chosen.run_id in whole
    assert "training_time_seconds" in whole
    assert (root / FILE).read_text() == chosen.checkpoint_path


@pytest.mark.slow
def test_a_run_without_a_model_is_not_accepted_on_a_terminal(root):
    best = selected(root).best
    shutil.rmtree(Path(best.checkpoint_path).parents[1])
    terminal = Terminal(root, "select", "--interactive")
    terminal.read_until("Number of a run")
    terminal.type("1")
    terminal.read_until("(?s)is not on disk.*Number of a run")
    terminal.type("\x04")
    assert terminal.close() == 130
    assert not (root / FILE).exists()


def test_without_a_terminal_no_question_is_asked(root, capsys):
    out, err = shown(capsys, "--interactive", code=2)
    assert (out, "podium select --export-path" in err) == ("", True)

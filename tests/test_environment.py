"""The recorded code state: no secrets, no influence of git's settings, unknown where unknown."""

import json
import os
import shutil
import subprocess
import tarfile
import zlib

import pytest

from podium.files import write_atomic
from podium.steps.archive import bundle
from podium.steps.archive.backup import backup
from podium.steps.search.own import sweep_command
from podium.steps.search.report import report
from podium.steps.workspace.environment import capture
from podium.steps.workspace.redact import REDACTED, redact
from podium.steps.workspace.session import open_project
from podium.steps.workspace.sync import sync
from podium.tracker import HyperparamTracker
from projects import query, small_project

# A line of code for each kind of secret, and the secret in it.
SECRETS = {
    "password": ('password = "hunter2-{}"', "hunter2-a"),
    "keyword": ('connect(host, user="me", passwd="tiger9-{}")', "tiger9-b"),
    "url": ('URL = "postgresql://me:pwd9{}@db.example.org/x"', "pwd9c"),
    "aws": ('AWS = "AKIAIOSFODNN7EXAMPL{}"', "AKIAIOSFODNN7EXAMPLD"),
    "aws secret": ('x = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLE{}"', "wJalrXUtnFEMI/K7MDENG"),
    "github": ('gh = "ghp_16C7e42F292c6912E7710c838347Ae178B4{}"', "ghp_16C7e42F292c"),
    "bearer": ('headers = {{"Authorization": "Bearer abcd{}"}}', "abcdg"),
    "jwt": ('j = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0{}"', "eyJhbGciOiJIUzI1NiJ9"),
    "hex": ('h = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1{}"', "9f86d081884c7d65"),
    "environ": ('os.environ["API_TOKEN"] = "tok-{}"', "tok-j"),
    "wrapped": ('secret = (\n    "wrapped-{}"\n)', "wrapped-k"),
    "key block": (
        'pem = """\n-----BEGIN RSA PRIVATE KEY-----\nMIIEow{}\n-----END RSA PRIVATE KEY-----\n"""',
        "MIIEowl",
    ),
    "option": ('run("fetch --token fetch-{}")', "fetch-m"),
    "call": ('client.set_password("called-{}")', "called-n"),
    "query": ('u = "https://example.org/x?access_key=q-{}&y=1"', "q-o"),
}


def lines_of_secrets():
    marks = ["a", "b", "c", "D", *"efghijklmno"]
    return [line.format(m) for (line, _), m in zip(SECRETS.values(), marks, strict=True)]


def git(root, *words):
    subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *words],
        cwd=root,
        check=True,
        capture_output=True,
    )


def commit(root):
    git(root, "init")
    git(root, "add", ".")
    git(root, "commit", "-m", "first")


@pytest.fixture
def repository(tmp_path):
    """A committed folder with a plugin, a script and other files."""
    for name in ("plugins/features/mine.py", "train.py", ".env", "other.py"):
        write_atomic(tmp_path / name, "x = 1\n")
    commit(tmp_path)
    return tmp_path


def test_redaction_removes_secrets_and_leaves_code():
    for line, (_, secret) in zip(lines_of_secrets(), SECRETS.values(), strict=True):
        diff = "\n".join("+" + part for part in line.split("\n"))
        assert secret in diff
        assert secret not in redact(diff), line
        assert REDACTED in redact(diff)
    code = """@@ -1,3 +1,3 @@ def compute(view):
 def compute(view, window=20):
-    total = sorted(view.past, key=lambda bar: bar.time)
+    mapping = {"learning_rate": 0.0003, "units": [32, 64]}
     return np.log(view.close[1:] / view.close[:-1]).mean()
"""
    assert redact(code) == code.replace(" def compute(view):\n", "\n", 1)


@pytest.mark.filterwarnings("default")
def test_secrets_are_in_no_record_bundle_backup_log_report_or_mlflow(tmp_path, empty_store):
    root = small_project(tmp_path / "small")
    shutil.copy(empty_store, root)
    names = ("plugins/features/mine.py", "train.py", ".env", "other.py")
    write_atomic(root / ".gitignore", "podium.db*\n.podium\n")
    for name in names:
        write_atomic(root / name, "print(1)\nprint('{\"val_loss\": 1}')\n")
    commit(root)
    secrets = "\n".join(f"# {part}" for line in lines_of_secrets() for part in line.split("\n"))
    for name in names:
        write_atomic(root / name, f"print(2)\nprint('{{\"val_loss\": 2}}')\n{secrets}\n")
    # Variants that are no comments.
    with (root / "plugins/features/mine.py").open("a") as plugin:
        plugin.write("\n".join(lines_of_secrets()))
    with open_project(root) as project:
        sweep_command(project, "python train.py .env", {"lr": [0.1, 0.2]}, "val_loss")
        backup(project, tmp_path / "b.tar")
        bundle.write(project, tmp_path / "bundle.tar")
        report(project, "own/train")
    with open_project(root, settings={"mlflow.enabled": True}) as project:
        assert sync(project).is_whole
    with HyperparamTracker(root / "hyperparams" / "sweep_results.json") as tracker:
        tracker.log_run("toto", {}, {"val_loss": 1.0})
    [row] = query(
        root,
        "SELECT DISTINCT e.code_diff_hash FROM trial t JOIN environment e "
        "ON e.hash = t.environment_hash WHERE t.run_id IS NULL OR t.family = 'train'",
    )
    [blob] = query(root, "SELECT data FROM blob WHERE hash = ?", row["code_diff_hash"])
    diff = zlib.decompress(blob["data"]).decode()
    assert "+print(2)" in diff
    assert "b/plugins/features/mine.py" in diff
    assert "b/train.py" in diff
    assert "other.py" not in diff
    assert "b/.env" not in diff
    files = [p for p in root.rglob("*") if p.is_file()]
    assert {path.suffix for path in files} >= {".db", ".md", ".html", ".csv"}
    texts = [p.read_bytes() for p in files if p.relative_to(root).as_posix() not in names]
    blobs = query(root, "SELECT data FROM blob WHERE dtype = 'text'")
    texts += [zlib.decompress(row["data"]) for row in blobs]
    with tarfile.open(tmp_path / "bundle.tar") as tar:
        texts += [tar.extractfile(entry).read() for entry in tar]
    for _, secret in SECRETS.values():
        assert not any(secret.encode() in text for text in texts), secret


@pytest.mark.slow
def test_settings_of_git_change_nothing_of_a_diff_with_latin_1_bytes(repository):
    (repository / "train.py").write_bytes(b"x = '\xe9'\n")
    (repository / "plugins/features/mine.py").write_text("x = 2\n\n\ny = 3\n")
    plain = capture(repository, scripts=["train.py"])
    assert plain["git_dirty"] is True
    assert "+x = '\ufffd'" in plain["code_diff"]
    for setting in (
        "diff.external=false", "color.ui=always", "color.diff=always", "diff.noprefix=true",
        "diff.mnemonicPrefix=true", "diff.context=9", "diff.relative=true", "diff.renames=copies",
        "diff.algorithm=patience", "diff.suppressBlankEmpty=true", "core.abbrev=5",
    ):  # fmt: skip
        name, _, value = setting.partition("=")
        git(repository, "config", name, value)
        changed = capture(repository, scripts=["train.py"])
        assert changed == plain, setting


def test_the_environment_of_git_changes_nothing(repository, monkeypatch):
    (repository / "train.py").write_text("x = 2\n")
    plain = capture(repository)
    monkeypatch.setenv("GIT_DIFF_OPTS", "--unified=0")
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", "false")
    assert capture(repository) == plain
    assert plain["git_diff_hash"]


def test_whether_code_is_changed_is_unknown_where_git_does_not_answer(
    repository, tmp_path, monkeypatch
):
    assert capture(repository)["git_dirty"] is False
    script = tmp_path / "bin" / "git"
    write_atomic(script, '#!/bin/sh\ncase "$*" in *rev-parse*) echo abc;; *) exit 1;; esac\n')
    script.chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")
        facts = capture(repository)
        assert (facts["git_commit"], facts["git_dirty"], facts["git_diff_hash"]) == (
            "abc",
            None,
            None,
        )
        with HyperparamTracker(repository / "hyperparams" / "sweep_results.json") as tracker:
            tracker.log_run("toto", {}, {"val_loss": 1.0})
            [run] = tracker.runs
    assert run.git_dirty is None
    runs = json.loads((repository / "hyperparams" / "sweep_results.json").read_text())["runs"]
    assert runs[0]["git_dirty"] is None
    monkeypatch.setenv("PATH", "")
    assert capture(repository)["git_dirty"] is None

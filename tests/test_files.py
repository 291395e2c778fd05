"""Files that appear whole or not at all, and locks that die with their process."""

import csv
import errno
import io
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import podium
from podium.errors import ConflictError, DataError
from podium.files import csv_text, full_disk_explained, lock, write_atomic

HOLD = """
import pathlib, sys, time
from podium.files import lock
with lock(pathlib.Path(sys.argv[1]), "podium tune for us4/D/return"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds ``tmp_path / "a.lock"``."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "a.lock")],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_written_file_has_the_content_and_nothing_lies_beside_it(tmp_path):
    target = tmp_path / "deep" / "er" / "a.json"
    write_atomic(target, "für\n")
    assert target.read_bytes() == b"f\xc3\xbcr\n"
    write_atomic(target, b"\x00\xff")
    assert target.read_bytes() == b"\x00\xff"
    assert list(target.parent.iterdir()) == [target]


def test_a_write_that_cannot_be_renamed_in_leaves_the_old_file(tmp_path):
    target = tmp_path / "a.json"
    # A folder in the target's place is a rename that fails after the bytes were written.
    target.mkdir()
    (target / "old").write_text("old")
    with pytest.raises(OSError):
        write_atomic(target, "new")
    assert (target / "old").read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_write_that_runs_out_of_room_leaves_the_old_file(tmp_path):
    target = tmp_path / "a.json"
    write_atomic(target, "old")
    # In a child process, because a limit on the size of files cannot be lifted again.
    code = (
        "import pathlib, resource, signal, sys\n"
        "from podium.files import write_atomic\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "write_atomic(pathlib.Path(sys.argv[1]), 'n' * 100_000)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(target)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert "File too large" in done.stderr
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_what_a_killed_writer_left_is_cleared_away_once_nobody_can_be_at_it(tmp_path):
    left, fresh = tmp_path / ".a.json.123.tmp", tmp_path / ".a.json.456.tmp"
    other = tmp_path / ".b.json.123.tmp"
    for path in (left, fresh, other):
        path.write_text("half")
    for path in (left, other):
        os.utime(path, (0, 0))
    write_atomic(tmp_path / "a.json", "whole")
    assert sorted(tmp_path.iterdir()) == [fresh, other, tmp_path / "a.json"]


def test_a_second_holder_is_refused_and_told_who_is_first(holder, tmp_path):
    with (
        pytest.raises(ConflictError, match=rf"podium tune for us4/D/return.*{holder.pid}"),
        lock(tmp_path / "a.lock", "second"),
    ):
        pass


def test_who_has_patience_gets_the_lock_when_the_holder_ends(holder, tmp_path):
    with (
        pytest.raises(ConflictError, match="podium tune for us4/D/return"),
        lock(tmp_path / "a.lock", "second", patience=0.05),
    ):
        pass
    threading.Timer(0.1, holder.kill).start()
    with lock(tmp_path / "a.lock", "second", patience=30):
        assert "second" in (tmp_path / "a.lock").read_text()


def test_being_refused_does_not_rename_the_holder(holder, tmp_path):
    for _ in range(2):
        with (
            pytest.raises(ConflictError, match="podium tune for us4/D/return"),
            lock(tmp_path / "a.lock", "second"),
        ):
            pass


def test_a_lock_is_free_after_its_holder_was_killed(holder, tmp_path):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with lock(tmp_path / "a.lock", "second"):
        assert (tmp_path / "a.lock").read_text() == f"second (process {os.getpid()})"


def test_a_lock_is_free_again_after_an_error_inside_it(tmp_path):
    with pytest.raises(ZeroDivisionError), lock(tmp_path / "a.lock", "first"):
        raise ZeroDivisionError
    with lock(tmp_path / "a.lock", "second"):
        pass


def test_one_process_cannot_hold_a_lock_twice(tmp_path):
    with (
        lock(tmp_path / "a.lock", "first"),
        pytest.raises(ConflictError, match="first"),
        lock(tmp_path / "a.lock", "second"),
    ):
        pass


def test_a_program_started_under_a_lock_does_not_keep_it(tmp_path):
    with lock(tmp_path / "a.lock", "first"):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        with lock(tmp_path / "a.lock", "second"):
            pass
    finally:
        child.kill()
        child.wait()


def test_a_full_or_read_only_disk_is_told_in_a_sentence_and_other_errors_pass(tmp_path):
    for code in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
        with pytest.raises(DataError, match=str(tmp_path)), full_disk_explained(tmp_path):
            raise OSError(code, os.strerror(code))
    with pytest.raises(FileNotFoundError), full_disk_explained(tmp_path):
        Path(tmp_path / "nowhere").read_text()


CELLS = st.one_of(
    st.text(st.characters(exclude_categories=("Cs", "Cc"))),
    st.sampled_from(["=1+1", "+1", "-1.5", "@SUM(A1)", "=", "-"]),
    st.integers(),
    st.floats(allow_nan=False),
    st.none(),
)


@given(st.lists(st.lists(CELLS, min_size=2, max_size=4), min_size=1))
def test_no_text_in_a_csv_is_a_formula_and_nothing_else_is_changed(rows):
    for row, read in zip(rows, csv.reader(io.StringIO(csv_text(rows))), strict=True):
        for cell, found in zip(row, read, strict=True):
            if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@")):
                assert found == f"'{cell}"
            else:
                assert found == ("" if cell is None else str(cell))


def test_numbers_below_zero_stay_numbers():
    assert csv_text([["a", "b"], [-1.5, "-1.5"], [-2, "x"]]) == "a,b\n-1.5,'-1.5\n-2,x\n"


def test_csv_is_written_in_one_place_only():
    writes = re.compile(r"csv\.(Dict)?[wW]riter|\.to_csv\(")
    folder = Path(podium.__file__).parent
    found = [p.name for p in folder.rglob("*.py") if writes.search(p.read_text("utf-8"))]
    assert found == ["files.py"]

"""What people see while a command is at work: a bar on a terminal, else one plain line a minute."""

import math
import os
import pty
import re
import select
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from podium.cli import output
from podium.cli.output import Output
from podium.steps.trials import execute
from podium.steps.workspace import log as _log
from podium.steps.workspace.log import Log


class Clock:
    """Time that passes when somebody says so."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    found = Clock()
    monkeypatch.setattr(output.time, "monotonic", found)
    # Nobody repeats anything by another clock.
    monkeypatch.setattr(threading.Thread, "start", lambda self: None)
    return found


def test_off_a_terminal_there_is_one_plain_line_a_minute(clock, capsys):
    out = Output()
    for done in range(1, 31):
        clock.now += 10.0
        out.progress("us4: tune", done, 30, f"best 0.{done:02}")
    out.finish()
    told = capsys.readouterr().err
    assert told.splitlines() == [
        "us4: tune 6/30, best 0.06, 4 min left",
        "us4: tune 12/30, best 0.12, 3 min left",
        "us4: tune 18/30, best 0.18, 2 min left",
        "us4: tune 24/30, best 0.24, 60 s left",
    ]
    assert "\r" not in told


def test_a_trial_that_takes_hours_is_told_of_every_minute(clock, capsys):
    out = Output()
    out.progress("us4: tune", 1, 3, "best 0.2")
    for _ in range(181):
        clock.now += 1.0
        out.repeat_progress()
    assert capsys.readouterr().err.splitlines() == ["us4: tune 1/3, best 0.2"] * 3
    out.progress("us4: tune", 3, 3)
    clock.now += 500.0
    out.repeat_progress()
    assert capsys.readouterr().err == ""


def test_work_whose_first_piece_takes_long_is_told_of_from_its_beginning(clock, capsys):
    out = Output()
    out.begins("us4: tune", 4)
    clock.now += 60.0
    out.repeat_progress()
    clock.now += 60.0
    out.progress("us4: tune", 1, 4, "6 min left")
    told = capsys.readouterr().err.splitlines()
    assert told == ["us4: tune 0/4", "us4: tune 1/4, 6 min left"]


def test_nothing_is_told_of_what_is_over_or_by_who_is_quiet(clock, capsys):
    for out in (Output(), Output(quiet=True)):
        out.progress("us4: tune", 1, 3)
        if not out.quiet:
            out.finish()
        clock.now += 500.0
        out.repeat_progress()
    assert capsys.readouterr().err == ""


def test_who_repeater_ends_with_the_work(monkeypatch, capsys):
    monkeypatch.setattr(output, "LINE_EVERY_SECONDS", 0.02)
    out = Output()
    out.progress("us4: tune", 1, 3)
    time.sleep(0.2)
    out.finish()
    out._repeater.join(10)
    assert not out._repeater.is_alive()
    told = capsys.readouterr().err.splitlines()
    assert len(told) > 1
    assert set(told) == {"us4: tune 1/3"}


def test_in_a_log_progress_is_one_line_a_minute_too(tmp_path, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(_log.time, "monotonic", clock)
    log = Log(tmp_path, print)
    log.verb = "tune"
    log.folder.mkdir()
    log.id, log._file = _log._made(log.folder, "tune")
    log.enter("us4")
    log._progress_at = clock.now
    for done in range(1, 31):
        clock.now += 10.0
        log.progress("us4: tune", done, 30, "best 0.1")
    log.end(None)
    text = (log.folder / f"{log.id}.log").read_text()
    told = re.findall(r" us4 - (tune \d+/30, best 0\.1)$", text, re.MULTILINE)
    assert told == [f"tune {done}/30, best 0.1" for done in (6, 12, 18, 24, 30)]
    assert "\r" not in text


PROGRAM = """
import sys, time
from podium.cli.output import Output
out = Output()
for done in range(4):
    out.progress("us4: tune", done, 3, "best 0.1234")
    time.sleep(0.05)
    if done == 1:
        out.say("us4: news")
out.finish()
print("answer")
"""


def on_terminal(*command):
    """What a program writes to a terminal of 60 columns."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command, stdout=theirs, stderr=theirs, env={**os.environ, "COLUMNS": "60"}
    )
    os.close(theirs)
    written = b""
    while select.select([ours], [], [], 60)[0]:
        try:
            part = os.read(ours, 4096)
        except OSError:
            break
        if not part:
            break
        written += part
    os.close(ours)
    assert process.wait(60) == 0
    return written.decode()


def screen(written):
    """Lines that are left on the screen, and all that a line ever showed."""
    shown, line = [], ""
    for part in re.split(r"([\r\n])", written):
        if part == "\n":
            shown.append(line.rstrip())
            line = ""
        elif part not in ("\r", ""):
            line = part + line[len(part) :]
    return [*shown, line.rstrip()]


def test_on_a_terminal_a_bar_tells_the_time_left_and_leaves_no_trace():
    written = on_terminal(sys.executable, "-c", PROGRAM)
    bars = re.findall(r"\[[#.]{20}\][^\r]*", written)
    assert len(bars) == 4
    assert bars[0].startswith("[....................] us4: tune 0/3, best 0.1234")
    assert re.search(r"\[#{13}\.{7}\] us4: tune 2/3, best 0\.1234, \d+ s left", bars[2])
    assert all(len(bar) < 60 for bar in bars)
    assert screen(written.replace("\r\n", "\n")) == ["us4: news", "answer", ""]


def test_trials_on_record_count_as_done_and_say_nothing_of_the_time_left(clock, capsys):
    out = Output()
    project = SimpleNamespace(
        reporter=out, tell=lambda **facts: None, stop_request=SimpleNamespace(seconds_left=math.inf)
    )
    progress = execute.Progress(project, "us4: tune", 6)
    for _ in range(3):
        clock.now += 60.0
        progress(0.2)
    for _ in range(2):
        clock.now += 90.0
        progress(0.1, trained=True)
    assert capsys.readouterr().err.splitlines() == [
        "us4: tune 1/6, best 0.2",
        "us4: tune 2/6, best 0.2",
        "us4: tune 3/6, best 0.2",
        "us4: tune 4/6, best 0.1, 3 min left",
        "us4: tune 5/6, best 0.1, 90 s left",
    ]

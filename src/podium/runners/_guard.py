"""Becomes a command whose whole process group dies with the worker that started it.

Run by its path, before podium is imported: ``python _guard.py DESCRIPTOR COMMAND ...``. The
descriptor is the reading end of a pipe that only the worker writes to, and it never does: when the
worker is gone, however it ended, the pipe ends. One process of the command's group waits for that.
"""

import os
import signal
import sys


def main() -> None:
    """Leave a guard behind and become the command."""
    pipe, command = int(sys.argv[1]), sys.argv[2:]
    # Twice, so that the guard is nobody's child: a command may wait for all of its own.
    child = os.fork()
    if child == 0:
        if os.fork() == 0:
            _guard(pipe)
        os._exit(0)
    os.waitpid(child, 0)
    os.close(pipe)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.stderr.write(f"{command[0]} cannot be run: {error.strerror}\n")
        os._exit(127)


def _guard(pipe: int) -> None:
    """Wait until the worker is gone, then end everybody."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        # What listens to the command must not wait for its guard.
        os.dup2(nowhere, descriptor)
    os.read(pipe, 1)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()

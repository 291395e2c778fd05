"""Run a command whose process group is killed when the worker that started it ends.

Started by its path, without importing podium: ``python _guard.py DESCRIPTOR COMMAND ...``. The
descriptor is the reading end of a pipe whose only writer is the worker, which never writes: the
pipe ends with the worker. One process of the command's group waits for that end.
"""

import os
import signal
import sys


def main() -> None:
    """Fork the guard, then replace this process by the command."""
    pipe, command = int(sys.argv[1]), sys.argv[2:]
    # Twice, so that the guard is no child of the command, which may wait for all its children.
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
    """Wait until the worker ends, then kill the process group."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        # A reader of the command's output must not wait for the guard.
        os.dup2(nowhere, descriptor)
    os.read(pipe, 1)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()

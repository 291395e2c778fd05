"""Entry point: fast paths of help and ``resolve``, lazy verbs, exit codes."""

from __future__ import annotations

import errno
import sys

from podium.cli import streams
from podium.errors import PodiumError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

INTERRUPTED = 130


def main() -> NoReturn:
    """Run the command line and exit with its code."""
    sys.unraisablehook = _repeat_interrupt
    streams.open_all()
    sys.exit(streams.close(run(sys.argv[1:])))


def run(arguments: list[str]) -> int:
    """Exit code of one command line; see docs/cli.md for what each means."""
    debug = "--debug" in arguments
    arguments = [a for a in arguments if a != "--debug"]
    try:
        # Fast paths without click: the overview and resolve.
        if not arguments or arguments[0] in ("-h", "--help") or arguments == ["help"]:
            from podium.cli.overview import overview

            print(overview())
            return 0
        if _is_plain_resolve(arguments):
            from podium import resolve

            return resolve.main(arguments[1:])
        from podium.cli.group import invoke

        if arguments[0] == "help":
            arguments = [*arguments[1:], "--help"]
        return invoke(arguments)
    except PodiumError as error:
        if debug:
            _trace()
        for problem in error.problems:
            # No line of a quoted text looks like one of podium.
            _say(f"podium: {problem}".replace("\n", "\n  "))
        _say_notes(error)
        return error.exit_code
    except KeyboardInterrupt as interrupted:
        _say("podium: interrupted; finished work is on record, and the same command continues")
        _say_notes(interrupted)
        return INTERRUPTED
    except streams.OutputError as error:
        return streams.end(error)
    except BrokenPipeError as error:
        return streams.end(error)
    except Exception as error:  # noqa: BLE001 - a user sees a sentence, never a traceback
        if debug:
            _trace()
        elif isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            _say(f"podium: the file name {str(error.filename)[:60]}... is too long")
            return 2
        else:
            _say(f"podium: a bug in podium: {type(error).__name__}: {error}")
            _say("  The record is intact. The same command with --debug prints the traceback.")
        _say_notes(error)
        return 1


def _repeat_interrupt(lost: sys.UnraisableHookArgs) -> None:
    """Send Ctrl-C again where Python lost one.

    Python only prints an interrupt that arrives in one of its callbacks, such as an import lock's.
    """
    if lost.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(lost)
        return
    import signal
    import threading

    main_thread = threading.main_thread().ident or 0
    threading.Timer(0.05, signal.pthread_kill, (main_thread, signal.SIGINT)).start()


def _is_plain_resolve(arguments: list[str]) -> bool:
    """Whether the command is ``resolve SLOT`` with flags that need no parser."""
    if arguments[:1] != ["resolve"]:
        return False
    rest = [a for a in arguments[1:] if a != "--json"]
    if "--project" in rest[:-1]:
        place = rest.index("--project")
        del rest[place : place + 2]
    return len(rest) == 1 and not rest[0].startswith("-")


def _trace() -> None:
    import traceback

    traceback.print_exc()


def _say_notes(error: BaseException) -> None:
    """Print the notes of an error, such as the id of its log."""
    for note in getattr(error, "__notes__", ()):
        _say(note)


def _say(text: str) -> None:
    print(streams.printable(text), file=sys.stderr)

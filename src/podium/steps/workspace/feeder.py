"""Start of the processes that feed MLflow: ``python -m podium.steps.workspace.feeder ROOT``."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main(root: Path) -> None:
    """Exit at once and send from a detached process, so that no step waits for it."""
    if os.fork():
        os._exit(0)
    # Not before: the step waits for the process that has just left.
    from podium.steps.workspace.feeding import feed

    feed(root)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

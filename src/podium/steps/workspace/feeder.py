"""Start of the processes that feed MLflow: ``python -m podium.steps.workspace.feeder ROOT``."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main(root: Path) -> None:
    """Leave at once, and feed as nobody's child: a step must be able to forget what it started."""
    if os.fork():
        os._exit(0)
    # Not before: the step waits for the process that has just left.
    from podium.steps.workspace.feeding import feed

    feed(root)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

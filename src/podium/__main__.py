"""``python -m podium`` is the command ``podium``."""

from podium.cli.main import main

main()

"""Pictures that are blank: to lay one out and draw it takes longer than most tests."""

from __future__ import annotations

import io
from typing import Any

import pytest
from matplotlib.figure import Figure
from PIL import Image

_SAVE = Figure.savefig


def _blank() -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (1, 1)).save(buffer, format="png")
    return buffer.getvalue()


def leave_blank() -> None:
    """Save one pixel in place of each figure in this process."""
    content = _blank()

    def savefig(self: Figure, target: Any, **_: Any) -> None:
        target.write(content)

    Figure.savefig = savefig


def draw(patch: pytest.MonkeyPatch) -> None:
    """Save figures as matplotlib does, until the patch is undone."""
    patch.setattr(Figure, "savefig", _SAVE)

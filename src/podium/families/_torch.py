"""Devices, threads and precision of torch families."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from podium.errors import UsageError

DEVICES = ("cpu", "cuda", "mps", "auto")


def device_of(name: str) -> torch.device:
    """The device of that name, such as ``cuda:1``; ``auto`` is the fastest available one.

    Raises
    ------
    UsageError
        The device is unknown or not available.
    """
    return torch.device(devices_of(name)[0] if ":" in name or name == "auto" else _available(name))


def devices_of(names: str) -> tuple[str, ...]:
    """Devices for one worker each: ``cuda`` is every GPU, ``cuda:0,cuda:2`` those two.

    Raises
    ------
    UsageError
        A device is not available.
    """
    if names == "auto":
        names = next(name for name, available in _kinds().items() if available)
    if names == "cuda" and torch.cuda.is_available():
        return tuple(f"cuda:{number}" for number in range(torch.cuda.device_count()))
    return tuple(dict.fromkeys(_available(name.strip()) for name in names.split(",")))


def _kinds() -> dict[str, bool]:
    """Kinds of devices, the fastest first, and whether they are available."""
    return {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }


def _available(name: str) -> str:
    """The name of an available device; others are refused."""
    kinds, (kind, _, number) = _kinds(), name.partition(":")
    count = torch.cuda.device_count() if kind == "cuda" and kinds["cuda"] else 1
    if kinds.get(kind, False) and (not number or (kind == "cuda" and int(number) < count)):
        return name
    usable = [one for one, available in kinds.items() if available and one != "cuda"]
    usable[:0] = [f"cuda:{n}" for n in range(count)] if kinds["cuda"] else []
    raise UsageError(
        f"device is '{name}'" + (", and this machine has none" if kind in kinds else ""),
        f"one of {', '.join(DEVICES)}; usable here: {', '.join(usable)}",
    )


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread, then restore the caller's setting.

    Sums over several threads depend on their number in the last bit; one thread gives reproducible
    results, and small models gain nothing from a second.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def require_bf16(device: torch.device) -> None:
    """Refuse bf16 on devices that do not accelerate it.

    Raises
    ------
    UsageError
        The device computes bf16 no faster than single precision.
    """
    if device.type == "cuda":
        has = torch.cuda.is_bf16_supported()
    else:
        # torch's own checks; it has no public function for them.
        checks = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
        has = device.type == "cpu" and any(getattr(torch.cpu, name, bool)() for name in checks)
    if not has:
        found = f"bf16_epochs is set, and this {device.type} has no bf16 arithmetic"
        expected = "a GPU or a processor with it (AMX, AVX512-BF16)"
        raise UsageError(found, expected, "remove bf16_epochs")

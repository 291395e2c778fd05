"""Where a project is and where its record lies, told without reading its whole configuration.

``podium resolve`` asks nothing else of podium.toml, and everything that validates it, or parses
TOML at all, costs more than the answer. So nothing here imports more than the interpreter has.
"""

from __future__ import annotations

import os

from podium.errors import NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

FILE = "podium.toml"
# Names the project for code that runs outside it.
VARIABLE = "PODIUM_PROJECT"
LEDGER_URL = "sqlite:///podium.db"
REGISTRY = "models/registry"
# What these settings were called before podium; its own names win.
OLD_NAMES = {
    "MODEL_REGISTRY_DIR": "paths.registry",
    "ACTIVE_MODEL_PATH_FILE": "paths.active_model",
}
_SECTIONS = ("project", "ledger", "paths")
_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


def find(start: str) -> str:
    """Nearest folder from ``start`` upwards that holds a podium.toml, absolute.

    Raises
    ------
    NotFoundError
        There is none up to the root of the file system.
    """
    first = folder = os.path.realpath(start)
    while not os.path.isfile(os.path.join(folder, FILE)):
        folder, below = os.path.dirname(folder), folder
        if folder == below:
            raise NotFoundError(
                f"no {FILE} in {first} or above it", fix="run: podium init NAME, then cd into it"
            )
    return folder


def named(root: str | os.PathLike[str] | None, environ: Mapping[str, str] | None = None) -> str:
    """Where to look for a project: what was said, else ``PODIUM_PROJECT``, else here."""
    found = root or (os.environ if environ is None else environ).get(VARIABLE) or "."
    return os.fspath(found)


def setting(
    key: str, told: Mapping[str, str], default: str, environ: Mapping[str, str] | None = None
) -> str:
    """A text of the configuration by its dotted key: environment, then the file, then the default.

    Parameters
    ----------
    told : mapping
        As :func:`plainly` reads the file.

    Examples
    --------
    >>> setting("ledger.url", {}, LEDGER_URL, {"PODIUM_LEDGER_URL": "sqlite:///other.db"})
    'sqlite:///other.db'
    """
    environ = os.environ if environ is None else environ
    old = [name for name, means in OLD_NAMES.items() if means == key]
    for name in ("PODIUM_" + key.replace(".", "_").upper(), *old):
        if name in environ:
            return environ[name]
    return told.get(key, default)


def plainly(text: str) -> tuple[dict[str, str], set[str]] | None:
    r"""Texts of ``[project]``, ``[ledger]`` and ``[paths]``, and names of slots, from podium.toml.

    Only the plain way to write them is understood, one ``key = "text"`` a line. None wherever they
    may be meant otherwise; then a parser of TOML has to say.

    Examples
    --------
    >>> plainly('[project]\nid = "p-1"  # mine\n[slots."us4/D/return"]\nhorizon = 5')
    ({'project.id': 'p-1'}, {'us4/D/return'})
    >>> plainly('project = {id = "p-1"}') is None
    True
    """
    if '"""' in text or "'''" in text:
        return None
    found: dict[str, str] = {}
    slots: set[str] = set()
    seen: set[str] = set()
    section = ""
    for line in text.split("\n"):
        line = line.strip(" \t\r")
        if not line or line[0] == "#":
            continue
        if line[0] == "[":
            section = _header(line)
            if section == "?" or section in seen:
                return None
            if section in _SECTIONS:
                seen.add(section)
            elif section.startswith("slots."):
                slots.add(section.removeprefix("slots."))
        elif section == "":
            return None
        elif section in _SECTIONS:
            pair = _pair(line)
            if pair is None or f"{section}.{pair[0]}" in found:
                return None
            found[f"{section}.{pair[0]}"] = pair[1]
    return found, slots


def _header(line: str) -> str:
    """Section that a line begins, ``slots.NAME`` for a slot's, ``?`` where that is not plain.

    The line may belong to a list that goes over several lines; none of those reads like a header
    that matters, since a list holds no bare words.
    """
    inner, _, after = line[1:].partition("]")
    after = after.strip(" \t")
    if not after or after[0] == "#":
        name = inner.removeprefix("slots.")
        quoted = len(name) > 2 and name[0] == name[-1] == '"'
        bare, allowed = (name[1:-1], _BARE | {"/"}) if quoted else (name, _BARE)
        if inner in _SECTIONS or (inner != name and bare and not set(bare) - allowed):
            return inner if inner in _SECTIONS else f"slots.{bare}"
    first = "".join(c for c in inner.lstrip("[") if c not in " \t\"'").partition(".")[0]
    return "?" if "\\" in line or first in _SECTIONS else "other"


def _pair(line: str) -> tuple[str, str] | None:
    """Key and text of ``key = "text"``."""
    key, equals, value = line.partition("=")
    key, value = key.strip(" \t"), value.strip(" \t")
    quote = value[:1]
    text, closed, after = value[1:].partition(quote) if quote in ('"', "'") else ("", "", "")
    after = after.strip(" \t")
    plain = equals and key and not set(key) - _BARE and closed and (not after or after[0] == "#")
    if not plain or (quote == '"' and "\\" in text):
        return None
    return key, text

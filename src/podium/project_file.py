"""Locations of a project and its record, read without validating the whole podium.toml.

``podium resolve`` needs nothing else, and importing a TOML parser costs more than the rest of the
command. So this module imports only modules that the interpreter has loaded.
"""

from __future__ import annotations

import os

from podium.errors import NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

FILE = "podium.toml"
# Environment variable with the project of code that runs outside it.
VARIABLE = "PODIUM_PROJECT"
LEDGER_URL = "sqlite:///podium.db"
REGISTRY = "models/registry"
# Champions of all slots, rewritten after each decision; used when the record cannot be read.
CACHE = ".podium/champions.json"
# Older environment variables of these settings; podium's names win.
OLD_NAMES = {"MODEL_REGISTRY_DIR": "paths.registry", "ACTIVE_MODEL_PATH_FILE": "paths.active_model"}
_SECTIONS = ("project", "ledger", "paths")
_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


def find(start: str) -> str:
    """Nearest folder from ``start`` upwards that holds a podium.toml, absolute.

    Raises
    ------
    NotFoundError
        No parent folder holds a podium.toml.
    """
    first = folder = os.path.realpath(start)
    while not os.path.isfile(os.path.join(folder, FILE)):
        folder, below = os.path.dirname(folder), folder
        if folder == below:
            raise NotFoundError(
                f"no {FILE} in {first} or above it", fix="run: podium init NAME, then cd into it"
            )
    return folder


def start_folder(
    root: str | os.PathLike[str] | None, environ: Mapping[str, str] | None = None
) -> str:
    """Folder to search for a project: ``root``, else ``PODIUM_PROJECT``, else the current one."""
    return os.fspath(root or (os.environ if environ is None else environ).get(VARIABLE) or ".")


def setting(
    key: str, values: Mapping[str, str], default: str, environ: Mapping[str, str] | None = None
) -> str:
    """Text of a setting by its dotted key: from the environment, else the file, else the default.

    Parameters
    ----------
    values : mapping
        Values of the file, from :func:`parse_plain`.

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
    return values.get(key, default)


def parse_plain(text: str) -> tuple[dict[str, str], set[str]] | None:
    r"""Texts of ``[project]``, ``[ledger]`` and ``[paths]``, and slot names, from podium.toml.

    Only the plain form is parsed, one ``key = "text"`` per line. None for any other form, which
    needs a TOML parser.

    Examples
    --------
    >>> parse_plain('[project]\nid = "p-1"  # mine\n[slots."us4/D/return"]\nhorizon = 5')
    ({'project.id': 'p-1'}, {'us4/D/return'})
    >>> parse_plain('project = {id = "p-1"}') is None
    True
    """
    if '"""' in text or "'''" in text:
        return None
    values: dict[str, str] = {}
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
            if pair is None or f"{section}.{pair[0]}" in values:
                return None
            values[f"{section}.{pair[0]}"] = pair[1]
    return values, slots


def _header(line: str) -> str:
    """Section that a line begins, ``slots.NAME`` for a slot, ``?`` for a form that is not plain.

    The line may belong to a list of several lines. Lists hold no bare words, so such a line never
    equals a header that matters.
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

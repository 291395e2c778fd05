"""Remove secrets from source text before it is stored.

What cannot be recognised as a secret stays: a short password without a name beside it.
"""

from __future__ import annotations

import math
import re
from collections import Counter

REDACTED = "[redacted]"
# Names whose values are secrets: parts of a name, and whole words in it.
_PARTS = (
    "passw(?:or)?d|passphrase|passcode|secret|token|credential|authorization|session_?id|signature|"
    "webhook|(?:api|access|account|private|signing|encryption)_?key"
)
_WORDS = "pass|pwd|auth|bearer|cookie|private|dsn|salt|pin|otp"
# ``name = value``, ``"name": value``, ``--name value``, ``Bearer value``, ``name("value"``.
_ASSIGNED = re.compile(
    rf"(?i)((?:[\w.-]*(?:{_PARTS})[\w.-]*|(?<![a-z])(?:{_WORDS})(?![a-z])[\w.-]*)[\"']?\]?"
    r"(?:\s*[=:,<>!]+\s*|\s*\(\s*(?=[rbuf]{0,2}[\"'])|\s+))(\S.*)?$"
)
# ``key = "value"``: only with a literal, as ``key=`` is a common parameter.
_KEY = re.compile(r"""(?i)(\b[\w-]*key[\"']?\s*[=:]\s*)([rbuf]{0,2}["'].*)$""")
_URL = re.compile(r"""([a-zA-Z][\w+.-]*://)[^\s/@"']+(?:/[^\s/@"']*)?@""")
_KNOWN = re.compile(
    r"\b(?:(?:AKIA|ASIA|AGPA|AROA)[0-9A-Z]{12,}|gh[opusr]_\w+|github_pat_\w+|glpat-[\w-]+|"
    r"xox[a-z]-[\w-]+|[sr]k[-_][\w-]{12,}|AIza[\w-]{20,}|ey[\w-]{8,}\.[\w.-]+|hf_\w{8,}|"
    r"npm_\w{8,}|pypi-[\w-]{8,}|SG\.[\w.-]{8,})"
)
_LONG = re.compile(r"[A-Za-z0-9+/_=-]{20,}")
_BLOCK = re.compile(r"-----BEGIN [^-]*-----")
_BLOCK_END = re.compile(r"-----END [^-]*-----")
# A value that begins on the next line.
_OPEN = re.compile(r"""(?:[(\[{\\=]|\"\"\"|''')\s*$""")
_CLOSE = re.compile(r"""[)\]}]|\"\"\"|'''""")
# Lines of a diff with names of files only.
_HEADER = re.compile(r"diff --git |index |--- |\+\+\+ |(?:old|new|deleted) (?:file )?mode ")
_HUNK = re.compile(r"(@@ [^@]* @@)")
# Bits a character; words of a language and names in code have fewer.
_ENTROPY = 3.3


def redact(diff: str) -> str:
    r"""A diff without the passwords, tokens, keys, credentials in URLs and long random strings.

    Everything behind a name such as ``password`` or ``token`` on its line is removed, and the lines
    below while its brackets are open; so are blocks of keys.

    Examples
    --------
    >>> print(redact('+password = "hunter2"\n+url = "https://me:pw@example.org/x"'))
    +password = [redacted]
    +url = "https://[redacted]@example.org/x"
    """
    lines, until = list[str](), None
    for line in diff.split("\n"):
        if hunk := _HUNK.match(line):
            lines.append(hunk[1])
            until = None
            continue
        if _HEADER.match(line):
            lines.append(_KNOWN.sub(REDACTED, line))
            until = None
            continue
        if until is not None:
            lines.append(line[:1] + REDACTED)
            until = None if until.search(line) else until
            continue
        if _BLOCK.search(line):
            lines.append(line[:1] + REDACTED)
            until = None if _BLOCK_END.search(line) else _BLOCK_END
            continue
        match = _ASSIGNED.search(line, 1) or _KEY.search(line, 1)
        is_open = match is not None and _OPEN.search(match[0]) is not None
        if match is not None and (match[2] or is_open):
            line = f"{line[: match.end(1)].rstrip()} "
            lines.append(_strings(line) + REDACTED)
            until = _CLOSE if is_open else None
        else:
            lines.append(_strings(line))
    return "\n".join(lines)


def _strings(line: str) -> str:
    line = _KNOWN.sub(REDACTED, _URL.sub(rf"\1{REDACTED}@", line))
    return _LONG.sub(lambda match: REDACTED if _is_random(match[0]) else match[0], line)


def _is_random(text: str) -> bool:
    """Whether a long string has digits and letters and looks drawn rather than written."""
    if not (re.search(r"\d", text) and re.search("[A-Za-z]", text)):
        return len(text) >= 32 and "_" not in text and _entropy(text) > _ENTROPY + 0.7
    return _entropy(text) > _ENTROPY


def _entropy(text: str) -> float:
    shares = [count / len(text) for count in Counter(text).values()]
    return -sum(share * math.log2(share) for share in shares)

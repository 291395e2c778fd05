"""Self-contained HTML pages: inline styles, no script, no request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from podium.render.table import Safe, escape, html

SIGNS = {"pass": "✓", "fail": "✕", "wait": "!", "same": "="}
_KINDS = {
    "promoted": "pass",
    "pass": "pass",
    "refused": "fail",
    "refuse": "fail",
    "champion unchanged": "same",
}

# Every pair of text and background has a contrast of at least 4.5, in both schemes.
STYLE = "\n" + Path(__file__).with_name("page.css").read_text(encoding="utf-8")


def page(title: str, body: str, *, provenance: Mapping[str, str]) -> str:
    """Return a self-contained HTML document.

    Parameters
    ----------
    title : str
        Escaped here.
    body : str
        HTML below the title, escaped by the caller.
    provenance : mapping of str to str
        Provenance of the numbers for the footer; escaped here.

    Examples
    --------
    >>> document = page("A < B", "<p>text</p>", provenance={"data": "sha256:12"})
    >>> document[:15], "A &lt; B" in document, "<dt>data</dt><dd>sha256:12</dd>" in document
    ('<!doctype html>', True, True)
    """
    facts = "\n".join(
        f"<dt>{escape(key)}</dt><dd>{escape(value)}</dd>" for key, value in provenance.items()
    )
    footer = f"<footer><h2>Provenance</h2>\n<dl>\n{facts}\n</dl></footer>" if facts else ""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="generator" content="podium">
<link rel="icon" href="data:,">
<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
<main id="content">
<h1>{escape(title)}</h1>
{body}
</main>
{footer}
</body>
</html>
"""


def mark(kind: str, words: str) -> Safe:
    """Words with the sign and colour of their kind.

    Parameters
    ----------
    kind : {"pass", "fail", "wait", "same"}
    words : str

    Examples
    --------
    >>> mark("fail", "refused")
    '<b class="mark fail">✕ refused</b>'
    """
    return Safe(f'<b class="mark {kind}">{SIGNS[kind]} {escape(words)}</b>')


def region(label: str, inner: str) -> str:
    """Frame of a table, which scrolls where the table is wider than the screen.

    Parameters
    ----------
    label : str
    inner : str
        HTML.

    Examples
    --------
    >>> region("Gates", "<table></table>")
    '<div class="scroll" role="region" aria-label="Gates" tabindex="0"><table></table></div>'
    """
    named = f'role="region" aria-label="{escape(label)}" tabindex="0"'
    return f'<div class="scroll" {named}>{inner}</div>'


@dataclass(frozen=True)
class Block:
    """A titled table with sentences after it, or a sentence in place of a missing table.

    Parameters
    ----------
    stacked : bool
        As in :func:`podium.render.table.html`.
    result : int, optional
        Column of verdicts or results, shown with sign and colour.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    after: Sequence[str] = ()
    missing: str = ""
    stacked: bool = False
    result: int | None = None


def kind_of(verdict: str) -> str:
    """Kind (sign and colour) of a verdict or a gate's result.

    Parameters
    ----------
    verdict : str

    Examples
    --------
    >>> kind_of("refused"), kind_of("missing"), kind_of("champion unchanged")
    ('fail', 'wait', 'same')
    """
    return _KINDS.get(verdict, "wait")


def section(block: Block, label: str) -> list[str]:
    """A block as lines of HTML under a heading of the third level.

    Parameters
    ----------
    block : Block
    label : str
        Name of the table for screen readers.
    """
    inner = f'<p class="missing">{escape(block.missing)}</p>'
    if block.rows or not block.missing:
        rows = [list(row) for row in block.rows]
        if block.result is not None:
            for row in rows:
                word = str(row[block.result])
                row[block.result] = mark(kind_of(word), word)
        table = html(block.columns, rows, caption=block.title, stacked=block.stacked)
        inner = region(label, table)
    after = [f"<p>{escape(line)}</p>" for line in block.after]
    return [f"<h3>{escape(block.title)}</h3>", inner, *after]


def verdict_line(kind: str, verdict: str, sentence: str) -> str:
    """The verdict in its colour, with a sentence.

    Parameters
    ----------
    kind : {"pass", "fail", "wait", "same"}
    verdict, sentence : str
    """
    words = f"<b>{SIGNS[kind]} {escape(verdict)}.</b> <span>{escape(sentence)}</span>"
    return f'<p class="verdict {kind}">{words}</p>'


def figures(charts: Sequence[str]) -> str:
    """Charts side by side, as many as fit.

    Parameters
    ----------
    charts : sequence of str
        SVG.
    """
    framed = "\n".join(f"<figure>\n{chart}\n</figure>" for chart in charts)
    return f'<div class="charts">\n{framed}\n</div>'

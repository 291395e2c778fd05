"""One HTML file that needs nothing else: styles inside, no script, no request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from podium.report.table import Safe, escape, html

SIGNS = {"pass": "✓", "fail": "✕", "wait": "!", "same": "="}
_KINDS = {
    "promoted": "pass",
    "pass": "pass",
    "refused": "fail",
    "refuse": "fail",
    "champion unchanged": "same",
}

# Every pair of text and ground reaches a contrast of 4.5, in both schemes.
STYLE = """
:root{color-scheme:light dark;--pane:#fff;--ink:#16191d;--muted:#59616b;--grid:#dfe3e8;
--shade:#edf1f5;--candidate:#0072b2;--naive:#5c646e;--pass:#00704f;--fail:#b04000;--wait:#8a5a00;
--pass-tint:#e9f5f0;--fail-tint:#fcf0ea;--wait-tint:#faf3e3;--same-tint:#f1f3f5}
@media (prefers-color-scheme:dark){:root{--pane:#14171a;--ink:#e9ebee;--muted:#a3abb5;
--grid:#30363c;--shade:#1e2429;--candidate:#56b4e9;--naive:#9aa3ad;--pass:#5fd0a5;--fail:#ff9d6c;
--wait:#f0c04f;--pass-tint:#14261f;--fail-tint:#2b1d15;--wait-tint:#282213;--same-tint:#1e2226}}
*{box-sizing:border-box}
html{background:var(--pane);color:var(--ink);-webkit-text-size-adjust:100%;
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
body{max-width:62rem;margin:0 auto;padding:2rem 1.5rem 3rem;overflow-wrap:break-word}
h1{font-size:1.75rem;line-height:1.2;letter-spacing:-.015em;margin:0 0 .25rem}
h2{font-size:1.4rem;line-height:1.25;letter-spacing:-.01em;margin:0}
h3{font-size:1rem;margin:2rem 0 .5rem}
p{margin:.5rem 0;max-width:46rem}
a{color:var(--candidate);text-underline-offset:.15em}
:focus-visible{outline:2.5px solid var(--candidate);outline-offset:2px}
.about,.missing,footer{color:var(--muted)}
.skip{position:absolute;left:-99rem}
.skip:focus{left:1rem;top:1rem;padding:.5rem 1rem;background:var(--pane)}
section{margin-top:3.5rem;padding-top:1.5rem;border-top:2px solid var(--ink)}
.verdict{margin:1rem 0;padding:.75rem 1rem;max-width:none;border-left:4px solid;font-size:1.1rem;
line-height:1.45}
.verdict b{white-space:nowrap}
.verdict span{color:var(--ink)}
.pass{color:var(--pass)}.fail{color:var(--fail)}.wait{color:var(--wait)}.same{color:var(--ink)}
.verdict.pass{background:var(--pass-tint)}.verdict.fail{background:var(--fail-tint)}
.verdict.wait{background:var(--wait-tint)}.verdict.same{background:var(--same-tint)}
b.mark{font-weight:600;white-space:nowrap}
.scroll{overflow-x:auto}
table{border-collapse:collapse;min-width:min(100%,36rem);font-size:.93rem;margin:.5rem 0}
table.stacked{width:100%}
.num+:not(.num){padding-left:.75rem}
caption{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
th,td{text-align:left;vertical-align:top;padding:.4rem .9rem .4rem 0;font-weight:400;
border-bottom:1px solid var(--grid)}
th:last-child,td:last-child{padding-right:0}
thead th{color:var(--muted);font-size:.85rem;vertical-align:bottom;line-height:1.3;
border-bottom:1px solid var(--muted)}
tbody th{font-weight:600}
.num{text-align:right;font-variant-numeric:tabular-nums lining-nums;white-space:nowrap}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,22rem),1fr));
gap:2rem 2.5rem;margin:2rem 0 0;align-items:start}
figure{margin:0}
svg{display:block;width:100%;max-width:34rem;height:auto;font-family:inherit}
ul{margin:.5rem 0;padding-left:1.2rem;max-width:46rem}
li{margin:.25rem 0}
pre,code{font:.87rem/1.55 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
pre{margin:.5rem 0;padding:.75rem 1rem;background:var(--same-tint);white-space:pre-wrap;
overflow-wrap:anywhere}
footer{margin-top:3.5rem;padding-top:1rem;border-top:1px solid var(--muted);font-size:.87rem}
footer h2{font-size:1rem;margin:0 0 .5rem}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1.25rem;margin:0}
dd{margin:0;overflow-wrap:anywhere}
dd,dt{font-variant-numeric:tabular-nums}
@media (max-width:40rem){
body{padding:1.25rem 1rem 2rem}
h1{font-size:1.5rem}h2{font-size:1.25rem}
section{margin-top:2.5rem}
table:not(.stacked){width:100%}
table.stacked,.stacked tbody,.stacked tr,.stacked th,.stacked td{display:block;text-align:left}
.stacked thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.stacked tr{padding:.6rem 0;border-bottom:1px solid var(--muted)}
.stacked th,.stacked td{border:0;padding:.1rem 0;white-space:normal}
.stacked td[data-label]{display:grid;grid-template-columns:8.5rem 1fr;gap:.75rem}
.stacked td[data-label]::before{content:attr(data-label);color:var(--muted);font-size:.87rem}
dl{grid-template-columns:1fr}dd{margin:0 0 .4rem}
}
@media print{
:root{--pane:#fff;--ink:#000;--muted:#444;--grid:#bbb;--shade:#eee;--candidate:#005a8e;
--naive:#555;--pass:#00573d;--fail:#8f3400;--wait:#6b4600;--pass-tint:#fff;--fail-tint:#fff;
--wait-tint:#fff;--same-tint:#fff}
html{font-size:10pt}
body{max-width:none;padding:0}
.skip{display:none}
.scroll{overflow:visible}
.charts{grid-template-columns:1fr 1fr;gap:1rem}
h2,h3{break-after:avoid}
figure,tr,.verdict,pre{break-inside:avoid}
section+section{break-before:page}
a{color:inherit}
}
"""


def page(title: str, body: str, *, provenance: Mapping[str, str]) -> str:
    """A whole HTML document that loads nothing from outside itself.

    Parameters
    ----------
    title : str
        Escaped here.
    body : str
        HTML, escaped by whoever made it; it stands under the title.
    provenance : mapping of str to str
        What the footer says about where the numbers come from; escaped here.

    Examples
    --------
    >>> document = page("A < B", "<p>text</p>", provenance={"data": "sha256:12"})
    >>> document[:15], "A &lt; B" in document, "<dt>data</dt><dd>sha256:12</dd>" in document
    ('<!doctype html>', True, True)
    """
    facts = "\n".join(
        f"<dt>{escape(key)}</dt><dd>{escape(value)}</dd>" for key, value in provenance.items()
    )
    footer = (
        f"<footer><h2>Where this comes from</h2>\n<dl>\n{facts}\n</dl></footer>" if facts else ""
    )
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
    """Words with their sign in front, in the colour that says the same.

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
    """A table's frame: where it is wider than the screen, it scrolls and the page does not.

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
    """A titled table with sentences after it, or the sentence that says why it is not there.

    Parameters
    ----------
    stacked : bool
        As of :func:`podium.report.table.html`.
    result : int, optional
        Column whose words are verdicts or results, which get their sign and colour.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    after: Sequence[str] = ()
    missing: str = ""
    stacked: bool = False
    result: int | None = None


def kind_of(verdict: str) -> str:
    """The sign and colour of a verdict or a gate's result.

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
        Names the table for screen readers.
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
    """The verdict in its colour, with a sentence on it.

    Parameters
    ----------
    kind : {"pass", "fail", "wait", "same"}
    verdict, sentence : str
    """
    words = f"<b>{SIGNS[kind]} {escape(verdict)}.</b> <span>{escape(sentence)}</span>"
    return f'<p class="verdict {kind}">{words}</p>'


def figures(charts: Sequence[str]) -> str:
    """Drawings side by side, as many as fit.

    Parameters
    ----------
    charts : sequence of str
        SVG.
    """
    framed = "\n".join(f"<figure>\n{chart}\n</figure>" for chart in charts)
    return f'<div class="charts">\n{framed}\n</div>'

"""The report of a run as a page, as Markdown and as JSON."""

from __future__ import annotations

import re
from typing import Any

from podium.render.blocks import about, blocks, charts, config_text, notes
from podium.render.page import SIGNS, figures, kind_of, mark, page, region, section, verdict_line
from podium.render.table import (
    Safe,
    cell,
    cut,
    escape,
    html,
    markdown,
    p_value,
    plain,
    plain_markdown,
)
from podium.render.values import RunReport, SlotReport


def summary_rows(report: RunReport) -> tuple[list[str], list[list[object]]]:
    """Columns and rows of the summary table of a run, a row per slot.

    Parameters
    ----------
    report : RunReport

    Examples
    --------
    >>> columns, rows = summary_rows(RunReport("demo", "2025-01-01"))
    >>> columns[0], columns[-1], rows
    ('slot', 'verdict', [])
    """
    columns = ["slot", "best config", "metric", "validation", "test", "baseline", "its test"]
    columns += ["p, adjusted", "Sharpe", "of equal weight", "verdict"]
    rows: list[list[object]] = []
    for slot in report.slots:
        validation, test = slot.validation or (None, None), slot.test or (None, None)
        best, against = config_text(slot) or None, slot.naive_method if slot.test else None
        row = [slot.slot, best, slot.metric, validation[0], test[0], against, test[1]]
        # A Sharpe ratio says little without that of a portfolio without forecasts.
        sharpes = [slot.trading.get(who, {}).get("sharpe") for who in ("candidate", "equal weight")]
        rows.append([*row, p_value(slot.dm_p_adjusted), *sharpes, slot.verdict])
    return columns, rows


def run_page(report: RunReport) -> str:
    """The report as a self-contained HTML file.

    Parameters
    ----------
    report : RunReport

    Examples
    --------
    >>> "No slot has been run yet." in run_page(RunReport("demo", "2025-01-01"))
    True
    """
    ids = [f"slot-{i}-{re.sub(r'[^A-Za-z0-9]+', '-', s.slot)}" for i, s in enumerate(report.slots)]
    body = [f'<p class="about">podium run, {escape(report.created_at)}</p>']
    if report.slots:
        columns, rows = _brief(report)
        for row, name, slot in zip(rows, ids, report.slots, strict=True):
            row[0] = Safe(f'<a href="#{name}">{escape(slot.slot)}</a>')
            row[-1] = mark(kind_of(slot.verdict), slot.verdict)
        body.append(region("Summary", html(columns, rows, caption="Summary", stacked=True)))
    else:
        body.append('<p class="missing">No slot has been run yet.</p>')
    body += map(_section, report.slots, ids)
    return page(f"{report.project}: report", "\n".join(body), provenance=report.provenance)


def run_markdown(report: RunReport) -> str:
    """The report as Markdown: all tables and notes, no charts.

    Parameters
    ----------
    report : RunReport

    Examples
    --------
    >>> run_markdown(RunReport("demo", "2025-01-01")).splitlines()[0]
    '# demo: report'
    """
    say = plain_markdown
    parts = [f"# {say(report.project)}: report", f"podium run, {say(report.created_at)}"]
    parts.append(markdown(*_brief(report)) if report.slots else "No slot has been run yet.")
    for slot in report.slots:
        sign = SIGNS[kind_of(slot.verdict)]
        parts += [f"## {say(slot.slot)}", say(about(slot))]
        parts.append(f"**{sign} {say(slot.verdict)}.** {say(slot.sentence)}".rstrip())
        for block in blocks(slot):
            parts.append(f"### {say(block.title)}")
            parts.append(markdown(block.columns, block.rows) if block.rows else block.missing)
            parts += [say(line) for line in block.after]
        parts += ["### Notes", "\n".join(f"- {say(note)}" for note in notes(slot))]
        if slot.commands:
            # Indented, so that a back tick in a command does not end the block.
            parts += ["### Next", "\n".join(f"    {cell(line)}" for line in slot.commands)]
    if report.provenance:
        facts = [f"- {say(key)}: {say(value)}" for key, value in report.provenance.items()]
        parts += ["## Provenance", "\n".join(facts)]
    return "\n\n".join(parts) + "\n"


def run_dict(report: RunReport) -> dict[str, Any]:
    """The report as plain values for JSON; None for a number that is not finite.

    Parameters
    ----------
    report : RunReport

    Examples
    --------
    >>> run_dict(RunReport("demo", "2025-01-01"))["items"]
    []
    """
    values = plain(report)
    return {"podium": 1, "kind": "run", "items": values.pop("slots"), **values}


def _brief(report: RunReport) -> tuple[list[str], list[list[object]]]:
    # Long configs are cut in the summary; the section of each slot has them in full.
    columns, rows = summary_rows(report)
    return columns, [[row[0], cut(cell(row[1]), 44), *row[2:]] for row in rows]


def _section(slot: SlotReport, name: str) -> str:
    parts = [
        f'<section id="{name}" aria-labelledby="{name}-title">',
        f'<h2 id="{name}-title">{escape(slot.slot)}</h2>',
        f'<p class="about">{escape(about(slot))}</p>',
        verdict_line(kind_of(slot.verdict), slot.verdict, slot.sentence),
    ]
    for block in blocks(slot):
        parts += section(block, f"{slot.slot}: {block.title}")
        if block.title == "Gates":
            drawn, missing = charts(slot)
            parts += [figures(drawn)] if drawn else []
            parts += [f'<p class="missing">{escape(" ".join(missing))}</p>'] if missing else []
    listed = "\n".join(f"<li>{escape(note)}</li>" for note in notes(slot))
    parts.append(f"<h3>Notes</h3>\n<ul>\n{listed}\n</ul>")
    if slot.commands:
        typed = "\n".join(escape(command) for command in slot.commands)
        parts.append(f"<h3>Next</h3>\n<pre><code>{typed}</code></pre>")
    return "\n".join([*parts, "</section>"])

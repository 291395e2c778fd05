"""Judge: show one thing by its id, a slot with its history, or the config."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from podium.cli import options
from podium.cli.options import CliContext
from podium.cli.output import Output
from podium.config import Config
from podium.ledger.notes import note_line, notes_of
from podium.ledger.record_reader import RecordReader


@click.command()
@click.argument("what")
@click.option("--lineage", is_flag=True, help="The tree from its data to everything it led to.")
@click.option("--history", is_flag=True, help="Who held a slot from when to when, and why.")
@click.option("--at", help="Who held a slot at that moment (UTC), or at the end of that day.")
@options.common
def command(cli: CliContext, what: str, lineage: bool, history: bool, at: str | None) -> None:
    """Show WHAT: an id (its beginning is enough), a slot, or ``config`` with every origin."""
    out = cli.out
    config = cli.config
    if what == "config":
        items = [
            {"key": key, "value": value, "origin": config.origins.get(key, "podium.toml")}
            for key, value in config.values().items()
        ]
        out.answer("config", items)
        return
    reader = cli.reader
    if lineage:
        _lineage(out, reader, what, config.root / config.paths.registry)
        return
    if history or at:
        config.slot(what)
        _history(out, reader, what, at)
        return
    if what in config.slots:
        _slot(out, config, reader, what)
        return
    kind, row = reader.find(what)
    noted = notes_of(reader, [row["id"]]).get(row["id"], [])
    if out.as_json:
        out.facts(kind, {**row, "dated_notes": noted})
        return
    if kind == "candidates":
        _candidate(out, reader, row)
    else:
        out.facts(kind, row)
    if noted:
        print("\n" + "\n".join(note_line(note) for note in noted))


def _lineage(out: Output, reader: RecordReader, what: str, store: Path) -> None:
    from podium.render.tree import tree
    from podium.steps.archive.lineage import lineage

    found = lineage(reader, what, store)
    if out.as_json:
        out.answer("lineage", [found.item()])
        return
    print(tree(found.branch(), shutil.get_terminal_size((80, 24)).columns))


def _history(out: Output, reader: RecordReader, slot: str, moment: str | None) -> None:
    from podium.steps.search import history

    reigns = history.history(reader, slot)
    if moment:
        reigns = [history.at(reigns, moment)]
    if out.as_json:
        out.answer("history", [vars(reign) for reign in reigns])
        return
    for reign in reversed(reigns):
        print(f"{reign.candidate_id}  {reign.since} to {reign.until or 'now'}")
        print(f"  by {reign.by} ({reign.kind}): {reign.reason}")
        for one in reign.verdicts:
            print(f"  {one['result']} {one['gate']}: {one['finding']}")
        print(f"  evidence: {', '.join(reign.evidence) or 'none'}")
        if reign.until:
            print(f"  ended by {reign.ended_by}: {reign.ended_reason}")
    if not reigns:
        out.say(f"nobody held {slot} yet")


def _slot(out: Output, config: Config, reader: RecordReader, slot: str) -> None:
    holder = reader.champions().get(slot)
    decisions = reader.rows("decisions", slot=slot)
    if out.as_json:
        out.facts("slot", {"slot": slot, "champion": holder, "decisions": decisions})
        return
    section = config.slots[slot]
    champion = "nobody"
    if holder:
        champion = f"{holder.candidate_id} (version {holder.version}) since {holder.since}"
    out.facts(
        "slot",
        {
            "slot": slot,
            "champion": champion,
            "forecasts": f"{section.target}, {section.horizon} bars ahead",
            "judged by": section.metric,
            "sealed test from": section.test_from,
        },
    )
    print()
    out.answer("decisions", [_told(d) for d in decisions])


def _candidate(out: Output, reader: RecordReader, row: dict[str, Any]) -> None:
    stage = reader.stages().get(row["id"])
    out.facts("candidate", {**row, "stage": stage})
    evidence = [e for e in reader.rows("evidence") if e["candidate_id"] == row["id"]]
    for one in reversed(evidence):
        print(f"\n{one['kind']} evidence {one['id']}, {one['created_at']}")
        items = [
            {"what": what, "value": value, "unit": unit}
            for what, (value, unit, _) in one["scalars"].items()
        ]
        out.answer("evidence", items)
        for name, text in one["notes"].items():
            if text:
                print(f"{name}: {text}")
    decisions = [d for d in reader.rows("decisions") if d["candidate_id"] == row["id"]]
    print("\ndecisions, newest first")
    out.answer("decisions", [_told(d) for d in decisions])


def _told(decision: dict[str, Any]) -> dict[str, Any]:
    """A decision in one row, the gates' findings as its why."""
    said_only = decision["kind"] in ("sign", "waive")
    move = f"{decision['from_stage'] or 'new'} -> {decision['to_stage']}"
    return {
        "when": decision["created_at"],
        "candidate": decision["candidate_id"],
        "move": decision["kind"] if said_only else move,
        "result": "accepted" if decision["accepted"] else "refused",
        "by": decision["actor"],
        "why": _why(decision),
    }


def _why(decision: Mapping[str, Any]) -> str:
    """The gates' findings; where none was asked, or one was waived, what the person said."""
    verdicts, reason = decision["verdicts"], decision["reason"]
    findings = "; ".join(f"{v['gate']}: {v['finding']}" for v in verdicts)
    return f"{reason} ({findings})" if decision["kind"] == "waive" else findings or reason

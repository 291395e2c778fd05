"""Judge: show an item by its id, a slot with its history, or the config.

Example: podium show us4/D/return --history
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from podium import registry
from podium.cli import options
from podium.cli.options import CliContext
from podium.cli.output import Output
from podium.config import Config
from podium.decision import AUTOMATIC
from podium.ledger.notes import note_line, notes_of
from podium.ledger.record_reader import RecordReader
from podium.render.table import cell, counted

# Kinds of evidence with a figure of the candidate and of its baseline, the first one counts.
_JUDGED = {
    "test": "the sealed test",
    "evaluation": "the evaluation data",
    "validation": "the validation folds",
}
_PARTIES = ("candidate", "naive", "equal weight", "buy and hold")
_HASH = re.compile("hash|fingerprint|artifact_path")


@click.command()
@click.argument("what")
@click.option("--lineage", is_flag=True, help="Tree from its data to everything made from it.")
@click.option("--history", is_flag=True, help="Champions of a slot, from when to when, and why.")
@click.option("--at", help="Champion of a slot at a time (UTC), or at the end of a day.")
@options.common
def command(cli: CliContext, what: str, lineage: bool, history: bool, at: str | None) -> None:
    """Show WHAT: an id (its beginning is enough), a slot, or config with the origin of each key.

    With -v, decisions list the findings of all gates, else those of gates that do not pass.
    """
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
    notes = notes_of(reader, [row["id"]]).get(row["id"], [])
    if out.as_json:
        out.facts(kind, {**row, "dated_notes": notes})
        return
    if kind == "candidates":
        _candidate(out, reader, row)
    else:
        _facts(out, kind, row)
    if notes:
        out.write("\n" + "\n".join(cell(note_line(note)) for note in notes))


def _lineage(out: Output, reader: RecordReader, what: str, store: Path) -> None:
    from podium.render.tree import tree
    from podium.steps.archive.lineage import lineage

    graph = lineage(reader, what, store)
    if out.as_json:
        out.answer("lineage", [graph.item()])
        return
    out.write(tree(graph.branch(), shutil.get_terminal_size((80, 24)).columns))


def _history(out: Output, reader: RecordReader, slot: str, moment: str | None) -> None:
    from podium.steps.search import history

    reigns = history.history(reader, slot)
    if moment:
        reigns = [history.at(reigns, moment)]
    if out.as_json:
        out.answer("history", [vars(reign) for reign in reigns])
        return
    for reign in reversed(reigns):
        out.write(f"{reign.candidate_id}  {reign.since} to {reign.until or 'now'}")
        out.write(f"  by {reign.by} ({reign.kind}): {cell(reign.reason)}")
        for one in reign.verdicts:
            out.write(f"  {one['result']} {one['gate']}: {cell(one['finding'])}")
        out.write(f"  evidence: {', '.join(reign.evidence) or 'none'}")
        if reign.until:
            out.write(f"  ended by {reign.ended_by}: {cell(reign.ended_reason)}")
    if not reigns:
        out.say(f"{slot} has had no champion yet")


def _slot(out: Output, config: Config, reader: RecordReader, slot: str) -> None:
    holder = reader.champions().get(slot)
    decisions = reader.rows("decisions", slot=slot)
    if out.as_json:
        out.facts("slot", {"slot": slot, "champion": holder, "decisions": decisions})
        return
    section = config.slots[slot]
    champion = "has no champion"
    if holder:
        champion = f"has champion {holder.candidate_id} (version {holder.version})"
        champion += f" since {holder.since[:16].replace('T', ' ')}"
    out.lead(f"{slot} {champion}; {counted(len(decisions), 'decision')}.\n")
    facts = {"task": section.task, "judged by": section.metric}
    if registry.holds(section.task) == "bars":
        horizon = f"{section.target}, {counted(section.horizon, 'bar')} ahead"
        facts |= {"forecasts": horizon, "sealed test from": section.test_from}
    out.facts("slot", facts)
    out.write()
    _decisions(out, decisions, "candidate")


def _candidate(out: Output, reader: RecordReader, row: dict[str, Any]) -> None:
    stage = reader.stages().get(row["id"])
    evidence = [e for e in reader.rows("evidence") if e["candidate_id"] == row["id"]]
    name = f"Candidate {row['id']} ({row['family']}, version {row['version']}) of {row['slot']}"
    out.lead(f"{name} is in stage {stage}{_score(evidence)}.\n")
    facts = {name: value for name, value in row.items() if value not in (None, "")}
    _facts(out, "candidate", facts)
    for one in evidence:
        out.write(f"\n{one['kind']} evidence {one['id']}, {one['created_at']}")
        out.answer("evidence", _side_by_side(one["scalars"]))
        notes = {name: text for name, text in one["notes"].items() if text}
        if notes:
            out.facts("notes", notes)
    out.write("\ndecisions, newest first")
    _decisions(out, [d for d in reader.rows("decisions") if d["candidate_id"] == row["id"]])


def _facts(out: Output, kind: str, row: Mapping[str, Any]) -> None:
    """Print the fields of a row, hashes last."""
    out.facts(kind, dict(sorted(row.items(), key=lambda item: bool(_HASH.search(item[0])))))


def _score(evidence: Sequence[Mapping[str, Any]]) -> str:
    """Newest figure of the test, the evaluation or the validation, and that of the baseline."""
    for kind, data in _JUDGED.items():
        newest = next((one for one in evidence if one["kind"] == kind), None)
        if newest is None:
            continue
        scalars, metric = newest["scalars"], newest["notes"].get("metric", "macro_f1")
        for name in ("loss", metric):
            if {name, f"naive_{name}"} <= scalars.keys():
                mine, naive = scalars[name][0], scalars[f"naive_{name}"][0]
                return f": {metric} {mine:.4g} on {data}, baseline {naive:.4g}"
    return ""


def _side_by_side(scalars: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Figures of evidence with a column for the candidate and one for each of its references."""
    rows: dict[str, dict[str, Any]] = {}
    columns = {"candidate": None}
    for name, (value, unit, _) in scalars.items():
        who, _, figure = name.partition(":")
        if who not in _PARTIES:
            who, figure = "candidate", name
            if name.startswith("naive_") and name.removeprefix("naive_") in scalars:
                who, figure = "naive", name.removeprefix("naive_")
        who = "baseline" if who == "naive" else who
        columns[who] = None
        rows.setdefault(figure, {})[who] = value
        rows[figure]["unit"] = unit
    return [
        {"figure": figure, **{who: row.get(who) for who in columns}, "unit": row["unit"]}
        for figure, row in rows.items()
    ]


def _decisions(out: Output, decisions: Sequence[Mapping[str, Any]], *also: str) -> None:
    rows = [
        {
            "when": one["created_at"][:19],
            "candidate": one["candidate_id"],
            "move": one["kind"]
            if one["kind"] in ("sign", "waive")
            else f"{one['from_stage'] or 'new'} -> {one['to_stage']}",
            "result": "accepted" if one["accepted"] else "refused",
            "by": one["actor"],
            "why": _why(one, full=out.verbose),
        }
        for one in decisions
    ]
    out.answer("decisions", rows, ("when", *also, "move", "result", "by", "why"))


def _why(decision: Mapping[str, Any], *, full: bool) -> str:
    """Reason of a decision and the findings of its gates, in full or those that do not pass."""
    verdicts, reason = decision["verdicts"], decision["reason"]
    shown = [v for v in verdicts if full or v["result"] != "pass"]
    findings = [f"{v['gate']}: {v['finding']}" for v in shown]
    if len(shown) < len(verdicts):
        findings.append(f"{counted(len(verdicts) - len(shown), 'gate')} passed")
    if decision["kind"] == "waive":
        return f"{reason} ({'; '.join(findings)})"
    typed = [] if reason in AUTOMATIC and findings else [reason]
    return "; ".join([*typed, *findings])

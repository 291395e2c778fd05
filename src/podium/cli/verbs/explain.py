"""Judge: explain a gate: its question, the reason, and what to do when it refuses.

Example: podium explain beats_baseline --slot us4/D/return
"""

from __future__ import annotations

from dataclasses import asdict

import click

from podium import registry
from podium.cli import options
from podium.cli.options import CliContext


@click.command()
@click.argument("gate", required=False)
@click.option("--slot", help="Slot whose policy applies.  [default: the project's]")
@options.common
def command(cli: CliContext, gate: str | None, slot: str | None) -> None:
    """Explain GATE with the limits of the project's policy; without GATE, list all of them."""
    from podium.steps.decisions.explain import explain, uses_of

    config = cli.config_if_any
    if gate is None:
        items = [
            {
                "gate": name,
                "question": line,
                "policies": ", ".join(
                    f"{one.policy}/{one.stage}" for one in uses_of(config, name, slot)
                )
                or "no policy",
            }
            for name, line in registry.describe("gates").items()
        ]
        cli.out.answer("gates", items)
        cli.out.hint("podium explain GATE")
        return
    page = explain(config, gate, slot)
    if cli.out.as_json:
        cli.out.answer("gates", [asdict(page)])
        return
    print(f"{page.gate}: {page.question}")
    for heading, words in page.sections.items():
        print(f"\n{heading}\n{words}")
    print(f"\nReads\nevidence: {', '.join(page.needs)}")
    print("\nUsed by")
    for one in page.asked:
        limits = ", ".join(f"{name} {value:g}" for name, value in one.limits.items())
        print(f"{one.policy}/{one.stage}" + (f", {limits}" if limits else ""))
    if not page.asked:
        print("no policy; add it to [policies.NAME.champion] in podium.toml")

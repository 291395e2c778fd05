"""Parts of a slot's report: tables, charts, notes, and sentences in place of missing ones."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from podium.render import axis, svg
from podium.render.answer import change
from podium.render.page import Block
from podium.render.table import number, p_value, percent
from podium.render.values import Pair, RankRow, SlotReport

# Measures with these words are shares and shown in percent, unless they are ratios.
_SHARES = re.compile(r"return|drawdown|volatility|exposure|rate|win|cagr", re.IGNORECASE)
_RATIOS = re.compile(r"sharpe|sortino|calmar|ratio|factor|bars", re.IGNORECASE)


def about(slot: SlotReport) -> str:
    """One line on the slot's task and data.

    Parameters
    ----------
    slot : SlotReport
    """
    task, counted = f"{slot.task} {slot.target}", "samples"
    if slot.forecasts:
        steps = f"{slot.horizon} bar{'s' * (slot.horizon != 1)} ahead"
        task, counted = f"{slot.task} of {slot.target}, {steps}", "bars"
    parts = [task, f"data {slot.dataset}"]
    if slot.tickers:
        shown = ", ".join(slot.tickers[:6])
        more = len(slot.tickers) - 6
        parts.append(shown + (f" and {more} more" if more > 0 else ""))
    parts += [f"{slot.bars:,} {counted}"] if slot.bars else []
    parts += [f"{slot.period[0]} to {slot.period[1]}"] if slot.period else []
    if slot.test_period:
        parts.append(f"sealed test {slot.test_period[0]} to {slot.test_period[1]}")
    return "; ".join(parts)


def config_text(slot: SlotReport) -> str:
    """The family and its config on one line; empty before a choice.

    Parameters
    ----------
    slot : SlotReport
    """
    return slot.label or f"{slot.family} {short(slot.config)}".strip()


def short(config: Mapping[str, object]) -> str:
    """A config on one line, with three digits of each number.

    Parameters
    ----------
    config : mapping of name to value

    Examples
    --------
    >>> short({"lstm_units": 32, "learning_rate": 0.00123456})
    'lstm_units 32, learning_rate 0.00123'
    """
    return ", ".join(
        f"{name} {f'{value:.3g}' if isinstance(value, float) else value}"
        for name, value in config.items()
    )


def blocks(slot: SlotReport) -> list[Block]:
    """Tables of one slot in the order of the page.

    Parameters
    ----------
    slot : SlotReport
    """
    of_classes = (_numbers, _gates, _ranking, _ladder, _classes, _selection_bias, _config)
    of_forecasts = (
        *(_numbers, _gates, _ranking, _ladder),
        *(_selection_bias, _trading, _tickers, _config),
    )
    return [block(slot) for block in (of_forecasts if slot.forecasts else of_classes)]


def charts(slot: SlotReport) -> tuple[list[str], list[str]]:
    """Charts of one slot as SVG, and a sentence for each missing one.

    Parameters
    ----------
    slot : SlotReport
    """
    drawn, missing = [], []
    better = f"{_better(slot)} is better"
    if slot.tuning:
        values = [p.value if p.state == "complete" else None for p in slot.tuning]
        better_of = np.fmin if _better(slot) == "lower" else np.fmax
        title = f"Tuning: {len(values)} trials and best so far"
        label = f"{slot.metric} on validation, {better}; × pruned or failed"
        if all(value is not None for value in values):
            label = f"{slot.metric} on validation by trial, {better}"
        best, naive = better_of.accumulate(axis.floats(values)).tolist(), slot.tuning_naive
        drawn.append(svg.history(values, best, title=title, y_label=label, reference=naive))
    else:
        missing.append("No tuning has run yet.")
    if slot.folds:
        title = "Folds of the best configs"
        label = f"{slot.metric}: ○ a fold, ● the mean; {better}"
        naive = slot.folds_naive_mean
        drawn.append(svg.dots(slot.folds, title=title, x_label=label, reference=naive))
    else:
        missing.append("No cross-validation has run yet.")
    if not slot.forecasts:
        return drawn, missing
    if slot.equity is None or not len(slot.equity.times):
        return drawn, [*missing, "No backtest has run yet, so there is no equity to show."]
    curves = [
        svg.Curve("buy and hold", slot.equity.buy_and_hold, "naive"),
        svg.Curve("equal weight", slot.equity.equal_weight, "reference"),
        svg.Curve("candidate", slot.equity.candidate, "candidate"),
    ]
    seen = np.concatenate([np.asarray(line.y, dtype=float) for line in curves])
    seen = seen[np.isfinite(seen)]
    wide = bool(len(seen) > 0 and seen.min() > 0 and seen.max() > 3 * seen.min())
    # The test is shaded only where the curves start before it.
    begins = slot.test_period is not None and _day(slot.test_period[0]) > slot.equity.times[0]
    shade = None
    if slot.test_period and begins:
        shade = (_day(slot.test_period[0]), _day(slot.test_period[1]), "sealed test")
    times, title, label = slot.equity.times, "Equity after costs", "value of the portfolio"
    drawn.append(svg.lines(times, curves, title=title, y_label=label, log=wide, shade=shade))
    drawn.append(svg.drawdown(times, curves, title="Drawdown"))
    return drawn, missing


def notes(slot: SlotReport) -> list[str]:
    """Notes on the numbers: configs scored, looks, costs, lineage.

    Parameters
    ----------
    slot : SlotReport
    """
    look, looks = slot.test_looks, ""
    if look:
        looks = f"Look {look} at the sealed test"
        looks += f": the one-sided p-value is multiplied by {look} x {look + 1}."
    texts = [
        f"Configs scored for this slot in total: {slot.trials_counted:,}, "
        "over all studies, logs and imports.",
        looks if slot.forecasts else "",
        f"Baseline: {slot.naive_method}.",
        slot.distinguishable,
        f"Costs: {slot.costs or 'no backtest has run yet.'}" if slot.forecasts else "",
        f"Execution: {slot.execution}" if slot.forecasts and slot.execution else "",
        f"Lineage: {' → '.join(slot.lineage)}" if slot.lineage else "",
    ]
    return [note for note in texts if note]


def _numbers(slot: SlotReport) -> Block:
    rows: list[list[object]] = []
    if slot.validation:
        rows.append(["validation", *slot.validation, _change(slot, slot.validation), None, None])
    if slot.test:
        p_values = [p_value(slot.dm_p_value), p_value(slot.dm_p_adjusted)]
        part = "sealed test" if slot.forecasts else "evaluation data"
        rows.append([part, *slot.test, _change(slot, slot.test), *p_values])
    after = []
    if rows and not slot.test and slot.forecasts:
        after.append("The sealed test has not been opened yet.")
    if slot.dm_statistic is not None:
        after.append(
            f"Diebold-Mariano statistic against {slot.naive_method} on the sealed test: "
            f"{number(slot.dm_statistic)}. The adjusted p-value is that of look "
            f"{slot.test_looks} at that test."
        )
    columns = ["part", "candidate", "baseline", "against it", "p-value", "p, adjusted for looks"]
    title = f"{slot.metric} ({_better(slot)} is better)"
    return Block(title, columns, rows, after, "No config has been scored yet.", stacked=True)


def _gates(slot: SlotReport) -> Block:
    rows = [[gate.name, gate.result, gate.finding, gate.limit] for gate in slot.gates]
    columns = ["gate", "result", "finding", "limit"]
    missing = "No gate has been evaluated yet."
    return Block("Gates", columns, rows, (), missing, stacked=True, result=1)


def _classes(slot: SlotReport) -> Block:
    rows = [[r.name, r.f1_mean, r.f1_std, r.recall_mean, r.recall_std] for r in slot.classes]
    columns = ["class", "F1, mean", "F1, std", "recall, mean", "recall, std"]
    title = "Classes over the folds, chosen config"
    return Block(title, columns, rows, missing="No cross-validation has run yet.")


def _ranking(slot: SlotReport) -> Block:
    rows: list[list[object]] = []
    for row in slot.ranking:
        label = f"{row.label} (chosen)" if row.chosen else row.label
        tests = [p_value(row.p_value), p_value(row.p_corrected)]
        rows.append([label, row.mean, interval(row), *tests, distinction(row)])
    columns = ["config", slot.metric, "95 % interval", "p against baseline", "p, corrected"]
    after = []
    if rows:
        tied = sum(row.in_set is True for row in slot.ranking)
        after.append(
            f"{tied} of {len(rows)}, baselines included, are not distinguishable from the best "
            "(model confidence set, 90 %). Corrected p-values count every config scored on these "
            f"bars ({slot.trials_counted}; Holm)."
            if any(row.in_set is not None for row in slot.ranking)
            else "The model confidence set is undecidable: too few periods."
        )
    title = f"Ranking on the validation folds ({_better(slot)} is better)"
    missing = "No cross-validation has run yet, so there is no ranking."
    return Block(title, [*columns, "against the best"], rows, after, missing, stacked=True)


def _ladder(slot: SlotReport) -> Block:
    mine = slot.validation[0] if slot.validation else None
    rows = [[label, mean, _change(slot, (mine, mean))] for label, mean in slot.ladder]
    columns = ["baseline", f"{slot.metric}, mean of the folds", "candidate against it"]
    missing = "No cross-validation has run yet."
    return Block("Baselines over the folds", columns, rows, (), missing)


def ladder_line(slot: SlotReport) -> str:
    """The baselines over the folds on one line; empty without any.

    Examples
    --------
    >>> slot = {"slot": "us4/D/return", "task": "forecast", "target": "log_return", "horizon": 5}
    >>> slot |= {"dataset": "us4", "metric": "mse", "metric_direction": "min"}
    >>> ladder_line(SlotReport(**slot, ladder=[("naive zero", 0.0025), ("ridge", 0.0031)]))
    'us4/D/return: mean mse of the baselines over the folds: naive zero 0.002500, ridge 0.003100'
    """
    means = ", ".join(f"{label} {number(mean)}" for label, mean in slot.ladder)
    if not means:
        return ""
    return f"{slot.slot}: mean {slot.metric} of the baselines over the folds: {means}"


def interval(row: RankRow) -> str:
    """Short text of the interval of a mean loss; empty without one.

    Examples
    --------
    >>> interval(RankRow("lstm", 0.21, 0.19, 0.2345))
    '0.1900 to 0.2345'
    """
    return f"{number(row.low)} to {number(row.high)}" if row.low is not None else ""


def distinction(row: RankRow) -> str:
    """Whether a config is distinguishable from the best, in words.

    Examples
    --------
    >>> distinction(RankRow("lstm", in_set=True))
    'not distinguishable'
    """
    if row.in_set is None:
        return "undecidable"
    return "not distinguishable" if row.in_set else "worse"


def _selection_bias(slot: SlotReport) -> Block:
    rows: list[list[object]] = [[row.name, row.value, row.meaning] for row in slot.luck]
    missing = "No analysis has run yet, so the selection bias is not known."
    after = [slot.luck_basis] if slot.luck_basis else []
    columns = ["figure", "value", "meaning"]
    return Block("Selection bias", columns, rows, after, missing, stacked=True)


def _trading(slot: SlotReport) -> Block:
    names = list(slot.trading)
    measures = list(dict.fromkeys(key for name in names for key in slot.trading[name]))
    rows: list[list[object]] = []
    for measure in measures:
        share = _SHARES.search(measure) and not _RATIOS.search(measure)
        values = [slot.trading[name].get(measure) for name in names]
        rows.append([measure.replace("_", " "), *map(percent if share else number, values)])
    missing = "No backtest has run yet, so there are no trading measures."
    return Block("Trading on the sealed test, after costs", ["measure", *names], rows, (), missing)


def _tickers(slot: SlotReport) -> Block:
    losses = slot.loss_by_ticker
    rows = [[ticker, mine, naive, _change(slot, (mine, naive))] for ticker, mine, naive in losses]
    title = f"{slot.metric} by ticker on the sealed test"
    columns = ["ticker", "candidate", "baseline", "against it"]
    return Block(title, columns, rows, (), "No losses by ticker are known yet.")


def _config(slot: SlotReport) -> Block:
    rows: list[list[object]] = [["family", slot.family]] if slot.family else []
    rows += [[str(key), _setting(value)] for key, value in slot.config.items()]
    version = f", version {slot.version}" if slot.version is not None else ""
    after = [f"Candidate {slot.candidate}{version}."] if slot.candidate else []
    return Block("Config", ["setting", "value"], rows, after, "No config has been chosen yet.")


def _better(slot: SlotReport) -> str:
    return "lower" if slot.metric_direction.startswith(("low", "min")) else "higher"


def _change(slot: SlotReport, pair: Pair) -> str | None:
    mine, naive = pair
    if mine is None or naive is None or not np.isfinite([mine, naive]).all():
        return None
    return change(mine, naive, lower_is_better=_better(slot) == "lower")


def _setting(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_setting, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _day(text: str) -> np.datetime64:
    try:
        return np.datetime64(text)
    except ValueError:
        return np.datetime64("NaT")

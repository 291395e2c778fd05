"""Reports: nothing is loaded, nothing breaks out, nothing overlaps, nothing is lost."""

import json
import math
import re
from collections import Counter
from dataclasses import replace
from itertools import chain, pairwise
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from looped import looped
from podium.errors import DataError
from podium.render import axis, svg, table
from podium.render.page import STYLE, page
from podium.render.run import run_dict, run_markdown, run_page, summary_rows
from podium.render.values import (
    EquityCurves,
    FoldRow,
    GateRow,
    RankRow,
    RunReport,
    SelectionBiasRow,
    SlotReport,
    TuningPoint,
)

SVG = "{http://www.w3.org/2000/svg}"
EVIL = '<script>alert("x")</script>&\x1b[31m'


def slot_report(name="eurusd/1H", verdict="promoted", bars=800, words="plain"):
    rng = np.random.default_rng(7)
    times = np.datetime64("2023-07-03T00") + np.arange(bars) * np.timedelta64(1, "h")
    equity = [np.exp(np.cumsum(rng.normal(0.0005, 0.006, bars))) for _ in range(3)]
    points = [
        TuningPoint(i, words, None if i % 9 == 4 else float(rng.normal(5, 1)), "complete")
        for i in range(60)
    ]
    measures = {"total_return": 0.12, "sharpe": 1.3, "max_drawdown": -0.08, words: 3.0}
    return SlotReport(
        slot=name,
        task=words,
        target=words,
        horizon=5,
        dataset=words,
        tickers=[words, "GBPUSD"],
        bars=18240,
        period=("2021-01-04", words),
        test_period=("2023-07-03", "2023-12-29"),
        metric=words,
        metric_direction="lower",
        verdict=verdict,
        sentence=words,
        gates=[GateRow(words, "pass", words, words), GateRow("b", "missing")],
        family=words,
        config={"units": 64, "learning_rate": 0.003, words: words},
        candidate=words,
        version=3,
        trials_counted=61,
        test_looks=2,
        naive_method=words,
        validation=(0.0046, 0.0049),
        test=(0.0047, 0.005),
        dm_statistic=-3.4,
        dm_p_value=0.0007,
        dm_p_adjusted=0.0014,
        tuning=points,
        folds=[FoldRow(words, [1.0, 2.0, float("nan")], 1.5, True), FoldRow("b", [2.0], 2.0)],
        folds_naive_mean=2.5,
        distinguishable=words,
        ranking=[RankRow(words, 1.5, 1.2, 1.9, 0.01, 0.02, True, True), RankRow("b", in_set=False)],
        luck=[SelectionBiasRow(words, 0.97, words), SelectionBiasRow("PBO", None, "too few bars")],
        luck_basis=words,
        equity=EquityCurves(times, *equity),
        trading={
            "candidate": measures,
            "equal weight": {**measures, "sharpe": 0.7},
            words: measures,
        },
        costs=words,
        execution=words,
        loss_by_ticker=[(words, 0.004, 0.005)],
        lineage=[words],
        commands=[words],
    )


def run_report(*slots, words="plain"):
    return RunReport(words, words, slots, {words: words})


def texts(chart):
    return list(ElementTree.fromstring(chart).iter(f"{SVG}text"))


def charts_of(document):
    return re.findall(r"<svg.*?</svg>", document, flags=re.DOTALL)


def test_a_page_asks_for_nothing_outside_itself():
    document = run_page(run_report(slot_report()))
    bare = document.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert "http://" not in bare
    assert "https://" not in bare
    assert "<script" not in bare
    assert "url(" not in bare
    assert "@import" not in bare
    assert "default-src 'none'" in bare


def test_everything_that_a_user_wrote_is_escaped():
    report = run_report(slot_report(name=EVIL, words=EVIL), words=EVIL)
    document = run_page(report)
    assert "<script" not in document
    assert "\x1b" not in document
    assert document.count("&lt;script&gt;") > 20
    written = run_markdown(report)
    assert "\x1b" not in written
    indented = [line for line in written.splitlines() if line.startswith("    ")]
    rest = "\n".join(line for line in written.splitlines() if line not in indented)
    assert "<script" not in rest.replace("\\<", "")


def test_every_chart_of_a_page_is_well_formed_and_has_a_title_and_a_description():
    document = run_page(run_report(slot_report(words=EVIL), slot_report(verdict="refused")))
    drawn = charts_of(document)
    assert len(drawn) == 8
    for chart in drawn:
        root = ElementTree.fromstring(chart)
        assert root.get("role") == "img"
        assert root.findtext(f"{SVG}title")
        assert root.findtext(f"{SVG}desc")
        assert "nan" not in re.sub(r"<(title|desc|text)[^>]*>.*?</\1>", "", chart)


def test_a_page_of_two_slots_with_800_bars_is_below_300_kilobytes():
    document = run_page(run_report(slot_report(), slot_report("us4/D", "refused")))
    assert len(document.encode()) < 300_000


def test_every_pair_of_text_and_ground_has_the_contrast_that_wcag_aa_asks_for():
    def light(colour):
        digits = colour if len(colour) == 6 else "".join(c * 2 for c in colour)
        parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))

    schemes = re.findall(r":root\{(.*?)\}", STYLE, flags=re.DOTALL)
    assert len(schemes) == 3
    for scheme in schemes:
        colours = dict(re.findall(r"--([a-z-]+):#([0-9a-f]+)", scheme))
        pairs = [
            (n, "pane") for n in ("ink", "muted", "candidate", "naive", "pass", "fail", "wait")
        ]
        pairs += [(n, f"{n}-tint") for n in ("pass", "fail", "wait")]
        pairs += [("ink", f"{n}-tint") for n in ("pass", "fail", "wait", "same")]
        pairs += [(n, "shade") for n in ("muted", "naive", "candidate")]
        for text, ground in pairs:
            bright, dim = sorted((light(colours[text]), light(colours[ground])), reverse=True)
            assert (bright + 0.05) / (dim + 0.05) >= 4.5, (text, ground)


def test_the_ranking_marks_configs_that_are_not_distinguishable_from_the_best():
    written = run_markdown(run_report(slot_report()))
    assert "1 of 2, baselines included, are not distinguishable from the best" in written
    assert "plain (chosen)" in written
    assert "1.200 to 1.900" in written
    assert "worse" in written
    unknown = replace(slot_report(), ranking=[RankRow("lstm", 1.5), RankRow("naive", 1.6)])
    told = run_markdown(run_report(unknown))
    assert "undecidable: too few periods" in told
    assert "naive included" not in told


def test_a_verdict_and_a_gate_are_words_with_a_sign():
    document = run_page(run_report(slot_report(verdict="refused")))
    assert "✕ refused" in document
    assert "✓ pass" in document
    assert "! missing" in document
    assert "= champion unchanged" in run_page(run_report(slot_report(verdict="champion unchanged")))


def test_the_summary_links_to_every_section():
    document = run_page(run_report(slot_report(), slot_report()))
    links = re.findall(r'href="#(slot[^"]+)"', document)
    assert len(set(links)) == 2
    assert all(f'<section id="{link}"' in document for link in links)


def test_an_empty_report_says_so_in_every_form():
    report = RunReport("demo", "2025-01-01")
    assert "No slot has been run yet." in run_page(report)
    assert "No slot has been run yet." in run_markdown(report)
    assert run_dict(report)["items"] == []


def test_a_step_that_has_not_run_leaves_a_sentence_in_its_place():
    slot = SlotReport(
        slot="gold/1H",
        task="forecast",
        target="return",
        horizon=1,
        dataset="gold",
        metric="rmse",
        metric_direction="lower",
    )
    document = run_page(run_report(slot))
    assert "<svg" not in document
    for sentence in (
        "No config has been scored yet.",
        "No gate has been evaluated yet.",
        "No tuning has run yet.",
        "No cross-validation has run yet.",
        "No backtest has run yet",
        "No config has been chosen yet.",
    ):
        assert sentence in document
    assert "No gate has been evaluated yet." in run_markdown(run_report(slot))
    assert "1 bar ahead" in document


def test_better_and_worse_follow_the_direction_of_the_metric():
    lower = slot_report()
    assert "6.0% better" in run_page(run_report(replace(lower, test=(0.0047, 0.005))))
    higher = replace(lower, metric_direction="higher", validation=(1.2, -0.4), test=(0.47, 0.5))
    document = run_page(run_report(higher))
    assert "1.600 better" in document
    assert "6.0% worse" in document


def test_the_dictionary_survives_json_unchanged_and_holds_no_nan():
    plain = run_dict(run_report(slot_report()))
    assert plain["podium"] == 1
    assert plain["kind"] == "run"
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    item = plain["items"][0]
    assert item["folds"][0]["values"] == [1.0, 2.0, None]
    assert item["equity"]["times"][0] == "2023-07-03T00"
    assert len(item["equity"]["candidate"]) == 800


def test_the_summary_has_one_row_a_slot_with_the_sharpe_after_costs_and_that_of_equal_weight():
    columns, rows = summary_rows(run_report(slot_report(), slot_report("us4/D", "refused")))
    assert [row[0] for row in rows] == ["eurusd/1H", "us4/D"]
    assert rows[0][columns.index("Sharpe")] == 1.3
    assert columns[columns.index("Sharpe") + 1] == "of equal weight"
    assert rows[0][columns.index("of equal weight")] == 0.7
    assert rows[0][columns.index("p, adjusted")] == "0.0014"
    assert rows[1][columns.index("verdict")] == "refused"


def test_a_gap_in_a_curve_stays_a_gap_and_a_lone_value_is_still_drawn():
    y = [1.0, 2.0, np.nan, 3.0, np.nan, 4.0, 5.0]
    chart = svg.lines(range(7), [svg.Curve("model", y)], title="t", y_label="y")
    (path,) = [
        p.get("d")
        for p in ElementTree.fromstring(chart).iter(f"{SVG}path")
        if p.get("stroke-width") == "2.2"
    ]
    assert path.count("M") == 3
    assert path.count("h0") == 1
    assert "nan" not in path


@looped(
    "chart",
    [
        svg.lines([], [], title="t", y_label="y"),
        svg.lines([0, 1], [svg.Curve("a", [np.nan, np.inf])], title="t", y_label="y"),
        svg.lines([0, 1], [svg.Curve("a", [-1.0, 0.0])], title="t", y_label="y", log=True),
        svg.drawdown([0, 1], [svg.Curve("a", [np.nan, np.nan])], title="t"),
        svg.dots([], title="t", x_label="x", reference=1.0),
        svg.dots([FoldRow("a", [float("nan")], None)], title="t", x_label="x"),
        svg.history([], [], title="t", y_label="y"),
        svg.history([None, float("nan")], [None, None], title="t", y_label="y", reference=1.0),
    ],
)
def test_a_chart_without_a_value_says_so(chart):
    assert "no values yet" in [t.text for t in texts(chart)]


def test_a_curve_of_another_length_is_refused_with_both_shapes():
    with pytest.raises(DataError, match=r"'model' has the shape \(2,\).*\(3,\)"):
        svg.lines([0, 1, 2], [svg.Curve("model", [1, 2])], title="t", y_label="y")
    with pytest.raises(DataError, match="datetime64"):
        svg.lines(["a"], [svg.Curve("model", [1])], title="t", y_label="y")


@given(
    st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=1, max_size=3000),
    st.integers(20, 400),
)
def test_thinning_keeps_the_lowest_and_the_highest_value(y, limit):
    kept = axis.thin(y, limit)
    values = np.array(y)
    assert len(kept) <= 1.5 * limit + 2
    assert (np.diff(kept) > 0).all()
    if np.isfinite(values).any():
        assert np.nanmin(values[kept]) == np.nanmin(values)
        assert np.nanmax(values[kept]) == np.nanmax(values)


@given(st.lists(st.floats(-50, 300), min_size=1, max_size=12))
def test_labels_are_spread_at_least_a_line_apart_and_stay_in_the_chart(wanted):
    placed = axis.spread(wanted, 15, 0, 200)
    assert all(b - a >= 15 - 1e-9 for a, b in pairwise(sorted(placed)))
    assert min(placed) >= -1e-9
    assert max(placed) <= 200 + 1e-9


@pytest.mark.parametrize("count", [2, 7, 30])
def test_labels_at_the_ends_of_equal_lines_do_not_overlap(count):
    series = [svg.Curve(f"line {i}", [1.0, 1.0 + i * 1e-6]) for i in range(count)]
    chart = svg.lines([0, 1], series, title="t", y_label="y")
    places = sorted(float(t.get("y")) for t in texts(chart) if t.text.startswith("line "))
    assert len(places) == count
    assert min(np.diff(places)) >= 14.9
    height = float(ElementTree.fromstring(chart).get("height"))
    assert places[-1] <= height


@given(
    st.floats(-1e9, 1e9, allow_subnormal=False),
    st.floats(1e-6, 1e9),
    st.integers(2, 8),
)
def test_ticks_are_inside_the_range_and_neither_few_nor_many(low, size, count):
    high = low + size
    if high - low < 1e-9 * max(abs(low), abs(high)):
        return
    found = axis.ticks(low, high, count)
    slack = 1e-6 * (high - low) + 1e-9 * max(abs(low), abs(high))
    assert 1 <= len(found) <= count * 2
    assert all(low - slack <= t <= high + slack for t in found)


@given(
    st.integers(-3_000_000_000, 4_000_000_000),
    st.integers(10, 3_000_000_000),
    st.integers(150, 1200),
)
def test_dates_below_a_chart_never_touch_and_every_range_has_one(start, size, room):
    across = axis.Scale(start, start + size, 40, 40 + room)
    found = [(v, words) for v, words in axis.horizontal(across, True) if words]
    ends = [(across(v) - len(w) * 3.4, across(v) + len(w) * 3.4) for v, w in found]
    assert found
    assert all(after[0] - before[1] >= 8 for before, after in pairwise(ends))


def test_years_months_days_and_hours_are_written_as_iso():
    def labels(start, end):
        ends = [float(np.datetime64(v, "s").astype(int)) for v in (start, end)]
        return [words for _, words in axis.horizontal(axis.Scale(*ends, 0, 280), True)]

    assert labels("1990-01-01", "2024-01-01")[:2] == ["1990", "1995"]
    assert labels("2023-01-01", "2023-05-08")[:2] == ["2023-01", "2023-02"]
    assert labels("2023-07-03T01:00", "2023-07-03T09:30")[1:] == ["06:00", "09:00"]


def test_a_naive_line_is_dashed_and_no_other_is():
    roles = ("candidate", "reference", "naive")
    series = [svg.Curve(r, [1.0, 2.0 + k], r) for k, r in enumerate(roles)]
    chart = svg.lines([0, 1], series, title="t", y_label="y")
    assert chart.count("stroke-dasharray") == 1
    assert "(≈" not in chart


def test_lines_that_coincide_are_drawn_over_each_other_and_named():
    flat, rising = [1.0, 1.0, 1.0], [1.0, 2.0, 3.0]
    series = [
        svg.Curve("equal weight", flat, "reference"),
        svg.Curve("hold", rising, "naive"),
        svg.Curve("model", flat, "candidate"),
        svg.Curve("zero", [1.0, 1.0, 1.0 + 1e-9], "naive"),
    ]
    chart = svg.lines([0, 1, 2], series, title="t", y_label="y")
    # The candidate's line is whole; short dashes of the two others take turns above it.
    assert chart.count(">(≈ model)</text>") == 2
    assert ">(≈ hold)" not in chart
    assert chart.count('stroke-dasharray="3 9"') == 2
    assert len({*re.findall(r'stroke-dashoffset="(\d+)"', chart)}) == 2
    assert "zero: from 1.000 to 1.000, lowest 1.000, highest 1.000, on the line of model" in chart
    # Labels have room below each other.
    heights = [float(y) for y in re.findall(r'<text x="[\d.]+" y="([\d.]+)"[^>]*>\(≈ ', chart)]
    assert abs(heights[0] - heights[1]) >= 15


def test_a_scatter_has_the_labels_of_its_values_apart():
    few = svg.scatter([64, 128, 256], [1.0, 2.0, 3.0], title="units", y_label="y", best=0)
    assert all(f">{value}</text>" in few for value in (64, 128, 256))
    assert "3 runs, best 1.000 at 64" in few
    wide = svg.scatter([1e-5, 1e-3, 0.1], [1.0, 2.0, math.nan], title="rate", y_label="y")
    assert ">0.001</text>" in wide
    assert "2 runs" in wide
    names = [f"a long name {n}" for n in range(8)]
    turned = svg.scatter(names, [1.0] * 8, title="names", y_label="y")
    assert turned.count("rotate(-35") == 8
    far = svg.scatter(
        [*range(9)], [1.0, 1.1, 0.9, 1.0, 1.1, 0.9, 1.0, 1.1, 99.0], title="t", y_label="y"
    )
    assert far.count("h-7z") == 1
    assert "no values yet" in svg.scatter([1], [math.nan], title="t", y_label="y")


def test_a_shaded_stretch_outside_the_plot_is_left_out():
    times = np.array(["2023-01-01", "2023-02-01"], dtype="datetime64[D]")
    curve = [svg.Curve("a", [1.0, 2.0])]
    for shade, drawn in [
        (("2023-01-15", "2024-01-01"), 1),
        (("2024-01-15", "2025-01-01"), 0),
        (("NaT", "2023-01-15"), 0),
    ]:
        ends = [np.datetime64(v) for v in shade]
        chart = svg.lines(times, curve, title="t", y_label="y", shade=(*ends, "sealed test"))
        assert chart.count("<rect") == drawn


def test_one_exploded_trial_does_not_flatten_the_tuning_history():
    values = [1.0, 1.1, 0.9, 1.2, 1e9, 0.95]
    chart = svg.history(values, list(np.minimum.accumulate(values)), title="t", y_label="y")
    assert chart.count("<circle") == 5
    assert "h-7z" in chart
    assert "B" not in "".join(t.text for t in texts(chart))


def test_dots_are_hollow_for_folds_and_filled_for_the_mean():
    rows = [FoldRow("a", [1.0, float("nan"), 3.0], 2.0, True), FoldRow("b", [2.0], None)]
    chart = svg.dots(rows, title="t", x_label="x", reference=2.5)
    fills = [c.get("fill") for c in ElementTree.fromstring(chart).iter(f"{SVG}circle")]
    assert sum("--pane" in fill for fill in fills) == 3
    assert sum("--candidate" in fill for fill in fills) == 1
    assert "✓ a" in [t.text for t in texts(chart)]


def test_a_terminal_table_aligns_numbers_right_and_words_left():
    shown = table.text(["name", "value"], [["a", 1.5], ["long name", None], ["c", 0.00012345]])
    lines = shown.splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[2].startswith("a  ")
    assert lines[2].endswith("    1.500")
    assert lines[3].endswith(" -")
    assert lines[4].endswith("0.0001235") or lines[4].endswith("0.0001234")


@given(
    st.lists(
        st.lists(
            st.text(max_size=30).map(lambda t: t + ".") | st.floats() | st.none(),
            min_size=3,
            max_size=3,
        )
    ),
    st.integers(5, 80),
)
def test_no_line_of_a_table_is_wider_than_the_terminal_and_no_character_is_lost(rows, width):
    shown = table.text(["a", "b", "c"], rows, width=width)
    lines = shown.split("\n")
    assert "\n".join(lines).splitlines() == lines
    assert all(table._columns(line) <= width for line in lines)
    signs = Counter(re.sub(r"\s", "", shown))
    assert not Counter(re.sub(r"\s", "", "".join(map(table.cell, chain(*rows))))) - signs


def test_a_cell_of_several_words_wraps_and_numbers_stay_whole():
    rows = [["learning_rate=0.003 units=64", 0.004821]]
    assert table.text(["config", "rmse"], rows, width=34).splitlines()[2:] == [
        "learning_rate=0.003       0.004821",
        "units=64",
    ]


def test_a_column_without_room_beside_the_others_is_below_each_row():
    rows = [["t-1", "the reason is a sentence of many words", "complete"]]
    assert table.text(["trial", "why", "state"], rows, width=24).splitlines() == [
        "trial  state",
        "-----  --------",
        "t-1    complete",
        "  why: the reason is a",
        "  sentence of many words",
    ]


def test_a_control_character_never_reaches_the_terminal():
    assert "\x1b" not in table.text(["a"], [["\x1b[31mred"], ["two\nlines"]])


def test_a_row_of_another_length_is_refused():
    with pytest.raises(DataError, match="row 0 of the table has 1 cells"):
        table.text(["a", "b"], [["x"]])


def test_an_html_table_marks_numbers_and_escapes_words():
    shown = table.html(["a", "<n>"], [["<i>", 1.0], ["&", None]])
    root = ElementTree.fromstring(shown)
    assert [cell.text for cell in root.iter("td")] == ["1.000", "-"]
    assert all(cell.get("class") == "num" for cell in root.iter("td"))
    assert [cell.text for cell in root.iter("th")] == ["a", "<n>", "<i>", "&"]


def test_a_pipe_in_a_cell_does_not_make_a_column_in_markdown():
    shown = table.markdown(["a"], [["x|y"], ["`z`"]])
    assert "x\\|y" in shown
    assert "\\`z\\`" in shown


def test_provenance_stands_in_the_footer():
    document = page("t", "", provenance={"data": "sha256:<1>"})
    assert "<dt>data</dt><dd>sha256:&lt;1&gt;</dd>" in document
    assert "<footer" not in page("t", "", provenance={})

"""podium report: the runs of a slot as Markdown and as a page with charts."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

import podium
from _searched import FAMILIES, SLOT, searched_record
from podium.cli.main import run as podium_command
from podium.errors import NotFoundError, UsageError
from podium.render import sweep_report as pages
from podium.steps.archive.init import init
from podium.steps.search.impact import fair_epoch
from podium.steps.search.report import report
from podium.steps.workspace.session import open_project
from podium.tracker import HyperparamTracker


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    return searched_record(tmp_path_factory.mktemp("report") / "p", 120)


@pytest.fixture(scope="module")
def written(searched, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "a.md"
    with open_project(searched) as project:
        return report(project, out=out)


class Page(HTMLParser):
    """Elements of a page by name."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def named(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


def headings(text):
    return [line for line in text.splitlines() if line.startswith("#")]


def test_the_markdown_has_the_guides_headings_and_the_tables(written):
    text = written.markdown.read_text()
    lines = text.splitlines()
    assert lines[0] == "# Hyperparameter Sweep Report"
    assert re.fullmatch(r"Generated: \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", lines[2])
    assert lines[4] == f"Total runs: {len(written.content.records)}"
    assert headings(text)[1:6] == [
        "## Best Models by Type (val_mse)", "### BILSTM", "### LIGHTGBM", "### LSTM", "### RIDGE",
    ]  # fmt: skip
    assert headings(text)[6:] == [
        "## Baselines",
        "## Comparison with the best baseline",
        "## Coverage of intervals",
        "## Scores of quantiles",
        "## Impact of hyperparameters",
    ]
    assert "| naive zero | 1.000 |" in text


def test_the_tracker_and_the_verb_write_the_same_best_models(searched, written):
    with HyperparamTracker(searched) as tracker:
        theirs = tracker.generate_report()
    mine = written.markdown.read_text()
    best = [line for line in mine.splitlines() if line.startswith("- Run ID")]
    assert [line for line in theirs.splitlines() if line.startswith("- Run ID")] == best


def test_the_best_run_of_each_family_is_the_one_with_the_lowest_score(written):
    records = written.content.records
    for name, count, best in written.content.best:
        mine = [run for run in records if run.model_name == name]
        assert count == len(mine)
        assert best.metrics["val_mse"] == min(run.metrics["val_mse"] for run in mine)
    scores = [best.metrics["val_mse"] for *_, best in written.content.best]
    assert scores == sorted(scores)
    assert written.rows()[0]["run_id"] in written.sentence


def test_the_comparison_is_paired_with_the_best_baseline(written):
    assert written.content.reference == "naive zero"
    assert [score for _, score in written.content.ladder] == [1.0, 1.5]
    assert written.content.searched == 120
    first = written.content.compared[0]
    # The mean loss of the planted record is its score plus 0.1, against a baseline of 1.
    assert first.low < 100 * (1 - first.score - 0.1) + 2
    assert first.low <= first.percent <= first.high
    assert first.p_corrected >= first.p_value
    assert len(written.content.compared) >= 5


def test_impact_is_measured_at_the_last_epoch_that_half_of_the_trials_reached(written):
    for name in FAMILIES:
        strongest, *others = [a for a in written.content.associations if a.family == name]
        assert strongest.hyperparam == "learning_rate"
        assert "which is worse" in strongest.finding
        assert len(others) == 11
        # Only the trials of a small learning rate were trained to their end.
        complete = sum(run.model_name == name for run in written.content.records)
        reached = complete if complete >= 15 else 30
        assert f"{reached} of 30 runs" in strongest.basis
        assert strongest.epoch == (0 if complete >= 15 else 2)
        assert ("at epoch 2" in strongest.basis) == (complete < 15)


def test_the_epoch_of_a_comparison_is_one_that_enough_trials_reached():
    halved = [(1, False)] * 30 + [(2, False)] * 15 + [(4, False)] * 8 + [(12, True)] * 7
    assert fair_epoch(halved) == 2
    assert fair_epoch([(1, False), *[(12, True)] * 9]) == 0
    # Of few trials all count.
    assert fair_epoch([(1, False)] * 2 + [(4, True)] * 2) == 1
    assert fair_epoch([]) == 0


def test_the_page_is_self_contained_small_and_accessible(written):
    text = written.html.read_text()
    assert len(text.encode()) <= pages.LIMIT
    found = Page(text)
    assert not found.named("script")
    assert not [a for _, a in found.elements if str(a.get("src", "")).startswith("http")]
    links = [a["href"] for a in found.named("a") + found.named("link")]
    assert all(link.startswith(("#", "data:")) for link in links)
    drawings = found.named("svg")
    assert drawings
    assert all(one["role"] == "img" for one in drawings)
    # A title and a description in words for each chart; one more title is the page's.
    assert len(found.named("desc")) == len(drawings) == len(found.named("title")) - 1
    assert len(found.named("caption")) == len(found.named("table")) == 5
    assert all(head.get("scope") in ("col", "row") for head in found.named("th"))
    assert text.count("lstm: learning_rate") >= 1
    assert "Learning curves" in text


def test_a_page_of_many_families_with_long_names_stays_below_the_limit(written):
    [run, *_] = written.content.records
    config = {f"parameter_{n}_{'x' * 60}": n for n in range(40)}
    names = [f"{n} {'long name ' * 40}" for n in range(400)]
    many = [replace(run, model_name=name, hyperparams=config, run_id=name) for name in names]
    values = [float(n) for n in range(2000)]
    far = [
        pages.Association(name, f"{h}{'y' * 400}", "b" * 400, 0, "f" * 400, values, values, 0)
        for name in names[:20] for h in range(20)
    ]  # fmt: skip
    content = replace(written.content, records=many, associations=far)
    text = pages.report_page(content)
    assert len(text.encode()) <= pages.LIMIT
    assert "in the Markdown file" in text


def test_coverage_of_candidates_is_in_the_report(ladder, tmp_path):
    root = ladder.copy(tmp_path / "p", "judged")
    with open_project(root) as project:
        result = report(project, out=tmp_path / "r.md")
    [one] = result.content.calibrated
    assert one.values["coverage_80_low"] <= one.values["coverage_80"] <= 1
    text = (tmp_path / "r.md").read_text()
    rows = [line for line in text.splitlines() if one.label in line]
    assert [row.split(" | ")[2] for row in rows] == ["80 %", "90 %", "crps", "mase", "wql"]
    assert f"{one.values['coverage_80']:.4g}" in rows[0]
    page = (tmp_path / "r.html").read_text()
    assert "Coverage less nominal" in page
    assert "nominal 0" in page


def test_classifiers_are_compared_by_their_log_loss(ladder, tmp_path):
    root = ladder.copy(tmp_path / "p", "searched", "classes")
    with open_project(root) as project:
        content = report(project, out=tmp_path / "r.md").content
    scores = [best.metrics[content.metric] for *_, best in content.best]
    assert (content.metric, content.better) == ("val_macro_f1", "higher is better")
    assert scores == sorted(scores, reverse=True)
    assert content.ladder[0][1] == max(score for _, score in content.ladder)
    assert content.compared
    text = (tmp_path / "r.md").read_text()
    assert "mean log loss" in text
    # Twelve groups are too few for an interval.
    assert "at least 30 are needed" in text
    assert "nan" not in text


def test_few_runs_are_a_sentence_with_the_number_that_is_needed(tmp_path):
    root = searched_record(tmp_path / "p", 5, ("lstm",))
    with open_project(root) as project:
        result = report(project, out=tmp_path / "r.md")
    assert "and 8 are needed" in (tmp_path / "r.md").read_text()
    assert "lstm: learning_rate</title>" not in (tmp_path / "r.html").read_text()
    assert result.content.associations[0].scores == []


def test_an_empty_record_is_not_found_with_what_was_searched(tmp_path, capsys):
    root = init(tmp_path / "p", demo=True)
    where = ["--project", str(root)]
    assert podium_command(["report", *where]) == 3
    message = capsys.readouterr().err
    assert "no record yet" in message
    assert "podium sweep" in message
    assert not (root / "hyperparams").exists()
    root = searched_record(tmp_path / "q", 0)
    with open_project(root) as project, pytest.raises(NotFoundError) as error:
        report(project)
    assert SLOT in str(error.value)
    assert "2 complete" in str(error.value)


def test_the_command_writes_both_files_at_the_default_place(searched, tmp_path, capsys):
    where = ["--project", str(searched)]
    assert podium_command(["report", SLOT, "--json", *where]) == 0
    [text] = (searched / "hyperparams").glob("sweep_report_*.md")
    assert re.fullmatch(r"sweep_report_\d{8}_\d{6}", text.stem)
    assert text.with_suffix(".html").is_file()
    assert str(text) in capsys.readouterr().out
    out = tmp_path / "new" / "page.html"
    assert podium_command(["report", "--out", str(out), *where]) == 0
    assert out.is_file()
    assert out.with_suffix(".md").is_file()
    assert podium_command(["report", "--out", str(tmp_path / "r.pdf"), *where]) == 2
    assert ".md or .html" in capsys.readouterr().err


def test_python_writes_the_report_of_a_project_or_a_slot(searched, tmp_path):
    with podium.open(searched) as project:
        one = project.report(out=tmp_path / "a.md")
        other = project.slot(SLOT).report(out=tmp_path / "b.md")
        with pytest.raises(UsageError):
            project.report(out=tmp_path)
    assert one.frame().equals(other.frame())


def test_odd_names_and_values_break_no_page(tmp_path):
    name, odd = "<script>alert(1)</script> | `x`\n# y", "</title><b>"
    with HyperparamTracker(tmp_path / "hyperparams" / "sweep_results.json") as tracker:
        for n in range(20):
            mixed = [None, True, [n], {"a": n}, "\u65e5\u672c", n][n % 6]
            tracker.log_run(name.replace("\n", " "), {odd: mixed, "n": n % 2}, {"val_loss": n / 7})
    with podium.open(tmp_path) as project:
        result = project.report()
    text = result.html.read_text()
    page = Page(text)
    assert not page.named("script")
    assert not page.named("b")
    assert len(page.named("title")) == len(page.named("svg")) + 1
    headlines = headings(result.markdown.read_text())
    assert [line for line in headlines if line.startswith("# ")] == headlines[:1]


def test_runs_of_a_tracker_alone_have_a_report(tmp_path):
    with HyperparamTracker(tmp_path / "hyperparams" / "sweep_results.json") as tracker:
        for n in range(9):
            tracker.log_run("toto", {"lr": n}, {"val_pct_mae": 1.0 + n, "val_coverage_80": 0.8})
        tracker.log_run("kronos", {}, {"note": 1.0})
    with podium.open(tmp_path) as project:
        result = project.report()
    text = result.markdown.read_text()
    assert "## Best Models by Type (val_pct_mae)" in text
    assert "None of its runs (1) has a metric with a known direction" in text
    [lr] = result.content.associations
    assert "+1.00 over 9 runs" in lr.finding
    assert result.content.calibrated[0].values == {"coverage_80": 0.8}

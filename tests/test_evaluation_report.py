"""The files of an evaluation: they agree with each other and with scikit-learn, and say so."""

import builtins
import csv
import io
import json
import re
import sys
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from sklearn import metrics as sk

import pictures
from looped import rest_slow
from podium.errors import DataError, MissingExtraError
from podium.render import png
from podium.render._class_charts import DEEPEST
from podium.render.evaluation import EvaluationReport, evaluation_page, worst_errors
from podium.render.evaluation_files import bundle, check_bundle
from podium.render.page import STYLE

SVG = "{http://www.w3.org/2000/svg}"
EVIL = '<script>alert("x")</script>'
NAMES = ("normal", "=cmd|calc", EVIL, "never seen, $x$ 軸")


def answers(truth, skill, rng):
    logits = rng.normal(size=(len(truth), len(NAMES)))
    logits[np.arange(len(truth)), truth] += skill
    odds = np.exp(logits)
    return odds / odds.sum(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def evaluated():
    """Four classes, one of them never there, with a champion and a baseline."""
    rng = np.random.default_rng(0)
    truth = rng.choice(4, size=600, p=[0.8, 0.12, 0.08, 0])
    x = rng.normal(size=(600, 10, 2)).astype(np.float32)
    x[rng.random(x.shape) < 0.1] = np.nan
    return EvaluationReport(
        EVIL,
        truth,
        answers(truth, 2.5, rng),
        NAMES,
        {"dataset": "abc", "candidate": EVIL, "artifact": "sha256:1"},
        rows=np.arange(600) + 1000,
        groups=np.array([f"=day {n // 20}" for n in range(600)]),
        x=x,
        lengths=rng.integers(1, 11, 600),
        feature_names=("glucose", EVIL),
        cost=10.0 - 10.0 * np.eye(4),
        champion=answers(truth, 1.0, rng),
        naive=answers(truth, 0.5, rng),
    )


@pytest.fixture(scope="module")
def files(evaluated):
    return bundle(evaluated)


@pytest.fixture(scope="module")
def drawn_files(evaluated):
    """The same with its pictures."""
    with pytest.MonkeyPatch.context() as patch:
        pictures.draw(patch)
        return bundle(evaluated)


def read(files, name):
    return list(csv.DictReader(io.StringIO(files[name].decode())))


def told(files, **changed):
    """What is wrong with a bundle where some files are others; None leaves one out."""
    named = {name.replace("__", "."): data for name, data in changed.items()}
    mixed = {name: data for name, data in {**files, **named}.items() if data is not None}
    return "\n".join(map(str, check_bundle(mixed)))


def test_a_bundle_has_every_file_and_holds_together(files):
    assert sorted(files) == [
        "calibration.csv",
        "calibration.png",
        "classification_report.csv",
        "classification_report.json",
        "confusion_matrix.csv",
        "confusion_matrix.png",
        "differences.csv",
        "evaluation.html",
        "metrics.json",
        "pr_curves.csv",
        "pr_curves.png",
        "predictions.csv",
        "roc_curves.csv",
        "roc_curves.png",
        "thresholds.csv",
    ]
    assert check_bundle(files) == []


def test_the_same_numbers_give_the_same_bytes(evaluated, drawn_files, drawn):
    assert bundle(replace(evaluated)) == drawn_files


def test_the_classification_report_is_that_of_scikit_learn(evaluated, files):
    theirs = sk.classification_report(
        evaluated.truth,
        evaluated.probabilities.argmax(axis=1),
        labels=range(4),
        target_names=NAMES,
        output_dict=True,
        zero_division=0,
    )
    mine = json.loads(files["classification_report.json"])
    assert list(mine) == list(theirs)
    for name, row in theirs.items():
        assert mine[name] == pytest.approx(row, rel=0, abs=1e-12)


def test_predictions_read_again_give_scikit_learns_figures(evaluated, files):
    rows = read(files, "predictions.csv")
    truth, chosen = ([int(row[c]) for row in rows] for c in ("truth", "chosen"))
    metrics = json.loads(files["metrics.json"])
    macro = sk.f1_score(truth, chosen, labels=range(4), average="macro", zero_division=0)
    assert metrics["metrics"]["macro_f1"] == pytest.approx(macro, rel=0, abs=1e-12)
    again = [[float(row[f"probability_{k}"]) for k in range(4)] for row in rows]
    assert again == evaluated.probabilities.tolist()
    assert rows[0]["row"] == "1000"
    assert metrics["facts"]["dataset"] == "abc"
    assert metrics["class_names"] == list(NAMES)
    assert metrics["metrics"]["roc_auc_3"] is None  # a class without samples


def test_curves_in_files_lie_on_scikit_learns(evaluated, files):
    truth, probabilities = evaluated.truth == 1, evaluated.probabilities[:, 1]
    rows = [r for r in read(files, "pr_curves.csv") if r["class"] == "'=cmd|calc"]
    precision, recall, thresholds = sk.precision_recall_curve(truth, probabilities)
    theirs = dict(zip(thresholds, zip(precision, recall, strict=False), strict=False))
    for row in rows:
        assert theirs[float(row["threshold"])] == pytest.approx(
            (float(row["precision"]), float(row["recall"]))
        )
    assert len(rows) == len(thresholds)
    begin = next(r for r in read(files, "roc_curves.csv") if r["class"] == "'=cmd|calc")
    assert (begin["threshold"], begin["false_positive_rate"]) == ("", "0.0")


def test_no_table_has_more_than_200_thresholds_a_class(files):
    classes = [row["class"] for row in read(files, "thresholds.csv")]
    assert 100 < max(map(classes.count, set(classes))) <= 200


def test_no_cell_of_a_text_is_run_by_a_spreadsheet(files):
    cells = [
        cell
        for name, data in files.items()
        if name.endswith(".csv")
        for row in csv.reader(io.StringIO(data.decode()))
        for cell in row
        if cell[:1] in tuple("=+-@")
    ]
    assert all(re.fullmatch(r"-\d+(\.\d+)?(e-\d+)?", cell) for cell in cells), cells
    assert read(files, "predictions.csv")[0]["group"] == "'=day 0"


def test_without_a_champion_there_is_no_file_of_differences(evaluated):
    alone = bundle(replace(evaluated, champion=None, naive=None), plots=False)
    assert "differences.csv" not in alone
    assert json.loads(alone["metrics.json"])["differences"] is None
    assert "No champion yet." in alone["evaluation.html"].decode()


def test_one_sample_of_two_classes_makes_a_whole_bundle(drawn):
    files = bundle(EvaluationReport("one", np.array([1]), np.array([[0.5, 0.5]]), ("a", "b")))
    assert check_bundle(files) == []


def test_a_page_asks_for_nothing_and_escapes_everything(files):
    document = files["evaluation.html"].decode()
    bare = document.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert "http" not in bare.replace("http-equiv", "")
    assert "<script" not in document
    assert document.count("&lt;script&gt;") > 10


def test_every_drawing_of_a_page_is_well_formed_and_tells_what_it_shows(evaluated, files):
    document = files["evaluation.html"].decode()
    drawn = re.findall(r"<svg.*?</svg>", document, flags=re.DOTALL)
    worst = evaluated.worst
    assert len(drawn) == 2 + 2 * 4 + 1 + 2 * len(worst)
    for chart in drawn:
        root = ElementTree.fromstring(chart)
        assert root.get("role") == "img"
        assert root.findtext(f"{SVG}title")
        assert root.findtext(f"{SVG}desc")
        assert "nan" not in re.sub(r"<(title|desc|text)[^>]*>.*?</\1>", "", chart)


def test_a_page_has_the_matrix_the_differences_and_the_baseline_as_tables(evaluated, files):
    document, report = files["evaluation.html"].decode(), evaluated
    for count in report.model.confusion.ravel().tolist():
        assert f">{count} (" in document or f">{count}<" in document
    assert f"{report.differences.macro_f1.value:+.3f} (" in document
    assert f"{report.figures['naive'].macro_f1:.4f}" in document
    for title in ("Thresholds", "Calibration by bin", "Worst errors", "Each class"):
        assert f"<caption>{title}</caption>" in document


def test_what_stands_in_the_deepest_cell_of_a_matrix_can_be_read_in_every_scheme():
    def light(colour):
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722])) + 0.05

    for scheme in re.findall(r":root\{(.*?)\}", STYLE, flags=re.DOTALL):
        found = dict(re.findall(r"--([a-z-]+):#([0-9a-f]+)", scheme))
        whole = {n: c if len(c) == 6 else "".join(2 * d for d in c) for n, c in found.items()}
        colours = {n: np.frombuffer(bytes.fromhex(c), np.uint8) / 255 for n, c in whole.items()}
        for shade in ("candidate", "fail"):
            ground = DEEPEST * colours[shade] + (1 - DEEPEST) * colours["pane"]
            dim, bright = sorted([light(ground), light(colours["ink"])])
            assert bright / dim >= 4.5, shade


def test_the_worst_errors_are_the_surest_ones(evaluated):
    worst = evaluated.worst
    own = evaluated.probabilities[np.arange(600), evaluated.truth]
    wrong = evaluated.probabilities.argmax(axis=1) != evaluated.truth
    assert [w.probability for w in worst] == np.sort(own[wrong])[:20].tolist()
    first = worst[0].row - 1000
    assert worst[0].values.shape == (evaluated.lengths[first], 2)
    assert worst[0].group == f"=day {first // 20}"


def test_where_nothing_is_wrong_there_is_no_worst_error():
    truth = np.array([0, 1])
    assert worst_errors(truth, np.eye(2), rows=truth) == []


@pytest.mark.parametrize(
    ("champion", "naive", "sign", "words"),
    [
        (0.0, 0.0, "pass", "Better than the champion."),
        (9.0, 0.0, "fail", "Worse than the champion."),
        (0.0, 9.0, "wait", "Not better than the baseline"),
        (None, 9.0, "fail", "Below the baseline."),
        (None, 0.0, "same", "No champion yet."),
        (2.5, 0.0, "wait", "No clear difference."),
    ],
)
def test_the_verdict_weighs_champion_and_baseline(evaluated, champion, naive, sign, words):
    rng = np.random.default_rng(5)
    other = None if champion is None else answers(evaluated.truth, champion, rng)
    document = evaluation_page(
        replace(evaluated, champion=other, naive=answers(evaluated.truth, naive, rng))
    )
    assert f'class="verdict {sign}"' in document
    assert words in document


def test_too_few_groups_decide_nothing(evaluated):
    few = replace(evaluated, groups=np.arange(600) // 100)
    assert "6 groups, at least 10 are needed" in evaluation_page(few)


def test_pngs_are_pictures_without_a_date_or_a_program(drawn_files):
    for name in (n for n in drawn_files if n.endswith(".png")):
        with Image.open(io.BytesIO(drawn_files[name])) as picture:
            picture.load()
            assert picture.info.keys() <= {"dpi"}
            assert min(picture.size) > 300


@pytest.mark.parametrize("classes", rest_slow([2, 8], fast=1))
def test_names_and_counts_of_a_matrix_keep_inside_the_picture(classes, drawn):
    truth = np.repeat(np.arange(classes), 10)
    names = [f"a class of some length, number {k}" for k in range(classes)]
    made = EvaluationReport("t", truth, np.eye(classes)[truth] * 1.0, names)
    data = png.confusion_png(made.model)
    with Image.open(io.BytesIO(data)) as picture:
        pixels = np.asarray(picture.convert("L"))
    # Nothing is cut: the outermost rows and columns are empty.
    for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        assert (edge == 255).all()


def test_without_matplotlib_the_plots_name_the_extra(evaluated, monkeypatch):
    real = builtins.__import__

    def missing(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ModuleNotFoundError(f"No module named {name!r}", name="matplotlib")
        return real(name, *args, **kwargs)

    for name in [n for n in sys.modules if n.startswith("matplotlib")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(MissingExtraError) as caught:
        bundle(evaluated)
    assert "podium[plots]" in str(caught.value)
    assert (
        check_bundle(bundle(evaluated, plots=False))[0].found == "confusion_matrix.png is missing"
    )


def test_arrays_that_do_not_fit_are_refused(evaluated):
    with pytest.raises(DataError) as caught:
        bundle(replace(evaluated, truth=evaluated.truth[:-1]))
    assert "(599, 4)" in str(caught.value)


def test_all_missing_files_of_a_bundle_are_in_one_answer():
    found = [problem.found for problem in check_bundle({})]
    assert found == [
        "metrics.json is missing",
        "predictions.csv is missing",
        "confusion_matrix.csv is missing",
        "pr_curves.csv is missing",
        "roc_curves.csv is missing",
        "confusion_matrix.png is missing",
        "pr_curves.png is missing",
        "roc_curves.png is missing",
        "classification_report.json is missing",
    ]


def changed_metrics(files, **values):
    found = json.loads(files["metrics.json"])
    found["metrics"] |= values
    return json.dumps(found).encode()


def test_a_macro_f1_that_disagrees_with_the_predictions_is_a_problem(files):
    real = json.loads(files["metrics.json"])["metrics"]["macro_f1"]
    assert told(files, metrics__json=changed_metrics(files, macro_f1=real + 1e-10)) == ""
    found = told(files, metrics__json=changed_metrics(files, macro_f1=real + 1e-8))
    assert f"macro_f1 is {real + 1e-8!r}" in found
    for wrong in (float("nan"), float("inf"), 10**400, "0.5", [0.5]):
        assert "macro_f1 is" in told(files, metrics__json=changed_metrics(files, macro_f1=wrong))
    assert "has no macro_f1" in told(files, metrics__json=changed_metrics(files, macro_f1=None))


def test_a_matrix_that_disagrees_with_the_predictions_is_a_problem(files):
    rows = files["confusion_matrix.csv"].decode().splitlines()
    first = rows[1].rsplit(",", 1)[0] + ",7"
    other = "\n".join([rows[0], first, *rows[2:]]).encode()
    assert "confusion_matrix.csv is not the matrix" in told(files, confusion_matrix__csv=other)
    assert "not the matrix" in told(files, confusion_matrix__csv=b"a,b\nc,many\n")


def test_a_changed_prediction_disagrees_with_both_figures(files):
    text = files["predictions.csv"].decode().splitlines()
    row = next(n for n, line in enumerate(text) if ",0,0,normal,normal," in line)
    text[row] = text[row].replace(",0,0,normal,normal,", ",0,1,normal,normal,")
    found = told(files, predictions__csv="\n".join(text).encode())
    assert "macro_f1 is" in found
    assert "not the matrix" in found


def test_a_png_that_is_cut_or_changed_is_none(files):
    whole = files["roc_curves.png"]
    middle = len(whole) // 2
    turned = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    for data in (b"", b"GIF89a", whole[:8], whole[:-1], whole[:middle], turned):
        assert "roc_curves.png is not a complete PNG" in told(files, roc_curves__png=data)


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("metrics.json", b"{", "metrics.json is not JSON"),
        ("metrics.json", b"\xff\xfe", "metrics.json is not JSON"),
        ("metrics.json", b"[" * 100_000, "metrics.json is not JSON"),
        ("metrics.json", b"[1]", "metrics.json is a JSON list"),
        ("metrics.json", b'{"schema": 9}', "metrics.json has schema 9"),
        ("metrics.json", b'{"class_names": "ab"}', "class_names is 'ab'"),
        ("predictions.csv", b"", "predictions.csv has no row"),
        ("predictions.csv", b"row,truth\n1,0\n", "predictions.csv has no column chosen"),
        ("predictions.csv", b"truth,chosen\n", "predictions.csv has no sample"),
        ("predictions.csv", b"truth,chosen\n0,9\n0,x\n", "sample 1: chosen is '9' (one of 2)"),
        ("predictions.csv", b"truth,chosen\n0\n", "sample 1: chosen is ''"),
        ("predictions.csv", b"\xff\xff", "predictions.csv cannot be read"),
        ("confusion_matrix.csv", b"\xff\xff", "confusion_matrix.csv cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_problem_and_no_traceback(files, name, data, words):
    assert words in told(files, **{name.replace(".", "__"): data})


def test_a_bundle_made_elsewhere_may_name_its_classes(files):
    """Nested or plain metrics, classes by name or by number, with a byte order mark."""
    text = "truth,chosen\r\ncalm,calm\r\nstorm,calm\r\nstorm,storm\r\n"
    macro = sk.f1_score([0, 1, 1], [0, 0, 1], average="macro")
    other = {
        "metrics__json": json.dumps({"class_names": ["calm", "storm"], "macro_f1": macro}).encode(),
        "predictions__csv": "\ufeff".encode() + text.encode(),
        "confusion_matrix__csv": b"true,calm,storm\ncalm,1,0\nstorm,1,1\n",
    }
    assert told(files, **other) == ""

"""Searches on the record: widened, exhausted, in phases, by any number of jobs, after any kill."""

import json
import shutil

import pytest

import classes
import projects
import quick
from looped import rest_slow
from podium import registry
from podium.cli.main import run
from podium.errors import NotFoundError, UsageError
from podium.space import Choice, Float, Int, Space
from podium.steps.search.extend import extend
from podium.steps.search.focus import focused
from podium.steps.search.grid import grid
from podium.steps.search.select import select
from podium.steps.search.sweep import sweep
from podium.steps.search.tune import tune, tuned
from podium.steps.trials import baselines
from podium.steps.workspace.session import open_project
from projects import SLOT, Saying, query

pytestmark = pytest.mark.usefixtures("quick_family")

# Twelve configs, three of which differ only in what does not count.
FINITE = {"factor": [0.8, 1.0, 1.2], "level": [1, 2, 3, 4]}


@pytest.fixture
def root(tmp_path):
    return project_in(tmp_path / "small")


@pytest.fixture
def done(ladder, tmp_path):
    """Such a project after its search, which finds its trials when it is asked again."""
    return ladder.copy(tmp_path / "small", "searched", **quick_settings())


def project_in(folder, **settings):
    return projects.small_project(folder, **projects.merge(quick_settings(), settings))


def quick_settings(space=None, **tune):
    return {
        "slots": {SLOT: {"families": [quick.NAME]}},
        "tune": {"trials": 6, "generation": 2, "epochs": 3, "search": "random", **tune},
        "space": {quick.NAME: space or {}},
    }


def configure(root, *settings):
    projects.configure(root, **projects.merge(*settings))


def searched(root, reporter=None):
    with open_project(root, reporter=reporter) as project:
        return tune(project, SLOT)


def links(root, phase):
    return query(
        root,
        """SELECT l.phase, l.number, l.study_id, t.id, t.config, t.score FROM study_trial l
           JOIN trial t ON t.id = l.trial_id WHERE l.phase LIKE ? ORDER BY l.seq""",
        f"{phase}%",
    )


def trained(root):
    return query(root, "SELECT count(*) AS n FROM trial WHERE family = 'quick'")[0]["n"]


# Spaces that change


def test_a_widened_space_keeps_what_its_study_found(root):
    configure(root, quick_settings({"factor": {"low": 0.8, "high": 1.0}}))
    before = searched(root)
    configure(root, quick_settings({"factor": {"low": 0.6, "high": 1.4}}))
    reporter = Saying()
    after = searched(root, reporter)
    assert after.study.id != before.study.id
    assert {row.id for row in before.trials} < {row.id for row in after.trials}
    assert len(after.trials) == 12
    assert after.best.score <= before.best.score
    assert any("6 trials of quick were on record" in said for said in reporter.said)
    with open_project(root) as project:
        assert tuned(project, SLOT).best.id == after.best.id


def test_a_narrowed_space_is_told_of_what_lies_in_it_alone(root):
    before = searched(root)
    inside = {row.id for row in before.trials if 0.9 <= row.config["factor"] <= 1.1}
    assert 0 < len(inside) < 6
    configure(root, quick_settings({"factor": {"low": 0.9, "high": 1.1}}))
    after = searched(root)
    assert {row["id"] for row in links(root, "known")} == inside
    assert len(after.trials) == 6 + len(inside)


def test_what_a_widened_search_was_told_decides_what_it_asks(tmp_path):
    wide = quick_settings({"factor": {"low": 0.6, "high": 1.4}}, search="tpe", trials=14)
    alone, after = project_in(tmp_path / "alone"), project_in(tmp_path / "after")
    configure(after, quick_settings({"factor": {"low": 0.8, "high": 1.0}}, search="tpe", trials=14))
    searched(after)
    for root in (alone, after):
        configure(root, wide)
        searched(root)
    one = [row["config"] for row in links(alone, "tune")]
    other = [row["config"] for row in links(after, "tune")][14:]
    assert len(other) == 14
    assert one != other


@pytest.mark.parametrize(
    "change",
    rest_slow(
        [
            {"slots": {SLOT: {"horizon": 3}}},
            {"tune": {"epochs": 2}},
            {"datasets": {"us4": {"adjust": False}}},
            {"slots": {SLOT: {"metric": "mae"}}},
            {"slots": {SLOT: {"test_from": "2001-12-03"}}},
            {"tune": {"validation_fraction": 0.3}},
            {"tune": {"seed": 8}},
            {"tune": {"search": "qmc"}},
        ],
        fast=3,
    ),
    ids=lambda change: str(change),
)
def test_trials_that_answer_another_question_are_never_mixed_in(done, change):
    configure(done, quick_settings({"level": [1, 2, 3]}), change)
    assert len(searched(done).trials) == 6
    assert links(done, "known") == []


def test_trials_of_another_version_of_a_family_are_never_mixed_in(done, monkeypatch):
    monkeypatch.setattr(quick.FAMILY, "VERSION", 2, raising=False)
    configure(done, quick_settings({"level": [1, 2, 3]}))
    assert len(searched(done).trials) == 6
    assert links(done, "known") == []


def test_what_was_known_is_fixed_when_the_study_begins(root):
    first = quick_settings({"level": [1, 2]})
    second = quick_settings({"level": [1, 2, 3]})
    configure(root, first)
    searched(root)
    configure(root, second)
    before = [row.id for row in searched(root).trials]
    known = links(root, "known")
    assert known
    configure(root, first, {"tune": {"trials": 10}})
    searched(root)
    configure(root, second)
    assert [row.id for row in searched(root).trials] == before
    assert links(root, "known") == known


def test_every_known_config_counts_as_a_look(done):
    configure(done, quick_settings({"level": [1, 2, 3]}))
    found = searched(done)
    study = links(done, "known")[0]["study_id"]
    [row] = query(
        done,
        """SELECT count(DISTINCT t.config_hash) AS n FROM study_trial l JOIN trial t
           ON t.id = l.trial_id WHERE l.study_id = ? AND t.family = 'quick'""",
        study,
    )
    assert row["n"] == len(found.trials) > 6


def test_a_project_that_changes_no_space_has_the_question_it_always_had(done):
    [study] = query(done, "SELECT question FROM study")
    question = json.loads(study["question"])
    assert sorted(question) == [
        "dataset", "families", "generation", "metric", "search", "seed", "split", "task",
    ]  # fmt: skip
    spec = question["families"][quick.NAME][1]
    assert spec == {
        "constants": {"max_epochs": 3},
        "parameters": {"factor": ["Float", 0.5, 1.5, False], "level": ["Choice", [1, 2, 3, 4]]},
    }
    assert {row["step"] for row in query(done, "SELECT step FROM receipt")} == {"tune"}


# Spaces that end


@pytest.mark.parametrize("name", rest_slow(["tpe", "three_phase", "random", "qmc", "grid"], fast=1))
def test_a_finite_space_ends_with_a_sentence_and_the_search_is_finished(root, name):
    configure(root, quick_settings(FINITE, trials=40, generation=5, search=name))
    reporter = Saying()
    found = searched(root, reporter)
    assert len({row.config_hash for row in found.trials}) == len(found.trials) == 12
    assert any("after 12 of 40 trials" in said for said in reporter.said)
    before = trained(root)
    with open_project(root) as project:
        assert len(tuned(project, SLOT).trials) == 12
    searched(root)
    assert trained(root) == before
    assert len(query(root, "SELECT * FROM receipt WHERE step = 'exhausted'")) == 1


def test_a_search_that_is_not_exhausted_is_not_finished_before_its_budget(done):
    configure(done, quick_settings(trials=9))
    with open_project(done) as project, pytest.raises(NotFoundError, match="6 of 9 trials"):
        tuned(project, SLOT)


def test_configs_that_were_known_are_not_asked_for_again(root):
    configure(root, quick_settings({**FINITE, "level": [1, 2]}, trials=6))
    searched(root)
    configure(root, quick_settings(FINITE, trials=40))
    found = searched(root)
    assert len({row.config_hash for row in found.trials}) == len(found.trials) == 12
    assert trained(root) == 12


def test_a_study_from_before_configs_were_distinct_goes_on_as_it_began(root, monkeypatch):
    # What an older podium asked: no mark in the question.
    from podium.space import Space

    with monkeypatch.context() as older:
        # The spaces of baselines are finite.
        older.setattr(Space, "is_finite", property(lambda self: "factor" not in self.parameters))
        configure(root, quick_settings(FINITE, trials=14))
        first = [row.config for row in searched(root).trials]
    again = searched(root)
    assert [row.config for row in again.trials] == first
    assert len({row.config_hash for row in again.trials}) < 14
    assert len(query(root, "SELECT * FROM study")) == 1


# Conditions


CONDITION = {"level": [1, 2], "factor": {"low": 0.8, "high": 1.2, "when": {"level": 2}}}


def test_a_parameter_that_does_not_count_is_as_if_nobody_searched_it(root):
    configure(root, quick_settings(CONDITION, trials=12, search="tpe"))
    found = searched(root)
    for row in found.trials:
        assert 0.8 <= row.config["factor"] <= 1.2
        assert row.config["level"] == 2 or row.config["factor"] == 1.0
    assert {row.config["level"] for row in found.trials} == {1, 2}


def test_a_condition_on_what_does_not_exist_is_refused_before_anything_is_trained(root):
    wrong = {"level": [1, 2], "factor": {"values": [1.0, 1.1], "when": {"levle": 2, "level": 9}}}
    configure(root, quick_settings(wrong))
    with pytest.raises(UsageError) as caught:
        searched(root)
    assert "Did you mean 'level'" in str(caught.value)
    assert "has [9]" in str(caught.value)
    assert query(root, "SELECT * FROM trial") == [] if (root / "podium.db").exists() else True


# Phases, jobs and kills


def test_the_phase_of_each_trial_and_the_choice_of_the_sampler_are_on_record(root):
    configure(root, quick_settings(search="three_phase", trials=20, generation=4))
    found = searched(root)
    phases = [row["phase"] for row in links(root, "tune")]
    assert phases == ["tune/start"] * 3 + ["tune/model"] * 11 + ["tune/refine"] * 6
    assert [row.number for row in found.trials] == list(range(20))
    [receipt] = query(root, "SELECT outputs FROM receipt WHERE step = 'search'")
    kept = json.loads(receipt["outputs"])
    assert kept["planned"] == 20
    assert kept["chosen"]["auto"] == "tpe"
    assert "level is a choice" in kept["chosen"]["why"]
    assert kept["chosen"]["phases"] == [
        ["start", "qmc", 3],
        ["model", "tpe", 11],
        ["refine", "local", 6],
    ]


def test_show_tells_what_the_search_chose_and_why(root, monkeypatch, capsys):
    configure(root, quick_settings({"level": 4}, search="three_phase", trials=10, generation=4))
    found = searched(root)
    monkeypatch.chdir(root)
    assert run(["show", "--lineage", found.best.id]) == 0
    told = " ".join(capsys.readouterr().out.replace("|", " ").split())
    assert "2 start qmc, 5 model gp, 3 refine local (1 number, 10 trials" in told


def test_a_study_that_goes_on_beyond_its_plan_keeps_its_phases(root):
    configure(root, quick_settings(search="three_phase", trials=10, generation=4))
    first = links(searched(root) and root, "tune")
    configure(root, quick_settings(search="three_phase", trials=20, generation=4))
    searched(root)
    both = links(root, "tune")
    assert both[:10] == first
    assert [row["phase"] for row in both[10:]] == ["tune/model"] * 7 + ["tune/refine"] * 3


# What is looked for


def with_metric(root, metric, **tune_settings):
    configure(root, quick_settings(metric=metric, **tune_settings))
    return searched(root)


@pytest.mark.slow
def test_another_metric_is_another_study_of_the_same_trainings(done):
    first = searched(done)
    before = trained(done)
    other = with_metric(done, "mae")
    # Random draws are the same, so nothing is trained again and each has its score in both.
    assert trained(done) == before
    assert other.study.id != first.study.id
    assert [row.config for row in other.trials] == [row.config for row in first.trials]
    assert other.best.metric == "mae"
    fresh = project_in(done.parent / "fresh", **quick_settings(metric="mae"))
    for row, alone in zip(other.trials, searched(fresh).trials, strict=True):
        assert row.score == pytest.approx(alone.score, rel=1e-5)
        assert row.score not in {one.score for one in first.trials}
    assert other.reference.score == pytest.approx(searched(fresh).reference.score, rel=1e-5)


def test_several_metrics_are_recorded_and_the_first_one_decides(root):
    found = with_metric(root, "mse,mae")
    assert found.data.section.metric == "mse"
    assert found.best.score == min(row.score for row in found.trials)
    for row in found.trials:
        assert found.values[row.id]["mse"] == row.score
        [kept] = query(
            root, "SELECT value FROM result WHERE trial_id = ? AND metric = 'val_mae'", row.id
        )
        assert kept["value"] == found.values[row.id]["mae"]
    # What else is recorded decides nothing, so it is no part of the question.
    assert with_metric(root, "mse").study.id == found.study.id


def test_metrics_that_cannot_be_are_refused_together(root):
    with pytest.raises(UsageError) as caught:
        with_metric(root, "maee,macro_f1,mse,mse")
    told = str(caught.value)
    assert "no metric 'maee'. Did you mean 'mae'?" in told
    assert "'macro_f1' is not for task forecast" in told
    assert "each one once" in told


def test_infeasible_trials_are_kept_counted_and_never_win(root):
    free = searched(root)
    limit = sorted(row.config["factor"] for row in free.trials)[3]
    best = min(free.trials, key=lambda row: row.score)
    where = f"factor>={limit}" if best.config["factor"] < limit else f"factor<{limit}"
    reporter = Saying()
    configure(root, quick_settings(where=where))
    found = searched(root, reporter)
    assert len(found.trials) == 6
    assert found.best.id != best.id
    assert found.best.id in found.feasible
    assert best.id not in found.feasible
    assert any("3 of 6 trials do not meet" in said for said in reporter.said)
    assert found.study.id != free.study.id
    with open_project(root) as project:
        assert tuned(project, SLOT).best.id == found.best.id


def test_what_is_infeasible_is_not_cross_validated_either(root):
    configure(root, quick_settings(where="level<=2"), {"extend": {"top": 6}})
    found = searched(root)
    assert len(found.eligible) < 6
    with open_project(root) as project:
        extended = extend(project, SLOT)
    assert {one.config["level"] for one in extended.configs} <= {1, 2}
    assert len(extended.configs) == len(found.eligible)


def test_a_constraint_nobody_meets_or_that_names_nothing_is_told(root):
    configure(root, quick_settings(where="val_loss<0"))
    with pytest.raises(NotFoundError, match="none of the 6 trials"):
        searched(root)
    configure(root, quick_settings(where="val_los<0"))
    with pytest.raises(NotFoundError, match="Did you mean 'val_loss'"):
        searched(root)


def test_a_constraint_may_ask_for_a_metric_that_training_did_not_report(root):
    maes = sorted(row.score for row in with_metric(root, "mae").trials)
    fresh = project_in(
        root.parent / "fresh", **quick_settings(where=f"val_mae<={maes[2] * 1.0001}")
    )
    found = searched(fresh)
    assert len(found.feasible) == 3
    with open_project(fresh) as project:
        assert tuned(project, SLOT).feasible == found.feasible


def test_a_search_learns_what_is_infeasible(root):
    configure(root, quick_settings(search="tpe", trials=24, generation=4, where="level=4"))
    found = searched(root)
    late = [row.config["level"] for row in found.trials][14:]
    assert late.count(4) > len(late) / 2


# The command line


def test_the_command_searches_what_set_says(root, monkeypatch, capsys):
    monkeypatch.chdir(root)
    words = ["--set", "factor=0.8..1.2:log", "--set", "level=1,2", "--metric", "mse,mae"]
    assert run(["tune", *words, "--where", "level=2", "--json"]) == 0
    out, err = capsys.readouterr()
    items = json.loads(out)["items"]
    mine = [item for item in items if item["family"] == "quick"]
    assert all(0.8 <= item["config"]["factor"] <= 1.2 for item in mine)
    assert {item["config"]["level"] for item in mine} == {1, 2}
    assert all(item["feasible"] == (item["config"]["level"] == 2) for item in mine)
    assert all(item["mae"] > 0 and item["mse"] > 0 for item in mine)
    assert 1 <= sum(item["pareto"] for item in mine) < 6
    assert not any(item["pareto"] for item in mine if not item["feasible"])
    assert "do not meet 'level=2'" in err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--set", "factr=1,2"], "Did you mean 'factor'"),
        (["--set", "factor=0.1..9"], "from 0.5 to 1.5"),
        (["--set", "factor=1.2..0.8"], "low < high"),
        (["--metric", "nothing"], "no metric 'nothing'"),
        (["--search", "bayes"], "three_phase"),
    ],
)
def test_a_search_that_cannot_be_is_refused_with_a_sentence(root, monkeypatch, capsys, words, told):
    monkeypatch.chdir(root)
    assert run(["tune", *words]) in (2, 3)
    assert told in capsys.readouterr().err
    assert not (root / "podium.db").exists() or trained(root) == 0


# Sweeps


def swept(root, mode="priority", **how):
    with open_project(root) as project:
        return sweep(project, SLOT, mode, **how)


def modes_of(found):
    return [row.phase for row in found.trials]


def test_a_larger_sweep_goes_on_where_a_smaller_one_ended(root):
    first = swept(root)
    assert [row.config for row in first.trials] == [{"factor": 1.0, "level": 1, "max_epochs": 3}]
    quick_one = swept(root, "quick")
    assert quick_one.trials[0].id == first.trials[0].id
    assert modes_of(quick_one) == ["sweep/priority", "sweep/quick"]
    full = swept(root, "full")
    # Three factors (the ends and the middle) at four levels, two of which were there.
    assert modes_of(full) == ["sweep/priority", "sweep/quick", *["sweep/full"] * 10]
    assert len({row.config_hash for row in full.trials}) == 12
    assert {row.config["factor"] for row in full.trials} == {0.5, 1.0, 1.5}
    assert full.study.id == first.study.id
    assert all((root / row.checkpoint).exists() for row in full.trials)
    before = trained(root)
    assert [row.id for row in swept(root, "full").trials] == [row.id for row in full.trials]
    assert trained(root) == before == 12


def test_a_sweep_takes_no_more_runs_than_it_may(root):
    found = swept(root, "full", max_runs=5)
    assert modes_of(found) == ["sweep/priority", "sweep/quick", *["sweep/full"] * 3]
    assert [row.id for row in swept(root, "full").trials][:5] == [row.id for row in found.trials]


def test_a_refinement_searches_between_the_neighbours_of_the_best_configs(root):
    configure(root, quick_settings({"factor": [0.6, 0.8, 1.0, 1.2]}))
    coarse = sorted(swept(root, "full").trials, key=lambda row: row.score)
    configure(root, quick_settings(generation=16))
    found = swept(root, "priority", refine=True)
    fine = [row for row in found.trials if row.phase == "sweep/refine"]
    assert len(fine) == 16
    # A quarter of the 16 configs.
    best = coarse[:4]
    assert {row.config["level"] for row in fine} <= {row.config["level"] for row in best}
    low, *_, high = sorted(row.config["factor"] for row in best)
    assert all(low - 0.15 <= row.config["factor"] <= high + 0.15 for row in fine)
    assert min(row.score for row in fine) < coarse[0].score
    [receipt] = query(root, "SELECT outputs FROM receipt WHERE step = 'refine'")
    focus = json.loads(receipt["outputs"])
    assert (focus["family"], focus["trials"]) == (quick.NAME, 16)
    assert focus["best"] == [row.id for row in best]
    count = trained(root)
    again = swept(root, "priority", refine=True)
    assert [row.id for row in again.trials] == [row.id for row in found.trials]
    assert trained(root) == count


def test_a_refinement_has_the_same_configs_in_another_project(root, tmp_path):
    places = (root, shutil.copytree(root, tmp_path / "other"))
    one, other = ([row.config for row in swept(at, "quick", refine=True).trials] for at in places)
    assert one == other


def test_a_refinement_uses_the_runs_that_are_left_and_stays_around_the_best(root):
    found = swept(root, "full", max_runs=20, refine=True)
    assert modes_of(found).count("sweep/refine") == 8
    fine = [row.config for row in found.trials if row.phase == "sweep/refine"]
    best = sorted(found.trials[:12], key=lambda row: row.score)[:3]
    assert {config["level"] for config in fine} <= {row.config["level"] for row in best}


def test_a_refinement_keeps_the_constants_of_the_best_config():
    space = Space(
        {"lr": Float(1e-4, 1e-2, log=True), "units": Choice((16, 32, 64)), "layers": Int(1, 5)},
        {"loss": "mse"},
        {"loss": Choice(("mse", "huber"))},
    )
    configs = [
        {"lr": lr, "units": units, "layers": 3, "loss": loss}
        for lr, units, loss in [(1e-3, 16, "huber"), (1e-3, 32, "huber"), (1e-2, 64, "mse")]
    ]
    near = focused(space, configs[:2], configs)
    assert near.constants == {"loss": "huber"}
    assert near.parameters["units"] == Choice((16, 32))
    # Half way to 0.01 on the logarithmic scale; no lower one was tried.
    assert near.parameters["lr"].high == pytest.approx(10**-2.5)
    assert near.parameters["lr"].low == pytest.approx(10 ** -(3 + 0.15 * 2))
    assert near.parameters["layers"] == Int(2, 4)
    assert near.contains(configs[0])
    # A value that the family lists beyond the searched range stays in the focus.
    [outside] = [{**configs[0], "lr": 0.05}]
    assert focused(space, [outside], configs).contains(outside)


def test_a_refinement_goes_to_the_best_family_with_untried_configs(root, capsys):
    with open_project(root) as project:
        found = sweep(project, SLOT, "quick", families=["har", quick.NAME], refine=True)
        assert {row.family for row in found.trials if row.phase == "sweep/refine"} == {quick.NAME}
        count = trained(root)
        alone = sweep(project, SLOT, families=["har"], refine=True)
    assert modes_of(alone) == ["sweep/priority"]
    assert trained(root) == count


@pytest.mark.slow
def test_every_family_is_swept_and_refined_and_the_same_sweep_again_trains_nothing(tmp_path):
    roots = {
        "forecast": projects.small_project(tmp_path / "bars"),
        "classify": classes.project(tmp_path / "samples"),
    }
    for task, root in roots.items():
        known = registry.families_of(task)
        assert {"forecast": "lstm", "classify": "bilstm"}[task] in known
        for family in known:
            with open_project(root) as project:
                found = sweep(project, families=[family], mode="full", max_runs=6, refine=True)
                assert {row.family for row in found.trials} == {family}
                [before] = query(root, "SELECT count(*) AS n FROM trial")
                again = sweep(project, families=[family], mode="full", max_runs=6, refine=True)
                [after] = query(root, "SELECT count(*) AS n FROM trial")
                selection = select(project, model=family)
            assert (len(again.trials), after) == (len(found.trials), before)
            assert selection.path_of(selection.best) is not None


def test_what_the_project_or_a_flag_sets_has_no_other_value_in_a_sweep(root):
    configure(root, quick_settings({"factor": [0.9, 1.1]}))
    found = swept(root, "full", space={"level": 2})
    assert {(row.config["factor"], row.config["level"]) for row in found.trials} == {
        (0.9, 2),
        (1.1, 2),
    }


def test_a_sweep_finds_what_a_grid_trained(root):
    with open_project(root) as project:
        one = grid(project, SLOT, {"factor": [0.5, 1.0, 1.5], "level": [1, 2, 3, 4]})
    before = trained(root)
    found = swept(root, "full")
    assert trained(root) == before
    assert {row.id for row in found.trials} == {row.id for row in one.trials}


def test_a_sweep_that_cannot_be_is_refused_before_anything_is_trained(root):
    with pytest.raises(UsageError, match="Did you mean 'quick'"):
        swept(root, "quik")
    with pytest.raises(UsageError, match="Did you mean 'lstm'"):
        swept(root, families=["lstn", "quick"])
    with pytest.raises(UsageError, match="unknown parameter 'x'"):
        swept(root, space={"x": 1})
    assert not (root / "podium.db").exists() or trained(root) == 0


def test_the_sweep_command_tells_each_mode_and_what_is_next(root, monkeypatch, capsys):
    monkeypatch.chdir(root)
    words = ["--families", "quick,lstm", "--mode", "quick", "--max-runs", "4"]
    assert run(["sweep", *words, "--json"]) == 0
    out, err = capsys.readouterr()
    items = json.loads(out)["items"]
    *searched, reference = [item["family"] for item in items]
    assert sorted(searched) == ["lstm"] * 3 + ["quick"]
    assert reference in baselines.families("forecast")
    assert "next: podium sweep" in err
    assert "--mode full" in err

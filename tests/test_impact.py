"""podium impact: what a hyperparameter has to do with a metric, over runs that may be compared."""

import json

import numpy as np
import pytest
from scipy import stats

import projects
from podium import HyperparamTracker
from podium.cli.main import run as podium
from podium.errors import NotFoundError, UsageError
from podium.ledger import writes
from podium.steps.archive import init
from podium.steps.search.impact import ValueGroup, impact, impacts
from podium.steps.workspace.session import open_project


@pytest.fixture
def root(tmp_path):
    return init.init(tmp_path / "mine")


def log(root, *runs, name="toto"):
    with HyperparamTracker(root) as tracker:
        for config, value in runs:
            metrics = {} if value is None else {"val_pct_mae": value}
            tracker.log_run(name, config, metrics)


def trials(root, *found, **key):
    """Trials as a search leaves them, on made-up data."""
    with open_project(root) as project:
        ledger = project.ledger
        with ledger.transaction() as tx:
            study = writes.put_study(tx, "", {"question": str(sorted(key.items()))})
            new = [
                writes.NewTrial(
                    **{
                        **vars(projects.new_trial(n, seed=n, config=config, **key)),
                        "named": True,
                    }
                )
                for n, (config, _) in enumerate(found)
            ]
            ids = writes.start_trials(tx, study, new, "e" * 64)
            for id_, (_, value) in zip(ids, found, strict=True):
                ended = projects.ended(id_, value, losses=np.ones(3, np.float32))
                writes.end_trial(tx, ended, metric="mse", index_hash=None)


def of(root, *arguments, **how):
    with open_project(root) as project:
        return impact(project, *arguments, **how)


RATES = [(rate, 0.5 + 0.1 * n) for n, rate in enumerate([1e-4, 3e-4, 1e-3, 3e-3] * 3)]


def test_runs_are_sorted_by_the_hyperparameter_and_grouped_where_values_repeat(root):
    log(root, ({"lr": 0.2}, 1.0), ({"lr": 0.1}, 3.0), ({"lr": 0.2}, 2.0))
    found = of(root, "lr")
    assert [(value, score) for _, value, score in found.runs] == [
        (0.1, 3.0),
        (0.2, 1.0),
        (0.2, 2.0),
    ]
    assert list(found.groups) == [ValueGroup(0.1, 1, 3.0), ValueGroup(0.2, 2, 1.5)]
    assert (found.family, found.metric, found.kind, found.n) == (
        "toto",
        "val_pct_mae",
        "numeric",
        3,
    )


def test_values_that_do_not_repeat_have_no_groups(root):
    log(root, ({"lr": 0.2}, 1.0), ({"lr": 0.1}, 3.0))
    assert list(of(root, "lr").groups) == []


def test_the_rank_correlation_is_scipys_and_says_what_it_means(root):
    random = np.random.default_rng(0)
    rates = random.uniform(size=20)
    values = rates**3 + 0.05 * random.normal(size=20)
    log(root, *(({"lr": float(r)}, float(v)) for r, v in zip(rates, values, strict=True)))
    found = of(root, "lr")
    assert found.rho == pytest.approx(stats.spearmanr(rates, values).statistic)
    assert found.finding == (
        f"rank correlation {found.rho:+.2f} over 20 runs: higher values go with higher "
        "val_pct_mae, which is worse"
    )
    assert found.eta_squared is None


def test_eight_runs_are_enough_and_seven_are_too_few(root):
    log(root, *(({"lr": n}, float(n)) for n in range(7)))
    assert (of(root, "lr").rho, of(root, "lr").finding) == (
        None,
        "too few runs: 7, and 8 are needed",
    )
    log(root, ({"lr": 7}, 7.0))
    assert of(root, "lr").rho == pytest.approx(1.0)


def test_a_weak_association_is_no_more_than_chance_would_show(root):
    values = [5, 3, 8, 1, 9, 2, 7, 4]
    log(root, *(({"lr": n, "opt": "ab"[n % 2]}, float(v)) for n, v in enumerate(values)))
    assert of(root, "lr").finding.endswith("no more than chance would show")
    assert stats.kruskal(values[::2], values[1::2]).pvalue < 0.05
    assert of(root, "opt").finding == "eta squared 0.76 over 8 runs with 2 values"


def test_a_categorical_hyperparameter_has_its_share_of_the_ranks_variance(root):
    values = {"adam": [1.0, 2.0, 3.0, 4.0], "sgd": [5.0, 6.0, 7.0, 1e9], "lion": [8.0, 9.0]}
    log(root, *(({"opt": name}, value) for name, all_ in values.items() for value in all_))
    found = of(root, "opt")
    assert (found.kind, found.rho) == ("categorical", None)
    # Kruskal and Wallis' statistic is the same share, times n - 1.
    assert found.eta_squared == pytest.approx(stats.kruskal(*values.values()).statistic / 9)
    assert found.finding == f"eta squared {found.eta_squared:.2f} over 10 runs with 3 values"


def test_true_and_false_are_categories(root):
    log(root, *(({"freeze": n % 2 == 0}, float(n % 2)) for n in range(10)))
    found = of(root, "freeze")
    assert (found.kind, found.eta_squared) == ("categorical", pytest.approx(1.0))


def test_a_category_a_run_tells_nothing(root):
    log(root, *(({"name": f"n{n}"}, float(n)) for n in range(10)))
    assert of(root, "name").finding == "too few runs: 10, and 20 are needed for 10 values"


def test_one_value_or_one_outcome_tells_nothing(root):
    log(root, *(({"lr": 1, "width": n}, 5.0) for n in range(9)))
    assert of(root, "lr").finding == "one value only: 1"
    assert of(root, "width").finding == "all runs have the same metric"


def test_runs_that_diverged_are_shown_and_do_not_count(root):
    log(root, *(({"lr": n}, float(n)) for n in range(8)), ({"lr": 9}, float("nan")))
    log(root, ({"lr": 10}, float("inf")), ({"lr": 11}, None))
    found = of(root, "lr")
    assert (len(found.runs), found.n) == (10, 8)
    assert list(found.left_out) == ["2 runs without a finite val_pct_mae"]


def test_runs_of_other_models_are_left_out_and_named(root):
    log(root, *(({"lr": n}, float(n)) for n in range(3)))
    log(root, ({"lr": 1}, 9.0), name="kronos")
    assert list(of(root, "lr").left_out) == ["1 run of kronos (--family kronos)"]
    found = of(root, "lr", family="kronos")
    assert (found.family, found.n, list(found.left_out)) == ("kronos", 1, [])


def test_runs_without_the_hyperparameter_are_counted(root):
    log(root, ({"lr": 1}, 1.0), ({"lr": 2}, 2.0), ({"other": 2}, 2.0))
    assert list(of(root, "lr").left_out) == ["1 run without lr"]


def test_trials_judged_on_other_data_or_splits_are_never_mixed(root):
    rates = [({"learning_rate": n / 10}, float(n)) for n in range(1, 5)]
    trials(root, *rates)
    trials(root, *rates[:2], dataset="x" * 64)
    trials(root, *rates[:1], split="y" * 64)
    found = of(root, "learning_rate", metric="val_mse")
    assert found.n == 4
    assert list(found.left_out) == ["3 runs of lstm on other data, another task or split"]


def test_all_hyperparameters_are_ranked_by_what_they_matter(root):
    random = np.random.default_rng(1)
    found = []
    for n in range(24):
        config = {
            "noise": float(random.uniform()),
            "lr": n / 24,
            "opt": ["adam", "sgd"][n % 2],
            "fixed": 3,
        }
        found.append((config, n / 24 + 0.2 * (n % 2)))
    log(root, *found)
    with open_project(root) as project:
        ranked = impacts(project)
    names = [one.hyperparam for one in ranked]
    assert (names[0], names[-1]) == ("lr", "fixed")
    assert [one.strength for one in ranked] == sorted(
        (one.strength for one in ranked), reverse=True
    )
    assert ranked[-1].finding == "one value only: 3"


def test_the_level_of_a_test_falls_with_the_number_of_hyperparameters(root):
    values = [2, 1, 0, 3, 4, 7, 6, 5]
    log(root, *(({"lr": n, "a": 1, "b": 2, "c": 3}, float(v)) for n, v in enumerate(values)))
    assert of(root, "lr").finding.startswith("rank correlation +0.81 over 8 runs: higher values")
    with open_project(root) as project:
        [ranked] = [one for one in impacts(project) if one.hyperparam == "lr"]
    assert ranked.finding == "rank correlation +0.81 over 8 runs: no more than chance would show"


def test_the_metric_is_the_default_slots_unless_named(tmp_path):
    root = projects.small_project(tmp_path / "small")
    log(root, ({"lr": 1}, 1.0))
    # No run has the slot's metric yet.
    assert of(root, "lr").metric == "val_pct_mae"
    trials(root, ({"dropout": 0.1}, 0.5))
    assert of(root, "dropout").metric == "val_mse"
    assert of(root, "lr", metric="val_pct_mae").n == 1


def test_what_is_not_there_is_named_with_what_is_near(root):
    with pytest.raises(NotFoundError, match="no run is on record yet"):
        of(root, "lr")
    with HyperparamTracker(root) as tracker:
        tracker.log_run("toto", {"learning_rate": 1}, {"val_loss": 1.0})
    with pytest.raises(UsageError, match="--metric with one of: val_loss"):
        of(root, "lr")
    with pytest.raises(NotFoundError, match="Did you mean 'learning_rate'"):
        of(root, "learning_rat", metric="val_loss")
    with pytest.raises(NotFoundError, match=r"no run has the metric 'val_los'.*Did you mean"):
        of(root, "learning_rate", metric="val_los")
    with pytest.raises(NotFoundError, match=r"no run of 'tot' has val_loss.*Did you mean 'toto'"):
        of(root, "learning_rate", metric="val_loss", family="tot")


def test_the_verb_prints_a_sentence_and_the_groups_and_names_excluded_runs(root, capsys):
    log(root, *(({"lr": n // 2}, float(n)) for n in range(8)))
    log(root, ({"lr": 1}, 9.0), name="kronos")
    capsys.readouterr()
    where = ["--project", str(root)]
    assert podium(["impact", "lr", *where]) == 0
    out, err = capsys.readouterr()
    sentence, _, head, _, first = out.splitlines()[:5]
    assert sentence == (
        "toto: lr and val_pct_mae: rank correlation +0.98 over 8 runs: higher values go with "
        "higher val_pct_mae, which is worse"
    )
    assert head.split() == ["lr", "mean", "val_pct_mae", "n"]
    assert first.split() == ["0", "0.5", "2"]
    assert err == "left out: 1 run of kronos (--family kronos)\n"
    assert podium(["impact", "lr", "-o", "json", *where]) == 0
    [item] = json.loads(capsys.readouterr().out)["items"]
    assert (item["n"], item["groups"][0]) == (8, {"value": 0, "n": 2, "mean": 0.5})
    assert item["runs"][0]["lr"] == 0
    assert podium(["impact", "lr", "-o", "csv", *where]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert (lines[0], len(lines)) == ("run_id,lr,val_pct_mae", 9)
    assert podium(["impact", "lr", "-o", "md", *where]) == 0
    assert capsys.readouterr().out.startswith("| run\\_id |") is False
    assert podium(["impact", *where]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("strongest of 1 hyperparameter: toto: lr and val_pct_mae: ")
    assert out.splitlines()[2].split() == [
        "hyperparam",
        "rho",
        "eta_squared",
        "n",
        "values",
        "what",
    ]
    assert err.splitlines() == ["left out: 1 run of kronos (--family kronos)"]
    assert podium(["impact", "-o", "json", *where]) == 0
    [item] = json.loads(capsys.readouterr().out)["items"]
    assert (item["hyperparam"], item["kind"], item["values"]) == ("lr", "numeric", 4)

"""Selection bias and gates: all looks count, and an undecidable gate never passes."""

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest

import ladder as ladders
from _planted import write_planted
from looped import looped
from podium import registry
from podium.cli.main import run as podium
from podium.decision import Result
from podium.evidence import Scalar
from podium.gates._base import verdict
from podium.ledger import reads, writes
from podium.portfolio import simulate, simulate_stack
from podium.stats import deflated_sharpe, diebold_mariano, holm, sharpe_ratios
from podium.steps.candidates.finalize import finalize
from podium.steps.data.bars import slot_data
from podium.steps.decisions.backtest import backtest
from podium.steps.decisions.promote import promote
from podium.steps.evidence import leak, looks
from podium.steps.evidence.selection_bias import bias_of_losses, bias_of_returns, no_bias, ranking
from podium.steps.evidence.terms import trading_terms
from podium.steps.pipeline.run import run
from podium.steps.search.analyze import analyze
from podium.steps.search.extend import extend
from podium.steps.search.tune import tune
from podium.steps.trials.baselines import label_of
from podium.steps.workspace.policy import policies
from podium.steps.workspace.session import open_project
from podium.testing.gates import evidence
from projects import SMALL, query, toml

SLOT = "plt/D/return"
LEAK = '''"""The next bar's return."""

import numpy as np


def compute(dataset):
    moved = np.diff(np.log(dataset["close"]), axis=0, append=np.nan)
    moved[-1] = 0.0
    return moved
'''


def noise(bars=500, configs=30, seed=0):
    return 0.01 * np.random.default_rng(seed).standard_normal((bars, configs))


def judged(name, found, **limits):
    result = verdict(name, registry.load("gates", name), found, None, limits)
    return result.result, result.finding


def validation(luck):
    return {"validation": evidence("validation", luck.scalars(), luck.notes())}


# Arrays


def test_the_deflated_sharpe_ratio_counts_every_config_ever_looked_at():
    returns = noise()
    sharpes = sharpe_ratios(returns)
    best = int(sharpes.argmax())
    few, many = (bias_of_returns(returns, best, n) for n in (30, 300))
    assert few.deflated_sharpe == deflated_sharpe(
        returns[:, best], n_trials=30, trial_sharpe_std=sharpes.std(ddof=1)
    )
    assert many.deflated_sharpe < few.deflated_sharpe
    assert many.luck_sharpe > few.luck_sharpe
    assert (few.judged, few.bars, few.n_trials, many.n_trials) == (30, 500, 30, 300)


def test_a_single_config_is_not_deflated():
    returns = noise(configs=1)
    found = bias_of_returns(returns, 0, 1)
    assert found.luck_sharpe == 0.0
    assert 0.0 < found.deflated_sharpe < 1.0
    assert math.isnan(found.pbo)
    assert "at least 2" in found.reason


def test_one_series_of_returns_says_nothing_of_the_spread_of_several_configs():
    found = bias_of_returns(noise(configs=1), 0, 5)
    assert math.isnan(found.deflated_sharpe)
    assert "5 configs" in found.sharpe_reason
    assert judged("deflated_sharpe", validation(found))[0] is Result.UNDECIDABLE


def test_configs_that_never_trade_are_no_error_and_no_trials():
    returns = np.hstack([noise(configs=5), np.zeros((500, 5))])
    found = bias_of_returns(returns, 0, 10)
    assert found.trial_sharpe_std == pytest.approx(
        bias_of_returns(returns[:, :5], 0, 10).trial_sharpe_std
    )
    still = bias_of_returns(returns, 9, 10)
    assert math.isnan(still.deflated_sharpe)
    assert "constant" in still.sharpe_reason


def test_configs_that_were_not_judged_do_not_shrink_the_expected_maximum():
    rng = np.random.default_rng(1)
    one = 0.0008 + 0.01 * rng.standard_normal((900, 1))
    # Survivors of a schedule, or a second search on other windows: one strategy in five shades.
    returns = one + 1e-5 * rng.standard_normal((900, 5))
    all_judged, few_judged = (bias_of_returns(returns, 0, n) for n in (5, 6))
    assert all_judged.trial_sharpe_std < 0.01
    assert few_judged.trial_sharpe_std == pytest.approx(1 / 30)
    assert few_judged.deflated_sharpe < all_judged.deflated_sharpe - 0.1


def test_a_second_search_near_the_winner_on_other_windows_does_not_pass():
    """20 searches of noise of 64 configs, then 16 shades of the winner on a slice 1 % longer."""
    passed = 0
    for seed in range(20):
        returns = noise(bars=504, configs=64, seed=seed)
        best = int(sharpe_ratios(returns[:500]).argmax())
        shades = returns[:, [best]] + 1e-4 * noise(bars=504, configs=16, seed=100 + seed)
        before = bias_of_returns(returns[:500], best, 64)
        after = bias_of_returns(shades, 0, 80)
        assert after.luck_sharpe > 0.75 * before.luck_sharpe
        results = [judged(g, validation(after))[0] for g in ("deflated_sharpe", "overfitting")]
        assert results[1] is Result.UNDECIDABLE
        passed += results[0] is Result.PASS
    assert passed <= 2


def test_overfitting_needs_the_results_of_half_of_the_counted_configs():
    returns = noise()
    assert math.isfinite(bias_of_returns(returns, 0, 60).pbo)
    few = bias_of_returns(returns, 0, 61)
    assert math.isnan(few.pbo)
    assert math.isnan(few.probability_of_loss)
    assert few.reason == "30 of 61 configs were judged on these windows, fewer than half"
    assert math.isnan(bias_of_losses(returns, 61).pbo)


def test_losses_are_judged_against_naive_where_no_forecast_was_kept():
    rng = np.random.default_rng(0)
    gains = 0.5 + rng.standard_normal((400, 6))
    found = bias_of_losses(gains, 6)
    assert found.basis == "losses"
    assert found.probability_of_loss < 0.01
    assert bias_of_losses(gains - 1.0, 6).probability_of_loss > 0.99
    assert math.isnan(found.deflated_sharpe)
    assert judged("deflated_sharpe", validation(found))[0] is Result.UNDECIDABLE
    result, told = judged("overfitting", validation(bias_of_losses(gains - 1.0, 6)))
    assert result is Result.REFUSE
    assert "loses more than the baseline" in told


def test_few_bars_make_fewer_blocks_and_very_few_make_none():
    assert math.isfinite(bias_of_returns(noise(bars=40), 0, 30).pbo)
    none = bias_of_returns(noise(bars=3), 0, 30)
    assert math.isnan(none.pbo)
    assert judged("overfitting", validation(none))[0] is Result.UNDECIDABLE


def test_the_ranking_tells_naive_and_copies_of_it_from_what_is_better():
    rng = np.random.default_rng(0)
    naive = rng.standard_normal(400) ** 2 + 1.0
    better = naive[:, None] - 0.5 + 0.01 * rng.standard_normal((400, 2))
    losses = np.column_stack([better, naive])
    found = ranking(losses, naive[:, None], 1, 3)
    assert list(found.included) == [True, True, False, False]
    assert found.corrected[0] < 0.001
    assert math.isnan(found.corrected[2])
    for interval, column in zip(found.intervals(), [*losses.T, naive], strict=True):
        assert interval.low < column.mean() < interval.high
    assert found.scalars(0)["in_confidence_set"].value == 1.0
    assert found.scalars(2)["in_confidence_set"].value == 0.0
    assert found.scalars(0)["confidence_set_size"].value == 2.0


def test_corrected_p_values_of_the_best_three_count_every_config_looked_at():
    # 24 configs without skill; the best three on one slice are compared on folds that hold it too.
    # The share with a significant config is 0.17 if only three are counted (Holm).
    rng, draws = np.random.default_rng(0), 400
    false, uncounted = 0, 0
    for _ in range(draws):
        naive = rng.standard_normal(120)
        losses = naive[:, None] + rng.standard_normal((120, 24))
        best = losses[40:].mean(axis=0).argsort()[:3]
        tests = [diebold_mariano(losses[:, one], naive) for one in best]
        p_values = [test.p_value for test in tests]
        false += holm(p_values, of=24).min() <= 0.05
        uncounted += holm(p_values).min() <= 0.05
    assert false / draws <= 0.07
    assert uncounted / draws > 0.1
    found = ranking(losses[:, best], naive[:, None], 1, looked_at=24)
    assert found.corrected[:3].tolist() == holm(p_values, of=24).tolist()


def test_too_few_periods_leave_the_confidence_set_undecided():
    found = ranking(noise(bars=20, configs=2), noise(bars=20, configs=1), 1, 2)
    assert math.isnan(found.scalars(0)["in_confidence_set"].value)
    kept = {"validation": evidence("validation", found.scalars(0), found.notes())}
    result, told = judged("in_confidence_set", kept)
    assert result is Result.UNDECIDABLE
    assert "periods" in told


# Gates


def luck(**figures):
    base = bias_of_returns(noise(), 0, 30)
    return validation(replace(base, **figures))


@looped(
    ("figures", "result"),
    [
        ({"probability_of_loss": 0.1, "pbo": 0.2}, Result.PASS),
        ({"probability_of_loss": 0.11, "pbo": 0.0}, Result.REFUSE),
        # All good, ranked by chance: nothing can be told apart, so PBO says nothing.
        ({"probability_of_loss": 0.0, "pbo": 0.9, "distinguishable": 0.0}, Result.PASS),
        ({"probability_of_loss": 0.0, "pbo": 0.9, "distinguishable": 3.0}, Result.REFUSE),
        ({"probability_of_loss": 0.0, "pbo": 0.9, "distinguishable": math.nan}, Result.UNDECIDABLE),
        ({"probability_of_loss": math.nan}, Result.UNDECIDABLE),
        ({"pbo": math.nan}, Result.UNDECIDABLE),
    ],
)
def test_overfitting_refuses_on_losses_and_on_pbo_only_where_configs_differ(figures, result):
    found, told = judged("overfitting", luck(**figures))
    assert found is result
    if result is not Result.UNDECIDABLE:
        assert "PBO is" in told
        assert "with a probability of" in told


def test_the_deflated_sharpe_ratio_passes_above_its_limit_only():
    assert judged("deflated_sharpe", luck(deflated_sharpe=0.951))[0] is Result.PASS
    assert judged("deflated_sharpe", luck(deflated_sharpe=0.95))[0] is Result.REFUSE
    assert judged("deflated_sharpe", luck(deflated_sharpe=0.85), confidence=0.8)[0] is Result.PASS
    assert judged("deflated_sharpe", luck(deflated_sharpe=math.nan))[0] is Result.UNDECIDABLE


@pytest.mark.parametrize("name", ["deflated_sharpe", "overfitting", "in_confidence_set"])
def test_evidence_of_an_earlier_podium_is_undecidable_and_no_error(name):
    old = {"validation": evidence("validation", {"loss": Scalar(0.1)}, {"metric": "mse"})}
    result, told = judged(name, old)
    assert result is Result.UNDECIDABLE
    assert "from an earlier version of podium" in told


def leaks(**numbers):
    scalars = {"probed": 4, "leaks": 0, "undecided": 0, **numbers}
    notes = {"leaks": "features/mine at bar 7", "undecided": "the probe is blind"}
    told = {k: Scalar(v, "members") for k, v in scalars.items()}
    return {"leak_probe": evidence("leak_probe", told, notes)}


def test_a_leak_refuses_and_what_could_not_be_probed_does_not_pass():
    assert judged("no_leak", leaks())[0] is Result.PASS
    result, told = judged("no_leak", leaks(leaks=1, undecided=1))
    assert result is Result.REFUSE
    assert "features/mine at bar 7" in told
    result, told = judged("no_leak", leaks(undecided=1))
    assert result is Result.UNDECIDABLE
    assert "blind" in told
    assert judged("no_leak", {})[0] is Result.MISSING


def same(champion=None, **against):
    notes = {"naive_method": "zero", "champion": "c-0"}
    found = {kind: evidence(kind, notes=notes) for kind in ("validation", "test")}
    if against:
        other = {"notes": notes, **against}
        found["against_champion"] = evidence("against_champion", **other)
    gate = registry.load("gates", "same_data")
    held = {"test": evidence("test", candidate_id=champion)} if champion else None
    return found, lambda: verdict("same_data", gate, found, held, {}).result


def test_figures_of_other_windows_are_not_compared():
    found, judge = same()
    assert judge() is Result.PASS
    found["validation"] = replace(found["validation"], dataset_fingerprint="e" * 64)
    assert judge() is Result.REFUSE
    found, judge = same()
    found["validation"] = replace(found["validation"], notes={"naive_method": "last"})
    assert judge() is Result.REFUSE


def test_a_champion_must_have_been_judged_on_the_candidate_s_test():
    assert same("c-0")[1]() is Result.UNDECIDABLE
    assert same("c-0", split_hash="s" * 64)[1]() is Result.PASS
    assert same("c-0", split_hash="t" * 64)[1]() is Result.REFUSE
    assert same("c-0", dataset_fingerprint="e" * 64)[1]() is Result.REFUSE
    assert same("c-9", split_hash="s" * 64)[1]() is Result.UNDECIDABLE


def test_only_the_trading_policy_gates_selection_bias():
    forecast, trading = (policies()[name]["champion"] for name in ("forecast", "trading"))
    assert set(trading) - set(forecast) == {"deflated_sharpe", "overfitting"}
    assert {"no_leak", "same_data", "in_confidence_set", "beats_baseline"} <= set(forecast)


# Projects


@pytest.fixture(scope="module")
def searched(ladder):
    """A project of planted bars whose search of six configs is done; it draws nothing."""

    def build(folder):
        root = folder / "planted"
        write_planted(root, 2.0, 0)
        settings(root, trials=6, generation=2)
        with (root / "podium.toml").open("a") as told:
            told.write("\n" + toml({"analyze": SMALL["analyze"]}))
        with open_project(root) as project:
            tune(project, SLOT)

    return ladder.kept("planted", build) / "planted"


@pytest.fixture
def project_of(searched, tmp_path):
    """Copy of that project with other settings."""
    root = tmp_path / "planted"
    ladders.copied(searched, root)

    def opened(**changed):
        settings(root, **changed)
        return open_project(root)

    opened.root = root
    return opened


def settings(root, **changed):
    """Rewrite single numbers of podium.toml."""
    path = root / "podium.toml"
    text = path.read_text()
    for key, value in changed.items():
        text = re.sub(rf"^{key} = .*$", f"{key} = {json.dumps(value)}", text, flags=re.MULTILINE)
    path.write_text(text)


def tried(root):
    rows = query(root, "SELECT DISTINCT config_hash FROM trial WHERE family = 'lagged'")
    return len(rows)


@pytest.mark.slow
def test_splitting_a_search_into_small_ones_resets_nothing(project_of):
    counts = []
    for seed in range(1, 4):
        with project_of(trials=2, seed=seed) as project:
            tune(project, SLOT)
            found = analyzed(project)
        counts.append((found.luck.n_trials, found.luck.judged))
    # Six of the first search, and two of each small one.
    assert counts == [(8, 8), (10, 10), (12, 12)]
    assert tried(project_of.root) == 12


def test_adding_a_bar_resets_nothing(project_of):
    path = project_of.root / "bars" / "PLT.csv"
    last = path.read_text().splitlines()[-1].split(",")
    later = np.busday_offset(last[0], 1)
    before = tried(project_of.root)
    path.write_text(path.read_text() + ",".join([str(later), *last[1:]]) + "\n")
    with project_of(trials=3, seed=99) as project:
        tune(project, SLOT)
        found = analyzed(project)
    assert len(query(project_of.root, "SELECT DISTINCT dataset_fingerprint FROM trial")) == 2
    assert found.luck.n_trials == found.luck.judged == tried(project_of.root) == before + 3


@pytest.mark.slow
def test_of_two_tasks_with_one_config_the_present_one_is_judged(project_of):
    with project_of() as project:
        before = analyzed(project).luck
    # The same hyperparameters with another feature: another model of the same config.
    with project_of(features=["log_return", "log_range"]) as project:
        tune(project, SLOT)
        other = analyzed(project).luck
    with project_of(features=["log_return"]) as project:
        again = analyzed(project).luck
    assert (again.n_trials, again.judged, again.sharpe) == (12, 12, before.sharpe)
    assert again.deflated_sharpe < before.deflated_sharpe
    assert (before.n_trials, other.n_trials) == (6, 12)
    assert other.judged == 12
    assert other.sharpe != before.sharpe


def test_failed_configs_count_and_leave_nothing_to_judge(project_of):
    with project_of() as project:
        study = query(project_of.root, "SELECT id FROM study")[0]["id"]
        with project.ledger.transaction() as tx:
            tx.connection.exec_driver_sql(
                "UPDATE trial SET state = 'failed', prediction_hash = NULL, loss_hash = NULL "
                "WHERE id = (SELECT t.id FROM trial t JOIN study_trial l ON l.trial_id = t.id "
                f"WHERE l.study_id = '{study}' AND l.phase = 'tune' "
                "ORDER BY t.score DESC LIMIT 1)"
            )
        found = analyzed(project)
    assert (found.luck.n_trials, found.luck.judged) == (6, 5)


def test_trials_that_kept_losses_alone_are_judged_by_them(project_of):
    with project_of() as project:
        with project.ledger.transaction() as tx:
            tx.connection.exec_driver_sql("UPDATE trial SET prediction_hash = NULL")
        found = analyzed(project)
    assert found.luck.basis == "losses"
    assert found.luck.judged == 6
    assert math.isfinite(found.luck.probability_of_loss)
    assert "no forecasts" in found.luck.sharpe_reason


def test_the_returns_are_those_of_the_kernel_on_the_validation_bars(project_of, monkeypatch):
    seen = {}

    def listening(returns, chosen, n_trials):
        seen["returns"], seen["chosen"] = returns, chosen
        return no_bias(n_trials, "not asked")

    monkeypatch.setattr(looks.selection_bias, "bias_of_returns", listening)
    with project_of() as project:
        found = analyzed(project)
        data, split = found.extension.tuned.data, found.extension.tuned.split
    first = int(split.folds[0].validation[0])
    returns = seen["returns"]
    assert returns.shape == (len(data.tuning) - first - 1, 6)
    # What the chosen config's own forecasts say, bar by bar: held from the next open on.
    [row] = query(
        project_of.root,
        "SELECT DISTINCT prediction_hash FROM trial WHERE score = ?",
        found.chosen.tuning_score,
    )
    with open_project(project_of.root) as project, project.ledger.reading() as tx:
        forecast = reads.array(tx, row["prediction_hash"])
    close = data.dataset["close"][:, 0]
    moved = close[first + 1 : len(data.tuning)] / close[first : len(data.tuning) - 1] - 1.0
    gross = np.sign(forecast)[: len(moved)] * moved[: len(forecast)]
    difference = returns[: len(gross), seen["chosen"]] - gross
    # Fees of 5 bps on what is traded, two times equity at most, are all that is between them.
    assert difference.max() < 1e-5
    assert difference.min() > -0.0011


def test_selection_bias_uses_the_terms_of_the_backtest(project_of):
    path = project_of.root / "podium.toml"
    more = ["spread_bps = 3.0", "max_leverage = 0.5", "borrow_rate = 0.1", "slippage_bps = 2.0"]
    path.write_text(path.read_text().replace("fee_bps", "\n".join([*more, "fee_bps"])))
    with project_of() as project:
        data = slot_data(project.config, SLOT)
        bars = slice(100, 300)
        weights = np.random.default_rng(0).choice([-1.0, 0.0, 1.0], (2, 200, 1))
        stacked = simulate_stack(weights=weights, **trading_terms(project, data, bars))
        for n, plan in enumerate(weights):
            one = simulate(weights=plan, **trading_terms(project, data, bars))
            np.testing.assert_array_equal(one.equity, stacked.equity[n])


def analyzed(project):
    extend(project, SLOT)
    return analyze(project, SLOT)


def finalized(project):
    extend(project, SLOT)
    return finalize(project, SLOT)


def promoted(project):
    final = finalized(project)
    backtest(project, SLOT)
    return promote(project, final.candidate.id)


@pytest.mark.slow
def test_validation_evidence_holds_the_judgement_and_grows_only_when_it_changes(project_of):
    def kept():
        rows = query(project_of.root, "SELECT kind, scalars FROM evidence ORDER BY seq")
        return [json.loads(r["scalars"]) for r in rows if r["kind"] == "validation"]

    with project_of() as project:
        run(project)
        run(project)
    [told] = kept()
    names = {
        "n_trials", "deflated_sharpe", "trial_sharpe_std", "pbo", "probability_of_loss",
        "in_confidence_set", "dm_p_value", "dm_p_value_corrected", "configs_looked_at",
    }  # fmt: skip
    assert names <= set(told)
    assert told["n_trials"][0] == told["configs_looked_at"][0] == 6
    # Whoever looks at more configs and comes back to the same candidate raises its bar.
    with project_of(trials=3, seed=5) as project:
        tune(project, SLOT)
    with project_of(trials=6, seed=0) as project:
        tune(project, SLOT)
        first = finalized(project)
    assert first.fresh is False
    assert [one["n_trials"][0] for one in kept()] == [6, 9]
    assert len(query(project_of.root, "SELECT id FROM candidate")) == 1


@pytest.mark.slow
def test_evidence_that_is_not_the_newest_any_more_is_appended_again(project_of):
    with project_of() as project:
        final = finalized(project)
        with project.ledger.reading() as tx:
            new = reads.evidence_of(tx, final.candidate.id)["validation"]
        old = ("loss", "loss_standard_error", "naive_loss", "dm_statistic", "dm_p_value")
        with project.ledger.transaction() as tx:
            bare = replace(new, id="e-old", scalars={k: new.scalars[k] for k in old})
            writes.put_evidence(tx, bare)
        again = finalized(project)
        with project.ledger.reading() as tx:
            found = reads.evidence_of(tx, final.candidate.id)["validation"]
    assert (again.fresh, again.candidate.id) == (False, final.candidate.id)
    assert (
        repr(found.scalars) == repr({k: Scalar(*v) for k, v in new.scalars.items()})
        or found.scalars.keys() == new.scalars.keys()
    )


def test_a_feature_that_knows_the_future_is_refused_by_name(project_of):
    folder = project_of.root / "plugins" / "features"
    folder.mkdir()
    (folder / "tomorrow.py").write_text(LEAK)
    with project_of(features=["log_return", "tomorrow"]) as project:
        tune(project, SLOT)
        found = promoted(project)
    told = {v.gate: v for v in found.verdicts}
    assert told["no_leak"].result is Result.REFUSE
    assert "features/tomorrow" in told["no_leak"].finding
    assert found.refused


@pytest.mark.slow
def test_a_member_is_probed_once_for_all_candidates(project_of, monkeypatch):
    with project_of() as project:
        finalized(project)
    monkeypatch.setattr(leak, "probe_member", lambda *_: pytest.fail("probed again"))
    with project_of(trials=4, seed=11) as project:
        tune(project, SLOT)
        finalized(project)
    kinds = query(project_of.root, "SELECT kind FROM evidence WHERE kind = 'leak_probe'")
    candidates = query(project_of.root, "SELECT id FROM candidate")
    assert len(kinds) == len(candidates)


@pytest.mark.slow
def test_a_policy_that_asks_for_no_probe_costs_none(project_of, monkeypatch):
    monkeypatch.setattr(leak, "probe_member", lambda *_: pytest.fail("probed"))
    path = project_of.root / "podium.toml"
    with project_of(policy="bare") as _:
        path.write_text(path.read_text() + "\n[policies.bare.champion]\nbeats_baseline = {}\n")
    with project_of() as project:
        finalized(project)
    assert query(project_of.root, "SELECT id FROM evidence WHERE kind = 'leak_probe'") == []


@pytest.mark.slow
def test_analyze_shows_ranking_naive_confidence_set_and_selection_bias(project_of, capsys):
    place = ["--project", str(project_of.root)]
    with project_of() as project:
        found = analyzed(project)
    assert podium(["analyze", *place, "--json"]) == 0
    [told] = json.loads(capsys.readouterr().out)["items"]
    assert [row["chosen"] for row in told["ranking"]].count(True) == 1
    assert len(told["ranking"]) == 3 + len(found.extension.ladder)
    assert told["ranking"][3]["config"] == label_of(found.extension.baselines[0])
    for row in told["ranking"]:
        assert row["low"] < row["mse"] < row["high"]
        assert row["naive_mse"] == found.reference.mean
    first = told["ranking"][0]
    assert first["dm_pvalue_vs_naive"] <= first["dm_pvalue_vs_naive_corrected"]
    assert told["n_trials"] == told["configs looked at"] == 6
    assert told["deflated_sharpe"] == found.luck.deflated_sharpe
    assert podium(["analyze", *place]) == 0
    shown = capsys.readouterr().out
    for words in ("95 % interval", "p against baseline", "deflated Sharpe", "PBO"):
        assert words in shown
    assert shown.splitlines()[0].startswith(f"{SLOT}: chosen ")
    assert podium(["analyze", *place, "--verbose"]) == 0
    assert "probability of loss" in capsys.readouterr().out

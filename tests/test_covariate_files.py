"""Files of covariates as a project names them: what is read, refused, told, and trained on."""

import shutil
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest

from figures import DAY, FEATURES, earnings, seconds, with_earnings
from podium import config, registry, sections
from podium.cli.main import run
from podium.covariates import KINDS, Covariate
from podium.errors import DataError, UsageError
from podium.readers._covariates import ROLES
from podium.resolve import load_model
from podium.steps.archive.reproduce import reproduce
from podium.steps.data.bars import load_dataset, slot_data
from podium.steps.data.check import check
from podium.steps.search.grid import grid
from podium.steps.search.tune import tune
from podium.steps.serving.predict import predict
from podium.steps.workspace.session import open_project
from projects import SLOT, configure, query, small_project

compute = registry.load("features", "covariate").compute
TWO = ["AAPL", "IBM"]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return small_project(tmp_path_factory.mktemp("files") / "small")


@pytest.fixture
def loaded(project):
    """Dataset of the small project with one file of covariates, called ``c``."""

    def load(table, kind="dated", **settings):
        path = project / ("c.parquet" if settings.pop("parquet", False) else "c.csv")
        if isinstance(table, str):
            path.write_text(table, encoding="utf-8")
        else:
            table.to_parquet(path) if path.suffix == ".parquet" else table.to_csv(path, index=False)
        keys = {"path": path.name, "kind": kind, **settings}
        configure(project, datasets={"us4": {"covariates": {"c": keys}}})
        return load_dataset(config.load(project), "us4")

    return load


def refused(loaded, *words, **settings):
    with pytest.raises(DataError) as error:
        loaded(**settings)
    told = str(error.value)
    assert all(word in told for word in words), told
    assert "covariates 'c'" in told
    return told


def known_from(dataset, column="eps"):
    """Stamp of the first bar that has a value, of each ticker."""
    values = compute(dataset, f"c.{column}")
    return [str(dataset.times[np.isfinite(v).argmax()])[:10] for v in values.T]


# ------------------------------------------------------------------ when a row counts


def test_a_date_of_publication_counts_from_the_end_of_its_day(loaded):
    # 2001-03-14 is a Wednesday.
    assert known_from(loaded("available_at,eps\n2001-03-14,1\n")) == ["2001-03-15"] * 2
    assert known_from(loaded("available_at,eps\n20010314,1\n")) == ["2001-03-15"] * 2


def test_a_time_of_publication_is_an_instant_and_a_daily_bar_is_stamped_with_its_date(loaded):
    assert known_from(loaded("available_at,eps\n2001-03-14T09:00,1\n")) == ["2001-03-15"] * 2
    assert known_from(loaded("available_at,eps\n2001-03-14T00:00Z,1\n")) == ["2001-03-14"] * 2


def test_dates_and_times_may_stand_in_one_column(loaded):
    table = "ticker,available_at,eps\nAAPL,2001-03-14,1\nIBM,2001-03-14T16:30:00,1\n"
    assert known_from(loaded(table)) == ["2001-03-15"] * 2


def test_a_day_ends_where_it_is_published(loaded):
    [one] = loaded("available_at,eps\n2001-03-14,1\n", timezone="Asia/Tokyo").covariates.values()
    assert one.moments.tolist() == seconds("2001-03-14T15:00").tolist()
    [one] = loaded(
        "available_at,eps\n2001-03-14T16:30,1\n", timezone="America/New_York"
    ).covariates.values()
    assert one.moments.tolist() == seconds("2001-03-14T21:30").tolist()


def test_parquet_says_of_each_column_whether_it_has_a_zone(loaded):
    table = pd.DataFrame(
        {
            "period": pd.to_datetime(["2000-12-31"]).date,
            "published": pd.to_datetime(["2001-03-14T20:30"]).tz_localize("America/New_York"),
            "eps": [1.0],
            "beat": [True],
        }
    )
    [one] = loaded(table, parquet=True, timezone="Asia/Tokyo").covariates.values()
    assert one.moments.tolist() == seconds("2001-03-15T01:30").tolist()
    assert one.periods.tolist() == seconds("2000-12-30T15:00").tolist()
    assert one.values["beat"].tolist() == [1.0]


# ------------------------------------------------------------------ columns


def test_usual_names_are_found_and_the_order_of_rows_does_not_matter(loaded):
    table = earnings()
    whole = loaded(table)
    turned = loaded(table.sample(frac=1, random_state=3)[table.columns[::-1]])
    assert turned.fingerprint == whole.fingerprint
    assert list(whole.covariates["c"].values) == ["eps"]
    assert whole.covariates["c"].periods is not None


def test_columns_names_roles_and_picks_values(loaded):
    table = earnings().rename(columns={"filing_date": "seen"}).assign(note="text", other=1)
    dataset = loaded(table, columns={"available_at": "seen", "profit": "eps"})
    assert list(dataset.covariates["c"].values) == ["profit"]


def test_columns_that_hold_no_numbers_are_refused_by_name(loaded):
    told = refused(loaded, "'note' ('text' in", "columns = {", table=earnings().assign(note="text"))
    assert "line 2" in told


def test_true_and_false_are_one_and_nothing(loaded):
    days = [str(day) for day in np.arange("2000-01-01", "2013-12-31", dtype="M8[D]")]
    flags = ["True", "", "False"] * (len(days) // 3)
    table = pd.DataFrame({"date": days[: len(flags)], "closed": flags})
    one = loaded(table, kind="known_ahead").covariates["c"]
    assert set(one.values["closed"].tolist()) == {0.0, 1.0}
    assert np.isfinite(one.values["closed"]).all()


def test_a_dated_file_without_a_publication_is_refused_because_a_period_is_none(loaded):
    table = earnings().drop(columns="filing_date")
    refused(loaded, "no column available_at", "a period is not a publication", table=table)


@pytest.mark.parametrize(
    ("kind", "table", "told"),
    [
        ("static", "size,beta\n1,2\n", ["no column ticker", "constant"]),
        ("static", "ticker,size\nAAPL,1\n", ["no row of IBM"]),
        ("static", "ticker,size\nAAPL,1\nIBM,2\nIBM,3\n", ["has 3 in 'size' of IBM", "line 4"]),
        ("known_ahead", "closed,early\n1,0\n", ["no column time"]),
        ("known_ahead", "date,closed\nsoon,1\n", ["'soon'", "ISO 8601"]),
        ("dated", "available_at,eps\n2001-03-14,1\n2001-03-14,2\n", ["line 3 has 2", "when each"]),
        ("dated", "available_at,period,eps\n2001-03-14,,1\n", ["column 'period'"]),
        ("dated", "available_at,filed,eps\n2001-03-14,2001-03-14,1\n", ["'filed'"]),
        ("dated", "published,filed,eps\n2001-03-14,2001-03-14,1\n", ["2 columns that may be"]),
        ("dated", "available_at,ticker,eps\n2001-03-14,,1\n", ["line 2 has no ticker"]),
        ("dated", "available_at,period\n2001-03-14,2000-12-31\n", ["no column of values"]),
        ("dated", "available_at,eps\n", ["a header and no rows"]),
        ("dated", "available_at,eps\n2001-03-14,inf\n", ["a finite number"]),
        ("dated", "available_at,eps\n03/04/2001,1\n", ["date_format"]),
    ],
)
def test_what_cannot_be_right_is_refused_with_its_place(loaded, kind, table, told):
    refused(loaded, *told, kind=kind, table=table)


def test_errors_of_several_files_are_reported_at_once(project):
    (project / "a.csv").write_text("ticker,size\nAAPL,1\n")
    files = {
        "a": {"path": "a.csv", "kind": "static"},
        "b": {"path": "none.csv", "kind": "dated"},
    }
    configure(project, datasets={"us4": {"covariates": files}})
    with pytest.raises(DataError) as error:
        load_dataset(config.load(project), "us4")
    told = str(error.value)
    assert "covariates 'a': no row of IBM" in told
    assert "covariates 'b': there is no file" in told


def test_rows_of_other_tickers_are_left_out_with_a_note(loaded):
    dataset = loaded(earnings(("AAPL", "IBM", "ZZZ")))
    assert set(dataset.covariates["c"].tickers) == set(TWO)
    assert dataset.notes[-1].endswith("ignored, since the dataset has no such tickers: ZZZ")
    assert dataset.fingerprint != loaded(earnings(("AAPL", "ZZZ"))).fingerprint


# ------------------------------------------------------------------ podium.toml


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"path": "c.csv", "kind": "datd"}, "kind (podium.toml) is 'datd'"),
        ({"path": "c.csv", "kind": "dated", "colums": {}}, "did you mean 'columns'"),
        ({"kind": "dated"}, "'path' is missing in [datasets.us4.covariates.c]"),
        ({"path": 3, "kind": "dated"}, "path (podium.toml) is 3"),
        ({"path": "c.csv", "kind": "static", "columns": {"size": 3}}, "a table of texts"),
    ],
)
def test_a_table_of_covariates_is_checked_like_all_others(project, table, told):
    configure(project, datasets={"us4": {"covariates": {"c": table}}})
    with pytest.raises(UsageError) as error:
        config.load(project)
    assert told.lower() in str(error.value).lower()


def test_every_kind_of_covariate_can_be_asked_for_and_read():
    [kind] = [part for part in fields(sections.CovariateSection) if part.name == "kind"]
    assert kind.metadata["check"][1] == f"one of {', '.join(KINDS)}"
    assert tuple(ROLES) == KINDS


def test_covariates_have_plain_names_and_belong_to_bars(project):
    configure(
        project,
        datasets={
            "us4": {"covariates": {"a.b": {"path": "c.csv", "kind": "dated"}}},
            "s": {
                "path": "x.npz",
                "reader": "npz",
                "covariates": {"c": {"path": "c.csv", "kind": "dated"}},
            },
        },
    )
    with pytest.raises(UsageError) as error:
        config.load(project)
    assert "has the name 'a.b'" in str(error.value)
    assert "has covariates for sequences" in str(error.value)


# ------------------------------------------------------------------ podium check


def test_check_reports_the_coverage_of_each_covariate(loaded, project):
    loaded(earnings(("AAPL", "ZZZ")))
    found = check(config.load(project), "us4")
    told = "\n".join(one.found for one in found.findings)
    assert not found.refused
    assert "1 of 2 tickers, first available at 2000-0" in told
    assert "bars with a value: eps 50.0%" in told
    assert "no row of IBM" in told
    assert "no such tickers: ZZZ" in told


def test_check_finds_figures_that_were_published_before_their_period_was_over(loaded, project):
    table = "available_at,period,eps\n2001-03-30,2001-03-31,1\n2001-07-20,2001-06-30,2\n"
    loaded(table)
    [one] = [f for f in check(config.load(project), "us4").findings if f.what == "published early"]
    assert (one.severity, one.count) == ("warning", 1)
    assert "c.csv line 2" in one.found
    loaded(table.replace("03-30", "03-31"))
    assert "published early" not in {f.what for f in check(config.load(project), "us4").findings}


def test_check_doubts_instants_that_are_all_midnights(loaded, project):
    loaded("available_at,eps\n2001-03-30T00:00Z,1\n2001-07-20T00:00Z,2\n")
    assert "available_at" in {f.what for f in check(config.load(project), "us4").findings}


def test_check_reports_the_errors_of_loading(loaded, project):
    refused(loaded, table="period,eps\n2001-03-31,1\n")
    found = check(config.load(project), "us4")
    assert found.refused
    assert found.fingerprint == ""
    assert run(["check", "us4", "--project", str(project)]) == 7


# ------------------------------------------------------------------ from end to end


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A project whose slot uses earnings, with a search and a grid's model."""
    root = with_earnings(tmp_path_factory.mktemp("trained") / "small", tune={"trials": 2})
    with open_project(root) as project:
        tune(project, SLOT)
        grid(project, SLOT, {"learning_rate": [0.01]})
    return root


def trial(root):
    return query(root, "SELECT id FROM trial WHERE family = 'lstm' AND run_id IS NOT NULL")[0]["id"]


def test_what_was_trained_with_covariates_is_reproduced_to_the_bit(trained):
    with open_project(trained) as project:
        assert reproduce(project, trial(trained)).equal


def test_bars_and_figures_that_came_later_do_not_hinder_it(trained, tmp_path):
    root = shutil.copytree(trained, tmp_path / "copy")
    for ticker in TWO:
        path = root / "data" / "us4" / f"{ticker}.csv"
        path.write_text(path.read_text() + "2013-03-04,1,2,1,2,5,2\n")
    pd.concat([earnings(), earnings(last="2014-12-31", seed=1).iloc[-12:]]).to_csv(
        root / "eps.csv", index=False
    )
    with open_project(root) as project:
        assert reproduce(project, trial(root)).equal


def test_a_figure_changed_later_is_reported(trained, tmp_path):
    root = shutil.copytree(trained, tmp_path / "copy")
    table = earnings()
    table.loc[5, "eps"] += 1
    table.to_csv(root / "eps.csv", index=False)
    with open_project(root) as project:
        found = reproduce(project, trial(root))
    assert not found.equal
    assert "a covariate's figure or a time stamp was changed" in str(found.problems[0])


def test_a_model_forecasts_the_newest_bars_and_frames_with_their_covariates(trained):
    with open_project(trained) as project:
        newest = predict(project, bars=1)
        data = slot_data(project.config, SLOT)
    model = load_model(newest.model)
    frame = pd.concat(
        pd.read_csv(trained / "data" / "us4" / f"{t}.csv").assign(ticker=t) for t in TWO
    )
    with pytest.raises(UsageError, match=r"predict\(frame, covariates="):
        model.predict(frame)
    table = earnings()
    eps = Covariate.of(
        "dated",
        {"eps": table["eps"].to_numpy()},
        moments=table["filing_date"].to_numpy("M8[s]") + DAY,
        periods=table["fiscalDateEnding"].to_numpy("M8[s]"),
        tickers=table["symbol"].tolist(),
    )
    told = model.predict(frame, covariates={"earnings": eps})
    last = told[told["decided_at"] == told["decided_at"].max()].set_index("ticker")["forecast"]
    whole = {row["ticker"]: row["forecast"] for row in newest.rows()[-2:]}
    assert {t: last[t] for t in TWO} == pytest.approx(whole, rel=1e-6)
    assert data.view.feature_names == FEATURES

"""podium.toml: everything wrong with it at once, every value with where it came from."""

import pytest

from podium import config, registry
from podium.errors import NotFoundError, UsageError

GOOD = """
[project]
name = "demo"
id = "p-1"
default_slot = "us4/D/volatility"

[datasets.us4]
path = "data"
tickers = ["AAA", "BBB"]
timeframe = "D"

[slots."us4/D/volatility"]
dataset = "us4"
target = "volatility"
horizon = 5
features = ["log_return", "log_volatility:21"]
test_from = 2010-01-01

[tune]
trials = 10

[policies.forecast.beta.beats_baseline]
p_value = 0.1
"""


@pytest.fixture
def written(tmp_path):
    """Loads a podium.toml of this text, from an empty environment."""

    def load(text=GOOD, flags=None, environ=None):
        (tmp_path / config.FILE).write_text(text, encoding="utf-8")
        return config.load(tmp_path, flags=flags, environ=environ or {})

    return load


def problems(load, text, **more):
    with pytest.raises(UsageError) as caught:
        load(text, **more)
    return [str(problem) for problem in caught.value.problems]


def test_a_good_file_is_completed_with_defaults(written):
    found = written()
    assert found.tune.trials == 10
    assert found.tune.epochs == 12
    assert found.slot("us4/D/volatility").test_from == "2010-01-01"
    assert found.datasets["us4"].tickers == ("AAA", "BBB")
    assert found.policies == {"forecast": {"beta": {"beats_baseline": {"p_value": 0.1}}}}


def test_flag_beats_environment_beats_file_beats_default(written):
    environ = {"PODIUM_TUNE_TRIALS": "20", "PODIUM_TUNE_SEED": "3"}
    found = written(flags={"tune.trials": 30}, environ=environ)
    assert (found.tune.trials, found.origins["tune.trials"]) == (30, "flag")
    assert (found.tune.seed, found.origins["tune.seed"]) == (3, "env PODIUM_TUNE_SEED")
    assert (found.tune.epochs, found.origins["tune.epochs"]) == (12, "default")
    assert written().origins["tune.trials"] == config.FILE


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("PODIUM_BACKTEST_FEE_BPS", "2", 2.0),
        ("PODIUM_TUNE_VALIDATION_FRACTION", "0.5", 0.5),
        ("PODIUM_RUNNER_NAME", "inline", "inline"),
        ("PODIUM_LEDGER_URL", "sqlite:///x.db", "sqlite:///x.db"),
    ],
)
def test_text_of_the_environment_takes_the_setting_s_type(written, name, text, value):
    found = written(environ={name: text}).values()
    section, _, key = name.removeprefix("PODIUM_").lower().partition("_")
    assert found[f"{section}.{key}"] == value
    assert type(found[f"{section}.{key}"]) is type(value)


def test_a_wrong_value_tells_where_it_came_from(written):
    (told,) = problems(written, GOOD, environ={"PODIUM_TUNE_TRIALS": "many"})
    assert told == "tune.trials (env PODIUM_TUNE_TRIALS) is 'many'. Expected a whole number."
    (told,) = problems(written, GOOD, flags={"tune.trials": 0})
    assert told == "tune.trials (flag) is 0. Expected at least 1."


def test_everything_wrong_is_told_at_once(written):
    text = (
        GOOD.replace("[tune]", "[tunes]")
        .replace('timeframe = "D"', 'timeframe = "day"\ncolor = 1')
        .replace("horizon = 5", "")
        .replace("p_value = 0.1", 'p_value = "low"')
    )
    told = "\n".join(problems(written, text))
    assert "unknown key 'tunes' in podium.toml. Did you mean 'tune'?" in told
    assert "datasets.us4.timeframe (podium.toml) is 'day'" in told
    assert "unknown key 'color' in [datasets.us4]" in told
    assert "'horizon' is missing in [slots.us4/D/volatility]" in told
    assert "policies.forecast.beta.beats_baseline.p_value is 'low'. Expected a number." in told
    assert told.count("\n") == 4


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("trials = 10", 'trials = "10"', "tune.trials (podium.toml) is '10'"),
        ("trials = 10", "trials = true", "tune.trials (podium.toml) is True"),
        ("trials = 10", "trials = 1.5", "is 1.5. Expected a whole number."),
        ("trials = 10", "trials = 0", "is 0. Expected at least 1."),
        ("trials = 10", "validation_fraction = 1", "Expected between 0 and 1"),
        ("trials = 10", "validation_fraction = nan", "is nan"),
        ('["AAA", "BBB"]', '"AAA"', "Expected a list of texts."),
        ('["AAA", "BBB"]', "[]", "Expected at least one ticker."),
        ('["AAA", "BBB"]', "[1]", "Expected a list of texts."),
        ('"data"', "3", "datasets.us4.path (podium.toml) is 3. Expected text."),
        ("[tune]\ntrials = 10", "tune = 3", "tune is 3"),
        ("[policies.forecast.beta", "[policies.forecast.alpha", "Expected beta or champion."),
        ('dataset = "us4"', 'dataset = "us5"', "did you mean 'us4'?"),
        ('target = "volatility"', 'target = "volatilty"', "did you mean 'volatility'?"),
        ('"log_return",', '"log_retrun",', "did you mean 'log_return'?"),
        ("horizon = 5", 'horizon = 5\nfamilies = ["lstn"]', "did you mean 'lstm'?"),
        ("horizon = 5", 'horizon = 5\nmetric = "msee"', "did you mean 'mse'?"),
        ("horizon = 5", 'horizon = 5\nsignal = "sine"', "did you mean 'sign'?"),
        ("horizon = 5", 'horizon = 5\ntask = "guess"', "Expected one of classify, forecast."),
        ("2010-01-01", '"soon"', "test_from is 'soon'"),
        ('default_slot = "us4/D/', 'default_slot = "us4/W/', "which is not a slot"),
        ('[slots."us4/D/volatility"]', '[slots."us4//D"]', "slot name 'us4//D'"),
    ],
)
def test_a_single_mistake_is_told_with_a_remedy(written, old, new, told):
    text = GOOD.replace(old, new, 1)
    if old.startswith("[tune]"):
        text = new + "\n" + GOOD.replace(old, "", 1)
    assert text != GOOD
    found = "\n".join(problems(written, text))
    assert told.lower() in found.lower()


@pytest.mark.parametrize("moment", ["2010-01-01", "2010-01-01T12:30:00"])
def test_a_date_may_be_written_as_text_or_as_a_date(written, moment):
    for text in (moment, f'"{moment}"'):
        found = written(GOOD.replace("2010-01-01", text))
        assert found.slot("us4/D/volatility").test_from == moment


@pytest.mark.parametrize("moment", ["20100101", "2010-W01", "2010-01-01T00:00:00+02:00"])
def test_every_date_that_is_accepted_means_the_same_moment_to_a_dataset(written, moment):
    from podium.testing.series import bars

    dataset = bars(30)
    try:
        found = written(GOOD.replace("2010-01-01", f'"{moment}"')).slot("us4/D/volatility")
    except UsageError:
        return
    # All of 2010's first days lie after the last bar, which is in the year 2000.
    assert dataset.bar_at_or_after(found.test_from) == len(dataset)
    early = bars(3000)
    assert 2500 < early.bar_at_or_after(found.test_from) < 2700


@pytest.mark.parametrize("text", ["[project", "a = 1\na = 2", "\x00"])
def test_a_file_that_is_no_toml_is_told_as_such(written, text):
    with pytest.raises(UsageError, match="cannot be read as TOML"):
        written(text)


def test_a_file_that_is_no_text_is_told_as_such(tmp_path):
    (tmp_path / config.FILE).write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="cannot be read as TOML"):
        config.load(tmp_path, environ={})


def test_no_file_says_how_to_make_one(tmp_path):
    with pytest.raises(NotFoundError, match="podium init"):
        config.load(tmp_path, environ={})
    with pytest.raises(NotFoundError, match="podium init"):
        config.find_root(tmp_path)


def test_the_project_is_found_from_a_folder_below_it(tmp_path):
    (tmp_path / config.FILE).write_text(GOOD)
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert config.find_root(below) == tmp_path.resolve()


def test_an_unknown_slot_is_refused_with_a_near_name(written):
    with pytest.raises(NotFoundError, match="Did you mean 'us4/D/volatility'") as caught:
        written().slot("us4/D/volatilty")
    assert caught.value.exit_code == 3


def test_every_value_is_listed_with_an_origin(written):
    found = written()
    listed = {key for key in found.values() if not key.startswith(("space", "policies"))}
    assert listed <= set(found.origins)


def test_a_near_name_is_suggested_for_every_kind():
    for kind in registry.KINDS:
        name = registry.names(kind)[0]
        with pytest.raises(NotFoundError, match=f"Did you mean '{name}'"):
            registry.load(kind, name + "x")

"""Spaces draw what fits them, refuse what does not, and take what a project narrows."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from looped import looped
from podium.errors import DataError, UsageError
from podium.hashing import canonical
from podium.space import Choice, Float, Int, Space, When

few = settings(max_examples=60, deadline=None)

SPACE = Space(
    parameters={
        "units": Choice((16, 32)),
        "rate": Float(1e-4, 1e-2, log=True),
        "layers": Int(1, 3),
    },
    constants={"epochs": 12},
    bounds={"units": Int(1, 128), "rate": Float(0.0, 1.0), "epochs": Int(1, 100)},
)

numbers = st.floats(1e-6, 1e6)
parameters = st.one_of(
    st.tuples(numbers, numbers, st.booleans()).map(lambda t: Float(min(t[:2]), max(t[:2]), t[2])),
    st.tuples(st.integers(1, 999), st.integers(1, 999), st.booleans()).map(
        lambda t: Int(min(t[:2]), max(t[:2]), t[2])
    ),
    st.lists(st.sampled_from(["a", "b", 1, 2, 0.5, True]), min_size=1, unique_by=repr).map(
        lambda options: Choice(tuple(options))
    ),
)


@few
@given(parameters=st.dictionaries(st.text("abc", min_size=1), parameters), seed=st.integers(0, 99))
def test_whatever_is_drawn_fits_and_survives_the_record(parameters, seed):
    space = Space(parameters, {"zz": 3})
    config = space.sample(seed)
    assert space.problems(config) == []
    assert config == space.sample(seed)
    assert json.loads(canonical(config)) == config
    assert list(config) == sorted(config)


@pytest.mark.parametrize(
    ("parameter", "inside", "outside"),
    [
        (Float(0.1, 0.5), [0.1, 0.5, 0.3], [0.0, 0.6, math.nan, math.inf, "0.3", None, True]),
        (Int(1, 5), [1, 5], [0, 6, 2.0, 2.5, "2", True, math.nan]),
        (Choice((1, "a")), [1, "a"], [1.0, True, 2, "b", None, [1]]),
        (Choice((True, 0.5)), [True, 0.5], [1, 0]),
    ],
    ids=str,
)
def test_a_parameter_holds_its_values_and_nothing_like_them(parameter, inside, outside):
    assert [value for value in inside if not parameter.holds(value)] == []
    assert [value for value in outside if parameter.holds(value)] == []


def test_all_problems_of_a_config_are_told_at_once():
    with pytest.raises(UsageError) as caught:
        SPACE.require({"units": 999, "rat": 0.001, "layers": 2.0})
    text = str(caught.value)
    assert "unknown parameter 'rat'. Did you mean 'rate'?" in text
    assert "parameter 'rate' is missing" in text
    assert "units is 999. Expected a whole number from 1 to 128." in text
    assert "layers is 2.0" in text
    assert len(caught.value.problems) == 5


def test_a_good_config_passes_inside_the_bounds_not_only_the_parameters():
    SPACE.require({"units": 100, "rate": 0.5, "layers": 1, "epochs": 40})


def test_a_grid_holds_every_combination_once():
    space = Space({"a": Choice((1, 2)), "b": Choice((True, False))}, {"c": "x"})
    configs = list(space.grid())
    assert len(configs) == len({canonical(config) for config in configs}) == 4
    assert all(config["c"] == "x" for config in configs)


def test_a_continuous_parameter_has_no_grid():
    with pytest.raises(DataError, match="parameter 'rate' is a number from"):
        list(SPACE.grid())


def test_a_project_narrows_with_values_lists_and_ranges():
    narrowed = SPACE.narrowed(
        {
            "units": [8, 100],
            "rate": {"low": 0.1, "high": 0.2},
            "layers": 2,
            "epochs": {"low": 2, "high": 9},
        },
        "[space.any]",
    )
    assert narrowed.parameters["units"] == Choice((8, 100))
    assert narrowed.parameters["rate"] == Float(0.1, 0.2)
    assert narrowed.parameters["epochs"] == Int(2, 9)
    assert narrowed.constants == {"layers": 2}
    assert not narrowed.problems(narrowed.sample(3))


def test_whole_numbers_set_for_a_real_parameter_become_real():
    narrowed = SPACE.narrowed({"rate": [0, 1]}, "[space.any]")
    assert [type(option) for option in narrowed.parameters["rate"].options] == [float, float]


def test_narrowing_leaves_the_space_it_came_from():
    before = canonical(SPACE.spec())
    SPACE.narrowed({"units": 8, "layers": [1, 2]}, "[space.any]")
    assert canonical(SPACE.spec()) == before


@looped(
    ("settings", "told"),
    [
        ({"unit": 8}, "unknown parameter 'unit' in \\[space.any\\]. Did you mean 'units'?"),
        ({"units": 999}, "units has \\[999\\]"),
        ({"units": []}, "units has"),
        ({"units": "many"}, "units has"),
        ({"units": [[8]]}, "units has"),
        ({"units": {"low": 1}}, "a value, a list, or"),
        ({"units": {"low": 9, "high": 1}}, "a value, a list, or"),
        ({"units": {"low": 1.5, "high": 4}}, "units has"),
        ({"rate": {"low": 0.1, "high": 7.0}}, "rate has \\[7.0\\]"),
        ({"rate": {"low": 0.1, "high": 0.2, "step": 1}}, "a value, a list, or"),
        ({"rate": {"low": math.nan, "high": 0.2}}, "a value, a list, or"),
        ({"layers": True}, "layers has"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_where_it_stands(settings, told):
    with pytest.raises(UsageError, match=told):
        SPACE.narrowed(settings, "[space.any]")


def test_a_logarithmic_range_from_zero_is_refused_before_anything_is_drawn():
    with pytest.raises(UsageError, match="rate"):
        SPACE.narrowed({"rate": {"low": 0.0, "high": 0.1, "log": True}}, "[space.any]")


def test_all_wrong_settings_are_told_at_once():
    with pytest.raises(UsageError) as caught:
        SPACE.narrowed({"unit": 8, "rate": 3.0}, "[space.any]")
    assert len(caught.value.problems) == 2


@few
@given(low=st.integers(1, 50), width=st.integers(0, 50))
def test_a_logarithmic_whole_number_reaches_both_ends(low, width):
    parameter = Int(low, low + width, log=True)
    space = Space({"n": parameter})
    drawn = {space.sample(seed)["n"] for seed in range(30)}
    assert all(parameter.holds(value) for value in drawn)


def test_the_spec_tells_two_spaces_apart():
    assert canonical(SPACE.spec()) != canonical(SPACE.narrowed({"layers": 2}, "").spec())
    assert canonical(SPACE.spec()) != canonical(SPACE.narrowed({"epochs": 3}, "").spec())


def test_what_is_not_searched_has_its_usual_value_or_the_middle():
    space = Space(
        {
            "units": Choice((8, 16)),
            "rate": Float(1e-4, 1e-2, log=True),
            "layers": Int(1, 4),
            "drop": Float(0.0, 0.4),
        },
        {"epochs": 3},
        usual={"units": 16, "drop": 0.9},
    )
    fixed = space.only(["rate"])
    assert list(fixed.parameters) == ["rate"]
    assert fixed.constants == {"epochs": 3, "units": 16, "layers": 2, "drop": pytest.approx(0.2)}
    assert space.only([]).constants["rate"] == pytest.approx(1e-3)
    assert not fixed.problems(fixed.sample(1))


def test_a_narrowed_space_can_be_set_to_whatever_the_family_takes():
    once = SPACE.narrowed({"layers": 2}, "podium.toml")
    assert once.narrowed({"layers": 3}, "a flag").constants["layers"] == 3
    with pytest.raises(UsageError, match="from 1 to 3"):
        once.narrowed({"layers": 4}, "a flag")


# Conditions

LOSSES = Space(
    {"loss": Choice(("plain", "focal", "dice")), "gamma": Float(0.5, 5.0), "sharp": Choice((1, 2))},
    {"epochs": 3},
    conditions={
        "gamma": When({"loss": ("focal",)}, 2.0),
        # Counts only where gamma's loss is there and sharp itself is nowhere else.
        "sharp": When({"loss": ("dice", "focal")}),
    },
)


@few
@given(seed=st.integers(0, 10_000))
def test_what_does_not_count_is_left_out_or_as_it_always_was(seed):
    config = LOSSES.sample(seed)
    assert LOSSES.problems(config) == []
    assert LOSSES.contains(config)
    assert (config["loss"] == "focal") or config["gamma"] == 2.0
    assert ("sharp" in config) == (config["loss"] != "plain")
    assert LOSSES.counting(config) == [
        "loss",
        *(["gamma"] if config["loss"] == "focal" else []),
        *(["sharp"] if config["loss"] != "plain" else []),
    ]


def test_a_grid_of_conditions_has_no_config_twice():
    space = LOSSES.narrowed({"gamma": [1.0, 3.0]}, "here")
    told = [(c["loss"], c["gamma"], c.get("sharp")) for c in space.grid()]
    assert sorted(told, key=str) == [
        ("dice", 2.0, 1),
        ("dice", 2.0, 2),
        ("focal", 1.0, 1),
        ("focal", 1.0, 2),
        ("focal", 3.0, 1),
        ("focal", 3.0, 2),
        ("plain", 2.0, None),
    ]


def test_a_value_where_it_does_not_count_is_a_problem():
    [problem] = LOSSES.problems({"loss": "plain", "gamma": 3.0, "epochs": 3})
    assert problem.found == "gamma is 3.0"
    assert problem.expected == "2.0, since it is active only where loss is one of 'focal'"
    [problem] = LOSSES.problems({"loss": "plain", "gamma": 2.0, "sharp": 1, "epochs": 3})
    assert problem.expected.startswith("nothing, since")


def test_a_project_may_say_where_a_parameter_counts():
    family = Space(
        {"rate": Float(0.1, 1.0)},
        {"loss": "plain", "gamma": 2.0},
        {"loss": Choice(("plain", "focal")), "gamma": Float(0.0, 9.0)},
    )
    asked = {
        "gamma": {"low": 1.0, "high": 3.0, "when": {"loss": "focal"}},
        "loss": ["plain", "focal"],
    }
    space = family.narrowed(asked, "[space.any]")
    assert space.conditions == {"gamma": When({"loss": ("focal",)}, 2.0)}
    drawn = [space.sample(seed) for seed in range(20)]
    assert {c["gamma"] for c in drawn if c["loss"] == "plain"} == {2.0}
    assert len({c["gamma"] for c in drawn if c["loss"] == "focal"}) > 3
    # A later setting of its values leaves the condition.
    assert space.narrowed({"gamma": [1.0, 4.0]}, "a flag").conditions == space.conditions
    assert not [c for c in space.only(["loss"]).grid() if space.problems(c)]


@looped(
    ("when", "told"),
    [
        ({"lss": "focal"}, "unknown parameter 'lss' in here.gamma.when"),
        ({"loss": "fucal"}, "here.gamma.when.loss has \\['fucal'\\]"),
        ({"loss": []}, "here.gamma.when.loss has \\[\\]"),
        ({"loss": {"low": 1, "high": 2}}, "here.gamma.when.loss has"),
        ({}, "here.gamma.when is {}"),
        ("focal", "here.gamma.when is 'focal'"),
        ({"gamma": 1.0}, "form a cycle: gamma -> gamma"),
        ({"sharp": 1}, "form a cycle"),
    ],
)
def test_a_condition_that_cannot_be_is_refused_where_it_stands(when, told):
    settings = {"gamma": {"values": [1.0], "when": when}}
    if told == "form a cycle":
        settings["sharp"] = {"values": [1, 2], "when": {"gamma": 1.0}}
    with pytest.raises(UsageError, match=told):
        LOSSES.narrowed(settings, "here")


def test_conditions_are_part_of_what_a_study_asks_and_nothing_else_is():
    assert "conditions" not in SPACE.spec()
    assert LOSSES.spec()["conditions"]["gamma"] == [{"loss": ["focal"]}, 2.0]


# Places on a scale


@few
@given(parameter=parameters, unit=st.floats(0, 1))
def test_every_place_is_a_value_and_every_value_has_a_place(parameter, unit):
    value = parameter.at(unit)
    assert parameter.holds(value)
    place = parameter.place(value)
    assert -1e-9 <= place <= 1 + 1e-9
    again = parameter.at(min(1.0, max(0.0, place)))
    assert again == pytest.approx(value) if isinstance(parameter, Float) else again == value


def test_a_space_contains_its_own_configs_and_no_other_length_or_value():
    narrowed = SPACE.narrowed({"rate": {"low": 1e-3, "high": 1e-2}}, "")
    config = narrowed.sample(1)
    assert narrowed.contains(config)
    assert SPACE.contains(config)
    assert not narrowed.contains({**config, "rate": 5e-4})
    assert not narrowed.contains({**config, "epochs": 13})
    assert not narrowed.contains({**config, "other": 1})
    assert not narrowed.contains({k: v for k, v in config.items() if k != "layers"})
    # Inside the family's bounds but not among the choices.
    assert not narrowed.contains({**config, "units": 17})


def test_ranges_become_lists_with_both_ends():
    lists = Space({"rate": Float(0.01, 1.0, log=True), "n": Int(1, 9), "few": Int(2, 3)}).lists()
    assert [p.options for p in lists.parameters.values()] == [
        pytest.approx((0.01, 0.1, 1.0)),
        (1, 5, 9),
        (2, 3),
    ]


def test_a_space_is_finite_without_real_ranges():
    assert Space({"a": Choice((1,)), "b": Int(1, 9), "c": Float(1.0, 1.0)}).is_finite
    assert not SPACE.is_finite

"""Every file in importers/ keeps the contract; a new one needs an example here, and is told so."""

import types

import pytest

import foreign
from podium import registry
from podium.testing.importers import check_importer

EXAMPLES = {
    "sweep_results": lambda folder: foreign.sweep(folder / "sweep_results.json", foreign.RUN),
    "experiments_log": lambda folder: foreign.log(folder / "log.jsonl", foreign.LINE),
    "optuna": lambda folder: foreign.journal(folder / "journal.log"),
    "optuna_pickle": lambda folder: foreign.pickled(folder / "optimization_study.pkl"),
}
READ_ONLY = {"mlflow": "tracked"}
PERMISSIONS = {"optuna_pickle": {"trust_pickle": True}}


def test_every_importer_has_an_example():
    assert {*EXAMPLES, *READ_ONLY} == set(registry.names("importers"))


@pytest.mark.parametrize("name", registry.names("importers"))
def test_an_importer_keeps_the_contract(name, tmp_path, request):
    if name in READ_ONLY:
        example = request.getfixturevalue(READ_ONLY[name])
    else:
        (tmp_path / "there").mkdir()
        example = EXAMPLES[name](tmp_path / "there")
    module = registry.load("importers", name)
    check_importer(module, example, tmp_path / "work", **PERMISSIONS.get(name, {}))


def test_a_database_of_optuna_keeps_the_contract_too(tmp_path, searched):
    check_importer(registry.load("importers", "optuna"), searched, tmp_path / "work")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"recognizes": lambda place: True}, "recognises 'nothing there'"),
        ({"recognizes": lambda place: False}, "does not recognise its example"),
        ({"OPTIONS": ("study",)}, "OPTIONS has a name"),
        ({"read": lambda place: []}, "has no record"),
    ],
)
def test_the_kit_finds_an_importer_that_breaks_a_promise(wrong, told, tmp_path):
    (tmp_path / "there").mkdir()
    example = EXAMPLES["sweep_results"](tmp_path / "there")
    module = registry.load("importers", "sweep_results")
    broken = types.SimpleNamespace(**{**vars(module), **wrong})
    with pytest.raises(AssertionError, match=told):
        check_importer(broken, example, tmp_path / "work")

import re
from dataclasses import fields
from pathlib import Path

from podium import config, registry, sections
from podium.cli.overview import GROUPS, verbs
from podium.errors import PodiumError
from podium.registry import first_line

ROOT = Path(__file__).parents[1]


def _all_errors(kind=PodiumError):
    yield kind
    for inner in kind.__subclasses__():
        yield from _all_errors(inner)


def test_every_key_of_podium_toml_is_documented_with_its_default():
    text = (ROOT / "docs" / "config.md").read_text()
    for section, kind in config._SECTIONS.items():
        for part in fields(kind):
            assert f"| `{section}.{part.name}` |" in text
    for kind in [*config._TABLES.values(), sections.CovariateSection]:
        for part in fields(kind):
            assert f"| `{part.name}` |" in text


def test_every_verb_is_documented_and_stands_in_a_group():
    text = (ROOT / "docs" / "cli.md").read_text()
    for name, path in verbs().items():
        group = first_line(path).partition(": ")[0]
        assert group in GROUPS
        [row] = re.findall(rf"^\| {group} \|.*", text, re.MULTILINE)
        assert f"`{name}`" in row, f"{name} belongs to {group}"


def test_every_exit_code_an_error_can_have_is_documented():
    text = (ROOT / "docs" / "cli.md").read_text()
    for kind in _all_errors():
        assert re.search(rf"^\| {kind.exit_code} \|", text, re.MULTILINE), kind


def test_every_kind_has_a_folder_whose_members_say_what_they_are():
    for kind in registry.KINDS:
        for name, line in registry.describe(kind).items():
            assert len(line) > 10, f"{kind}/{name}"


def test_every_path_that_the_documents_link_to_exists():
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_folder_of_the_package_stands_in_the_architecture():
    text = (ROOT / "ARCHITECTURE.md").read_text()
    for folder in (ROOT / "src" / "podium").iterdir():
        if folder.is_dir() and folder.name not in ("__pycache__", "demo"):
            assert f"{folder.name}/" in text, folder.name

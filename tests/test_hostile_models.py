"""A hostile model folder, archive or name runs nothing, leaves the project alone, and is told."""

import base64
import io
import json
import os
import pickle
import shutil
import tarfile
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import classes
from looped import looped
from podium import artifact, manifest, pickled, registry
from podium.cli.main import run
from podium.errors import DataError, NotFoundError, PodiumError, RefusedError
from podium.hashing import canonical, digest_bytes, digest_folder
from podium.ledger import bundle_check, reads, writes
from podium.resolve import load_model
from podium.steps.archive import bundle
from podium.steps.archive.init import init
from podium.steps.archive.tar import unpack
from podium.steps.evidence.evidence import evidence_about
from podium.steps.workspace.session import open_project
from projects import SLOT, connect
from records import naive_artifact, served

MODEL = "final_model/naive.json"


class Code:
    """What a pickle can do: this one makes a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.fixture
def ran(tmp_path):
    """The file that hostile code would make."""
    path = tmp_path / "ran"
    yield path
    assert not path.exists()


@pytest.fixture
def model(tmp_path):
    """Folder of a model that loads."""
    _, path = naive_artifact(tmp_path, 1.0)
    folder = tmp_path / "models" / "registry" / path
    assert load_model(folder).model.offset == 1.0
    return folder


def resealed(folder, **changes):
    """The same folder under a manifest made anew, as its author can do; where it lies now."""
    told = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").unlink()
    told = {**told, "files": digest_folder(folder), **changes}
    data = (canonical(told) + "\n").encode()
    (folder / "manifest.json").write_bytes(data)
    return folder.rename(folder.with_name(artifact.folder_of(digest_bytes(data))))


def torch_file(value):
    written = io.BytesIO()
    torch.save(value, written)
    return written.getvalue()


def zipped(**parts):
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name.replace("__", "/"), data)
    return written.getvalue()


def saved(array):
    written = io.BytesIO()
    np.save(written, array, allow_pickle=True)
    return written.getvalue()


def nested(data, depth):
    return zipped(a=nested(data, depth - 1)) if depth else data


# Pickles

HOSTILE = {
    "model.pkl": lambda code: b"",
    "model.joblib": lambda code: pickle.dumps(code),
    "model.pickle.JOBLIB": lambda code: b"x",
    "weights.bin": lambda code: pickle.dumps(code),
    "old.bin": lambda code: pickle.dumps(code, protocol=0),
    "cut.bin": lambda code: pickle.dumps(code)[:-1],
    "plain.bin": lambda code: pickle.dumps([1, 2]),
    "model.pt": lambda code: torch_file({"state": torch.zeros(2), "code": code}),
    "model.zip": lambda code: zipped(data="{}", extra__policy=pickle.dumps(code)),
    "model.npz": lambda code: zipped(a="x", **{"b.pkl": b""}),
    "nested.zip": lambda code: zipped(a=zipped(b=zipped(c=pickle.dumps(code)))),
    "behind.bin": lambda code: b"\x7fELF" + zipped(c=pickle.dumps(code)),
    "beside.pt": lambda code: zipped(
        **{"a/data.pkl": pickle.dumps({}), "a/data/0": b"\0" * 8, "a/data/x": pickle.dumps(code)}
    ),
    "objects.npy": lambda code: saved(np.array([code, None], dtype=object)),
    "fields.npy": lambda code: saved(np.zeros(1, dtype=[("close", "f8"), ("code", "O")])),
    "objects.npz": lambda code: zipped(**{"x.npy": saved(np.array([code], dtype=object))}),
    "deep.zip": lambda code: nested(b"{}", 9),
    # As Stable-Baselines3 stores a policy.
    "sb3.zip": lambda code: zipped(
        data=json.dumps(
            {
                "policy_class": {
                    ":type:": "<class 'abc.ABCMeta'>",
                    ":serialized:": base64.b64encode(pickle.dumps(code)).decode(),
                }
            }
        ),
        **{"policy.pth": torch_file({"w": torch.zeros(2)}), "_stable_baselines3_version": "2.3.0"},
    ),
    "half.zip": lambda code: zipped(data="{}")[:-9],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_pickle_in_a_models_folder_is_refused_and_its_code_not_run(model, ran, name):
    (model / "final_model" / name).write_bytes(HOSTILE[name](Code(ran)))
    with pytest.raises(RefusedError, match=name) as caught:
        load_model(resealed(model))
    assert caught.value.exit_code == 4


def test_files_that_only_hold_values_are_none(tmp_path):
    state = {"weights": torch.randn(9, 9), "half": torch.zeros(2).half(), "epochs": 3}
    files = {
        "model.pt": torch_file({"model_state_dict": state, "shape": {"units": 4}}),
        "naive.json": b'{"method": "last"}',
        "history.csv": b"epoch,loss\n1,0.5\n",
        "empty": b"",
        "bars.npy": saved(np.zeros(2, dtype=[("Open", "f8"), ("Volume", "i8", (2,))])),
        "bars.npz": zipped(**{"x.npy": saved(np.arange(3.0)), "t.npy": saved(np.array(["a"]))}),
        "policy.zip": zipped(
            data='{"gamma": 0.99}', **{"policy.pth": torch_file({"w": torch.zeros(2)})}
        ),
    }
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(3))])
    files["last.pt"] = torch_file({"optimizer": optimizer.state_dict()})
    for name, data in files.items():
        assert pickled.reason_to_refuse(name, data) == "", name


@given(st.binary(max_size=200), st.sampled_from([b"", b"PK\x03\x04", b"\x80\x04", b"\x80\x02c"]))
def test_any_bytes_can_be_looked_at(data, start):
    assert isinstance(pickled.reason_to_refuse("model.bin", start + data), str)


def test_a_torch_file_with_code_is_stopped_by_the_family_too(ran):
    from podium.families._torch_state import unpacked

    with pytest.raises(DataError, match="cannot be read"):
        unpacked(torch_file({"code": Code(ran)}), "last.pt")


def test_a_model_its_family_cannot_open_is_told_in_a_sentence(model):
    (model / MODEL).write_text('{"neither": 1}')
    with pytest.raises(DataError, match=r"naive cannot open .*final_model"):
        load_model(resealed(model))


# What else a folder may hold


def test_a_changed_byte_is_found(model):
    data = bytearray((model / MODEL).read_bytes())
    data[-2] ^= 1
    (model / MODEL).write_bytes(bytes(data))
    with pytest.raises(DataError, match=r"naive\.json differs from its manifest"):
        load_model(model)


@pytest.mark.parametrize("name", ["final_model/more.json", ".hidden", "other/deep/file"])
def test_a_file_that_nobody_judged_is_found(model, name):
    (model / name).parent.mkdir(parents=True, exist_ok=True)
    (model / name).write_text("{}")
    for look in (load_model, lambda folder: artifact.verify(folder, whole_hash(folder))):
        with pytest.raises(DataError, match="is not in its manifest"):
            look(model)


def test_what_a_file_manager_left_is_named_with_the_way_to_be_rid_of_it(model):
    (model / "final_model" / ".DS_Store").write_bytes(b"Bud1")
    with pytest.raises(DataError) as caught:
        load_model(model)
    assert "a file manager left it there" in str(caught.value)
    assert f"rm {model / 'final_model' / '.DS_Store'}" in str(caught.value)


def whole_hash(folder):
    return digest_bytes((folder / "manifest.json").read_bytes())


def test_links_are_not_followed_whatever_they_lead_to(model, tmp_path):
    outside = tmp_path / "outside"
    shutil.copytree(model / "final_model", outside)
    same = outside / "naive.json"
    (model / MODEL).unlink()
    (model / MODEL).symlink_to(same)
    with pytest.raises(DataError, match=r"naive\.json is a link"):
        load_model(model)
    shutil.rmtree(model / "final_model")
    (model / "final_model").symlink_to(outside)
    with pytest.raises(DataError, match="final_model is a link"):
        load_model(model)
    with pytest.raises(DataError, match="final_model is a link"):
        manifest.read_checked(model, {MODEL: digest_bytes(same.read_bytes())}, MODEL)


@pytest.mark.parametrize("place", [MODEL, "manifest.json"])
def test_what_is_no_plain_file_is_not_waited_for(model, place):
    artifact_hash = whole_hash(model)
    (model / place).unlink()
    os.mkfifo(model / place)
    with pytest.raises(DataError, match="is not a plain file"):
        artifact.verify(model, artifact_hash)


@pytest.mark.parametrize(
    "name",
    ["../outside", "/etc/hostname", "final_model/../../outside", "a//b", "", ".", "a\\..\\b",
     "final_model/\0", "final_model/\u202egnp.json", "final_model/\n"],
)  # fmt: skip
def test_a_manifest_that_names_files_elsewhere_is_refused(model, tmp_path, name):
    (tmp_path / "models" / "registry" / "outside").write_text("secret")
    files = {**digest_folder(model), name: digest_bytes(b"secret")}
    files.pop("manifest.json")
    folder = resealed(model, files=files)
    for look in (
        load_model,
        lambda folder: artifact.verify(folder, whole_hash(folder)),
        lambda folder: artifact.adopt(tmp_path / "store", folder, whole_hash(folder)),
    ):
        with pytest.raises(DataError, match="manifest"):
            look(folder)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    "content",
    [b"[" * 200_000, b"[]", b"null", b'{"files": 5}', b'{"files": {"a": 5}}', b"\xff\xfe", b""],
)
def test_a_manifest_of_another_shape_is_told(model, content):
    (model / "manifest.json").write_bytes(content)
    folder = model.rename(model.with_name(artifact.folder_of(digest_bytes(content))))
    with pytest.raises(DataError, match="manifest"):
        load_model(folder)


@pytest.mark.parametrize(
    "told",
    [{"task": {"task": "conquer"}}, {"task": []}, {"family_version": None}, {"family": "../x"},
     {"family": 5}, {"plugins": {"families/../x": "0" * 64}}, {"plugins": {"../steps/init": 1}}],
)  # fmt: skip
def test_a_manifest_that_says_nonsense_of_its_model_is_told(model, told):
    with pytest.raises(PodiumError):
        load_model(resealed(model, **told))


def test_a_manifest_that_would_fill_the_memory_is_not_read(model):
    artifact_hash = whole_hash(model)
    with (model / "manifest.json").open("r+b") as handle:
        handle.truncate(2**40)
    for look in (load_model, lambda folder: artifact.load(folder, artifact_hash)):
        with pytest.raises(DataError, match="1,099,511,627,776 bytes"):
            look(model)


# Bundles


@pytest.fixture
def source(tmp_path):
    root = init(tmp_path / "source", demo=True)
    served(root, 1.0)
    return root


def bundled(root, tmp_path, *, pickled_by=None):
    """A bundle of the project, with a pickle beside its model as its author would put it there."""
    if pickled_by is not None:
        store = root / "models" / "registry"
        [folder] = [p for p in store.iterdir() if p.is_dir()]
        (folder / "final_model" / "model.pkl").write_bytes(pickle.dumps(pickled_by))
        folder = resealed(folder)
        with connect(root) as connection:
            told = (whole_hash(folder), folder.name)
            connection.execute("UPDATE candidate SET artifact_hash = ?, artifact_path = ?", told)
        connection.close()
    path = tmp_path / "moved.tar"
    with open_project(root) as project:
        bundle.write(project, path)
    return path


def test_a_bundle_with_a_pickle_is_refused_unless_it_is_trusted_which_is_recorded(
    source, tmp_path, ran, capsys
):
    path = bundled(source, tmp_path, pickled_by=Code(ran))
    target = init(tmp_path / "target", demo=True)
    words = ["import", str(path), "--project", str(target)]
    assert run(words) == 4
    told = capsys.readouterr().err
    assert "model.pkl" in told
    assert "--trust-pickle" in told
    assert not list((target / "models").rglob("model.pkl"))
    assert run([*words, "--trust-pickle"]) == 0
    capsys.readouterr()
    with open_project(target) as project:
        [decision] = project.reader.rows("decisions", slot=SLOT)
        assert "--trust-pickle" in decision["reason"]
        [candidate] = project.reader.rows("candidates")
    # It is kept; podium opens it no more than before.
    folder = target / "models" / "registry" / candidate["artifact_path"]
    assert (folder / "final_model" / "model.pkl").is_file()
    with pytest.raises(RefusedError, match=r"model\.pkl"):
        load_model(folder)


def test_a_bundle_without_pickles_says_nothing_of_them(source, tmp_path):
    target = init(tmp_path / "target", demo=True)
    with open_project(target) as project:
        bundle.import_bundle(project, bundled(source, tmp_path), trust_pickle=True)
        [decision] = project.reader.rows("decisions", slot=SLOT)
    assert "pickle" not in decision["reason"]


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("trial", "id"),
        ("trial", "run_id"),
        ("study", "id"),
        ("candidate", "id"),
        ("candidate", "slot"),
        ("candidate", "parent_id"),
        ("candidate", "study_id"),
        ("evidence", "candidate_id"),
    ],
)
@looped("name", ["../x", "/etc/x", "..", "", "a/../../x", "a\\x", "a\nb"])
def test_a_bundle_whose_names_lead_out_of_folders_is_refused(rows, table, column, name):
    assert bundle_check.checked(table, rows[table])
    with pytest.raises(DataError, match=column):
        bundle_check.checked(table, {**rows[table], column: name})


@looped("folder", ["../x", "/etc", 7, ""])
def test_a_bundle_whose_evidence_lies_elsewhere_is_refused(rows, folder):
    notes = {"bundle": "b" * 64, "folder": folder}
    with pytest.raises(DataError, match="folder"):
        bundle_check.checked("evidence", {**rows["evidence"], "notes": json.dumps(notes)})


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """One row of each table as a bundle holds it."""
    place = tmp_path_factory.mktemp("rows")
    root = init(place / "source", demo=True)
    served(root, 1.0)
    with open_project(root) as project, project.ledger.transaction(durable=True) as tx:
        made = reads.candidate_by_id(tx, "c-1.0")
        found = evidence_about(made, "test", "test", dataset="d" * 64, notes={})
        writes.put_evidence(tx, found)
    path = bundled(root, place)
    with tarfile.open(path) as archive:
        names = [name for name in archive.getnames() if name.startswith("rows/")]
        told = {name[5:-6]: archive.extractfile(name).read().splitlines() for name in names}
    return {table: json.loads(lines[0]) for table, lines in told.items() if lines}


@pytest.mark.slow
def test_an_evaluation_is_named_by_its_candidate_where_its_run_s_name_leads_elsewhere(tmp_path):
    root = classes.project(tmp_path / "p")
    candidate = classes.trained(root).candidate
    with connect(root) as connection:
        connection.execute("UPDATE trial SET run_id = '../../../victim' WHERE family = 'bilstm'")
    connection.close()
    (tmp_path / "victim").mkdir()
    done = classes.evaluated(root, candidate.id)
    assert done.folder == root / "artifacts" / "evaluations" / candidate.id
    assert (tmp_path / "victim").is_dir()


# Names become places

NAMES = [
    "../x", "/etc/x", "a/../../x", "..", ".", "", "a\0b", "x" * 5000, "a\\..\\..\\x", "a/./b",
    "\u2024\u2024/x", "\u202e", "~root", "-rf", " ", "a//b", "x\ny", "us4/D/\u2025/x",
]  # fmt: skip


@pytest.mark.parametrize(
    "words",
    [
        ["resolve", "{}"],
        ["show", "{}", "--history"],
        ["show", "{}"],
        ["promote", "{}", "--reason", "x"],
        ["rollback", "{}", "--reason", "x"],
        ["predict", "{}"],
        ["evaluate", "{}"],
        ["list", "trials", "--slot", "{}"],
        ["restore", "{}", "there"],
    ],
    ids=" ".join,
)
# No command line can hold a NUL.
@looped("name", [name for name in NAMES if "\0" not in name])
def test_no_name_leads_out_of_the_project_or_ends_in_a_bug(
    source, monkeypatch, capsys, words, name
):
    monkeypatch.chdir(source)
    above = sorted(p.name for p in source.parent.iterdir())
    code = run([word.format(name) for word in words])
    told = capsys.readouterr().err
    assert "a bug in podium" not in told
    assert code in (0, 2, 3, 4, 7), told
    assert sorted(p.name for p in source.parent.iterdir()) == above


@looped("name", [name for name in NAMES if name != "-rf"])
def test_a_slot_or_a_dataset_of_such_a_name_is_refused_in_podium_toml(source, name, capsys):
    path = source / "podium.toml"
    text = path.read_text()
    renamed = text.replace(f'[slots."{SLOT}"]', f"[slots.{json.dumps(name)}]")
    assert renamed != text
    path.write_text(renamed)
    try:
        assert run(["list", "slots", "--project", str(source)]) == 2
        assert "slot" in capsys.readouterr().err
    finally:
        path.write_text(text)


@looped("ticker", ["../AAPL", "/AAPL", "../us4/AAPL", "a/../../AAPL", "..", "A\0"])
def test_a_ticker_leads_to_no_file_outside_its_folder(source, ticker):
    (source / "data" / "AAPL.csv").write_bytes((source / "data/us4/AAPL.csv").read_bytes())
    with pytest.raises(PodiumError):
        registry.load("readers", "csv").read(
            source / "data" / "us4", name="us4", tickers=[ticker], timeframe="D", adjust=True
        )


@looped("name", ["../x", "/etc/x", "a/../../x", "..", "a\0b"])
def test_a_dataset_or_a_member_of_such_a_name_is_refused(source, capsys, name):
    assert run(["data", "make", "demo", "--name", name, "--project", str(source)]) == 2
    assert "dataset name" in capsys.readouterr().err
    for kind in registry.KINDS:
        with pytest.raises(NotFoundError):
            registry.load(kind, name)
        assert registry.constant(kind, name, "HOLDS") is None


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "a\\x", "C:x/../y"])
def test_an_archive_that_leads_out_of_its_folder_is_refused_whole(tmp_path, name):
    path = tmp_path / "b.tar"
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo(name)
        member.size = 1
        archive.addfile(member, io.BytesIO(b"x"))
    with pytest.raises(PodiumError):
        unpack(path, tmp_path / "inside", bundle.PACKING)
    assert {p.name for p in tmp_path.iterdir()} <= {"b.tar", "inside"}


def test_a_path_no_file_can_have_is_not_found(model):
    for name in ("none", "none\0such", "x" * 5000):
        with pytest.raises(NotFoundError):
            load_model(model / name)

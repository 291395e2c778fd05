"""Sequences: shapes, lengths, masks and labels that fit; archives that cannot harm."""

import io
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from looped import looped
from podium import registry
from podium.errors import DataError
from podium.readers._options import ReadLimits
from podium.samples import Samples
from podium.sequences import Sequences
from podium.split import Split
from podium.splitters import given as two_files
from podium.splitters import group, holdout, walk_forward

read_npz = registry.load("readers", "npz").read
N, T, F = 6, 4, 2


def arrays(**others):
    rng = np.random.default_rng(0)
    made = {
        "X": rng.normal(size=(N, T, F)),
        "y": np.array([0, 1, 2, 0, 1, 0]),
        **others,
    }
    return {name: values for name, values in made.items() if values is not None}


def saved(place, **others):
    np.savez(place / "s.npz", **arrays(**others))
    return place / "s.npz"


def read(path, **settings):
    return read_npz(path, name="s", **settings)


def told(path, **settings):
    with pytest.raises(DataError) as caught:
        read(path, **settings)
    return [str(problem) for problem in caught.value.problems]


def test_plain_arrays_are_samples_with_names(tmp_path):
    found = read(saved(tmp_path))
    assert len(found) == N
    assert found.x.dtype == np.float32
    assert found.lengths.tolist() == [T] * N
    assert found.feature_names == ("feature_0", "feature_1")
    assert found.class_counts == {"class_0": 3, "class_1": 2, "class_2": 1}
    values, lengths = found.inputs(np.array([2, 0]))
    np.testing.assert_array_equal(values, arrays()["X"][[2, 0]].astype(np.float32))
    assert lengths.tolist() == [T, T]
    assert found.truth(np.array([2, 0])).tolist() == [2, 0]


def test_names_groups_and_texts_are_kept(tmp_path):
    found = read(
        saved(
            tmp_path,
            y=np.array(["up", "down", "up", "up", "down", "up"]),
            class_names=np.array(["down", "up", "sideways"]),
            feature_names=np.array(["a", "b"]),
            groups=np.array([7, 7, 8, 8, 9, 9]),
        )
    )
    assert found.class_counts == {"down": 2, "up": 4, "sideways": 0}
    assert found.groups.tolist() == ["7", "7", "8", "8", "9", "9"]
    assert found.feature_names == ("a", "b")


def test_numbers_to_predict_are_no_classes(tmp_path):
    found = read(saved(tmp_path, y=np.linspace(0, 1, N)[:, np.newaxis]))
    assert not found.classifies
    assert found.class_counts == {}
    assert found.truth().dtype == np.float64


def test_what_stands_behind_a_sample_changes_nothing(tmp_path):
    x = arrays()["X"]
    dirty = x.copy()
    dirty[1, 2:], dirty[3, 1:] = np.nan, 1e300
    lengths = np.array([4, 2, 4, 1, 4, 4])
    found = read(saved(tmp_path, X=dirty, lengths=lengths))
    expected = read(saved(tmp_path, X=x, lengths=lengths))
    assert found.fingerprint == expected.fingerprint
    assert not found.x[1, 2:].any()
    assert found.mask.sum(axis=1).tolist() == lengths.tolist()


def test_a_missing_value_is_kept_and_is_the_same_for_every_kind_of_nan():
    x = arrays()["X"].astype(np.float32)
    x[1, 2, 0] = np.nan
    other = x.copy()
    other[1, 2, 0] = np.uint32(0xFFC00001).view(np.float32)
    found = Sequences.of("s", x, arrays()["y"])
    assert np.argwhere(np.isnan(found.x)).tolist() == [[1, 2, 0]]
    assert Sequences.of("s", other, arrays()["y"]).fingerprint == found.fingerprint


@settings(max_examples=40)
@given(st.lists(st.integers(1, T), min_size=N, max_size=N), st.sampled_from(["bool", "f8", "3d"]))
def test_a_mask_says_the_same_as_lengths(lengths, kind):
    expected = Sequences.of("s", arrays()["X"], arrays()["y"], lengths=np.array(lengths))
    mask = np.arange(T) < np.array(lengths)[:, np.newaxis]
    mask = {"bool": mask, "f8": mask.astype(float), "3d": mask[:, :, np.newaxis]}[kind]
    found = Sequences.of("s", arrays()["X"], arrays()["y"], mask=mask)
    assert found.fingerprint == expected.fingerprint
    assert found.notes == ()


@settings(max_examples=40)
@given(st.lists(st.integers(1, T), min_size=N, max_size=N))
def test_padding_in_front_moves_behind_and_is_noted(lengths):
    x, y = arrays()["X"], arrays()["y"]
    expected = Sequences.of("s", x, y, lengths=np.array(lengths))
    front, mask = np.zeros_like(x), np.zeros((N, T), dtype=bool)
    for row, length in enumerate(lengths):
        front[row, T - length :] = x[row, :length]
        mask[row, T - length :] = True
    found = Sequences.of("s", front, y, mask=mask)
    assert found.fingerprint == expected.fingerprint
    assert bool(found.notes) == any(length < T for length in lengths)


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ({"X": np.zeros((N, T))}, "X has shape (6, 4)"),
        ({"X": np.zeros((0, T, F))}, "at least one of each"),
        ({"X": np.full((N, T, F), "x")}, "type <U1"),
        ({"X": np.full((N, T, F), np.inf)}, "X is inf at sample 0, step 0, feature 0 (48 such"),
        ({"X": np.full((N, T, F), 1e300)}, "X is inf at sample 0"),
        ({"y": np.zeros(5)}, "y has shape (5,) for 6 samples"),
        ({"y": np.eye(6)}, "Store y.argmax(axis=1)"),
        ({"y": np.array([0, 1, -1, 0, 1, 0])}, "y is -1 for sample 2 (1 such)"),
        ({"y": np.array([0, 1, np.nan, 0, 1, 0])}, "y is nan for sample 2"),
        ({"y": np.array(list("abcabc"))}, "class_names with these texts"),
        ({"class_names": np.array(["a", "b"])}, "y is 2 for sample 2 (1 such). Expected classes 0"),
        ({"lengths": np.array([4, 4, 0, 4, 5, 4])}, "lengths has 0 for sample 2 (2 such)"),
        ({"lengths": np.array([4.5] * N)}, "lengths has shape (6,) and type float64"),
        ({"lengths": np.array([4] * 5)}, "lengths has shape (5,)"),
        ({"mask": np.tile([1, 0, 1, 0], (N, 1))}, "mask has a hole at sample 0 (6 such)"),
        ({"mask": np.zeros((N, T))}, "no valid step at sample 0"),
        ({"mask": np.full((N, T), 2)}, "0 and 1"),
        ({"mask": np.ones((N, T)), "lengths": np.full(N, 3)}, "mask and lengths differ"),
        ({"groups": np.zeros((N, 2))}, "groups has shape (6, 2)"),
        ({"feature_names": np.array(["a"])}, "1 feature_names for 2 features"),
        ({"class_names": np.zeros(3)}, "a list of texts"),
        ({"Z": np.zeros(3)}, "has an entry 'Z'"),
        ({"lenghts": np.full(N, 3)}, "Did you mean 'lengths'?"),
        ({"X": None}, "has no entry 'X'"),
    ],
)
def test_inconsistent_arrays_are_reported(others, expected, tmp_path):
    assert any(expected in message for message in told(saved(tmp_path, **others)))


def test_every_error_is_reported_at_once(tmp_path):
    messages = told(
        saved(
            tmp_path,
            X=np.full((N, T, F), np.inf),
            y=np.zeros(5),
            groups=np.zeros(2),
            feature_names=np.array(["a"]),
        )
    )
    assert len(messages) == 4


# Archives from somebody else


def test_python_objects_are_refused_and_never_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    y = np.empty(N, dtype=object)
    y[:] = [Evil()] * N
    (message,) = told(saved(tmp_path, y=y))
    assert "entry 'y' holds Python objects" in message
    assert not (tmp_path / "ran").exists()


def entry(path, name, shape, data, *, descr="<f8"):
    """An archive with one entry whose header says what it likes."""
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"
    header = text.encode() + b" " * (63 - (10 + len(text)) % 64) + b"\n"
    body = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{name}.npy", body)
    return path


def test_a_header_that_promises_more_than_there_is_takes_no_memory(tmp_path):
    path = entry(tmp_path / "s.npz", "X", (10**6, 10**6, 10), b"\0" * 80)
    assert "has shape (1000000, 1000000, 10) of float64 and 80 bytes" in told(path)[0]


def test_a_small_archive_cannot_unpack_to_a_huge_one(tmp_path):
    path = entry(tmp_path / "s.npz", "X", (2500, 100, 10), b"\0" * 20_000_000)
    assert path.stat().st_size < 100_000
    (message,) = told(path, limits=ReadLimits(bytes=10_000_000))
    assert "bytes, unpacked. Expected at most 10,000,000" in message


def test_too_many_entries_are_refused(tmp_path):
    np.savez(tmp_path / "s.npz", **{f"a{n}": np.zeros(1) for n in range(70)})
    assert "70 entries. Expected at most 64" in told(tmp_path / "s.npz")[0]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more", b"text"])
def test_other_bytes_are_no_archive(content, tmp_path):
    (tmp_path / "s.npz").write_bytes(content)
    assert "an .npz file" in told(tmp_path / "s.npz")[0]


def test_an_entry_that_is_no_array_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "s.npz", "w") as archive:
        archive.writestr("X.npy", "hello, I am text")
    assert "entry 'X'" in told(tmp_path / "s.npz")[0]


def test_a_damaged_entry_is_refused(tmp_path):
    path = saved(tmp_path)
    content = bytearray(path.read_bytes())
    content[300] ^= 0xFF
    path.write_bytes(bytes(content))
    assert "s.npz" in told(path)[0]


def test_a_missing_file_is_named(tmp_path):
    assert "no file" in told(tmp_path / "none.npz")[0]


# Fingerprints and splits


@looped(
    "change",
    [
        lambda a: a | {"X": a["X"] * (1 + 1e-6)},
        lambda a: a | {"y": a["y"][::-1]},
        lambda a: a | {"lengths": np.array([4, 4, 4, 4, 4, 3])},
        lambda a: a | {"groups": np.arange(N)},
        lambda a: a | {"feature_names": np.array(["a", "b"])},
        lambda a: a | {"y": a["y"].astype(float)},
        lambda a: a | {"times": np.arange(N)},
    ],
)
def test_the_fingerprint_changes_with_everything_that_could_change_a_number(change):
    def made(parts):
        x, y = parts.pop("X"), parts.pop("y")
        return Sequences.of("s", x, y, **parts)

    assert made(change(arrays())).fingerprint != made(arrays()).fingerprint


def test_the_fingerprint_is_the_content_s_and_not_the_name_s_or_the_memory_s():
    x, y = arrays()["X"], arrays()["y"]
    one = Sequences.of("s", x, y)
    assert Sequences.of("other", np.asfortranarray(x), y).fingerprint == one.fingerprint
    assert Sequences.of("s", x.astype(np.float32), y.astype("i2")).fingerprint == one.fingerprint
    stored = io.BytesIO()
    np.savez_compressed(stored, X=np.asfortranarray(x), y=y)
    assert np.load(io.BytesIO(stored.getvalue()))["X"].flags.f_contiguous


def test_a_fortran_ordered_entry_reads_like_any_other(tmp_path):
    x = arrays()["X"]
    found = read(saved(tmp_path, X=np.asfortranarray(x)))
    np.testing.assert_array_equal(found.x, x.astype(np.float32))


DAYS = np.arange("2020-01-01", "2020-01-07", dtype="datetime64[D]")


@pytest.mark.parametrize(
    "times",
    [
        DAYS,
        DAYS.astype("datetime64[ns]") - np.timedelta64(1, "ns"),
        DAYS.astype(str),
        np.array([f"{day}T02:00:00+02:00" for day in DAYS]),
        np.array([f"{day - 1}T23:59:59.5Z" for day in DAYS]),
        DAYS.astype("datetime64[s]").astype(int),
        DAYS.astype("datetime64[s]").astype(float) - 0.25,
    ],
)
def test_times_may_be_written_in_any_usual_way(times, tmp_path):
    found = read(saved(tmp_path, times=times))
    np.testing.assert_array_equal(found.times, DAYS.astype("datetime64[s]"))
    assert found.ends is None
    assert found.fingerprint == Sequences.of("s", *arrays().values(), times=DAYS).fingerprint


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ({"times": DAYS[1:]}, "times has shape (5,)"),
        ({"times": DAYS[:, None]}, "times has shape (6, 1)"),
        ({"times": np.ones(N, bool)}, "type bool. Expected 6 datetime64"),
        ({"times": np.array([*DAYS[1:], np.datetime64("NaT")])}, "times is NaT for sample 5"),
        (
            {"times": np.array([*DAYS.astype(str)[1:], "soon"])},
            "times is soon for sample 5 (1 such)",
        ),
        ({"times": DAYS.astype("datetime64[ms]").astype(int)}, "times is 1577836800000 for sample"),
        ({"times": np.array([np.inf, np.nan, 1, 2, 3, 4])}, "times is inf for sample 0 (2 such)"),
        ({"ends": DAYS}, "ends without times"),
        (
            {"times": DAYS, "ends": DAYS},
            "label of sample 0 ends at 2020-01-01T00:00:00, the time",
        ),
    ],
)
def test_invalid_times_are_reported(others, expected, tmp_path):
    [problem] = told(saved(tmp_path, **others))
    assert expected in problem


def test_sequences_without_times_have_the_fingerprint_they_always_had():
    made = Sequences.of("s", np.arange(24.0).reshape(3, 4, 2), np.array([0, 1, 1]))
    assert made.fingerprint.startswith("2b5066312c328b3c")


def timed(n=120, **others):
    """A sample a day, in no order."""
    order = np.random.default_rng(0).permutation(n)
    x = np.random.default_rng(1).normal(size=(n, T, F))
    days = (np.datetime64("2020-01-01") + order).astype("datetime64[s]")
    ends = {name: days + np.timedelta64(reach, "D") for name, reach in others.items()}
    return Sequences.of("s", x, order % 2, times=days, **ends)


def test_sequences_with_times_are_split_in_time_whatever_their_order():
    found = timed()
    [fold] = holdout.split(found, fraction=0.25).folds
    assert (len(fold.train), len(fold.validation)) == (90, 30)
    assert found.times[fold.train].max() < found.times[fold.validation].min()
    for fold in walk_forward.split(found, folds=2).folds:
        assert found.times[fold.train].max() < found.times[fold.validation].min()
    with pytest.raises(DataError, match="samples have no times"):
        holdout.split(Sequences.of("s", found.x, found.y), fraction=0.25)


def test_a_label_that_is_known_later_is_purged_to_where_it_ends():
    found = timed(ends=5)
    [fold] = holdout.split(found, fraction=0.25).folds
    # Decided up to five days before the first validated one, their labels end by then.
    first = found.times[fold.validation].min()
    assert found.ends[fold.train].max() == first
    assert (len(fold.train), len(fold.validation)) == (86, 30)
    assert holdout.split(found.select(np.arange(119)), fraction=0.25).hash != (
        holdout.split(found, fraction=0.25).hash
    )


def test_days_of_samples_with_times_are_groups(tmp_path):
    x, y = np.random.default_rng(0).normal(size=(40, T, F)), np.arange(40) % 2
    found = Sequences.of("s", x, y, times=np.arange(40) * 6 * 3600)
    days = found.times.astype("datetime64[D]")
    for fold in group.split(found, folds=2, by="day").folds:
        assert not set(days[fold.train]) & set(days[fold.validation])


def test_selecting_keeps_everything_of_the_rows():
    x, y = arrays()["X"], arrays()["y"]
    found = Sequences.of("s", x, y, groups=np.arange(N), lengths=np.array([4, 3, 2, 1, 2, 3]))
    part = found.select(np.array([5, 1]))
    assert part.lengths.tolist() == [3, 3]
    assert part.groups.tolist() == ["5", "1"]
    assert part.class_names == found.class_names
    assert part.times is None
    timely = Sequences.of("s", x, y, times=DAYS, ends=DAYS + 1).select(np.array([5, 1]))
    assert [*timely.times.astype("M8[D]"), *timely.ends.astype("M8[D]")] == [
        *DAYS[[5, 1]], *(DAYS + 1)[[5, 1]]
    ]  # fmt: skip
    np.testing.assert_array_equal(part.x, found.x[[5, 1]])


def test_splitters_share_no_group_and_find_copies():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, T, F)), np.arange(60) % 2
    found = Sequences.of("s", x, y, groups=np.arange(60) // 5)
    split: Split = group.split(found, folds=3)
    for fold in split.folds:
        assert not set(found.groups[fold.train]) & set(found.groups[fold.validation])
    train = Sequences.of("s", x[:30], y[:30]).samples()
    copied = Sequences.of("s", x[29:], y[29:]).samples()
    with pytest.raises(DataError, match="1"):
        two_files.split(Samples.joined(train, copied))

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from labs_core.data import dvc_cache, store
from labs_core.data.digest import combine, hash_files
from labs_core.errors import LabsError

# diabetes is made in a second from what scikit-learn ships, and dvc.lock pins it.


def hidden(data: Path) -> set[str]:
    """What is in the data folder beside the data sets."""
    return {path.name for path in data.iterdir() if path.name.startswith(".")}


def change_a_byte(path: Path) -> None:
    """In place, with the same size and the same modification time."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(100)
        byte = file.read(1)
        file.seek(100)
        file.write(b"1" if byte != b"1" else b"2")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_data_set_that_is_not_here_is_brought_and_has_the_pinned_hash(data):
    folder = store.ensure("diabetes")
    assert folder == data / "diabetes"
    assert sorted(path.name for path in folder.iterdir()) == ["test.csv", "train.csv", "val.csv"]
    assert combine(hash_files(folder)) == dvc_cache.pinned("diabetes")
    assert hidden(data) <= {".diabetes.json", ".diabetes.lock", ".downloads"}


def test_made_from_its_source_it_has_the_pinned_hash_too(data):
    folder = store.replace("diabetes", from_source=True)
    assert combine(hash_files(folder)) == dvc_cache.pinned("diabetes")


def test_a_data_set_that_is_here_is_left_as_it_is(data):
    folder = store.ensure("diabetes")
    before = (folder / "train.csv").stat()
    store.ensure("diabetes")
    assert (folder / "train.csv").stat() == before


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps no time of the last change")
def test_one_changed_byte_is_found_even_if_size_and_time_are_the_same(data):
    folder = store.ensure("diabetes")
    change_a_byte(folder / "val.csv")
    for use in (store.ensure, store.verify):
        with pytest.raises(LabsError, match=r"data/diabetes/val\.csv was changed") as caught:
            use("diabetes")
        assert caught.value.remedy == "Bring the data set anew: labs data fetch diabetes --force"


@pytest.mark.parametrize("change", ["removed", "added"])
def test_a_file_more_or_less_is_found_and_named(data, change):
    folder = store.ensure("diabetes")
    if change == "removed":
        (folder / "test.csv").unlink()
    else:
        (folder / "test2.csv").write_text("x")
    with pytest.raises(LabsError, match=r"data/diabetes/test2?\.csv was changed"):
        store.ensure("diabetes")


def test_a_change_is_found_without_the_record_as_well(data):
    folder = store.ensure("diabetes")
    change_a_byte(folder / "val.csv")
    (data / ".diabetes.json").unlink()
    with pytest.raises(LabsError, match="Something in data/diabetes was changed"):
        store.ensure("diabetes")


def test_bringing_it_anew_mends_a_change(data):
    folder = store.ensure("diabetes")
    change_a_byte(folder / "val.csv")
    store.replace("diabetes")
    assert store.verify("diabetes") == dvc_cache.pinned("diabetes")


def test_files_that_were_only_touched_are_still_right(data):
    folder = store.ensure("diabetes")
    (folder / "val.csv").touch()
    assert store.ensure("diabetes") == folder
    assert store.verify("diabetes") == dvc_cache.pinned("diabetes")


def test_a_data_set_that_dvc_itself_brought_is_accepted(data):
    folder = store.ensure("diabetes")
    (data / ".diabetes.json").unlink()  # as after `dvc checkout`
    assert store.ensure("diabetes") == folder
    assert (data / ".diabetes.json").exists(), "so that the next time is quick"


def test_an_older_version_that_nobody_touched_is_replaced(data):
    from labs_core.data.record import Record

    folder = store.ensure("diabetes")
    (folder / "val.csv").write_text("of an earlier release\n")
    Record.take(folder).write(folder)
    with pytest.raises(LabsError, match=r"another version .* than the one that dvc\.lock pins"):
        store.verify("diabetes")
    store.ensure("diabetes")
    assert store.verify("diabetes") == dvc_cache.pinned("diabetes")


def test_a_present_data_set_costs_no_dvc_and_no_hashing(data):
    store.ensure("diabetes")
    code = (
        "import sys; from labs_core.data import store; store.ensure('diabetes'); "
        "print([m for m in ('dvc', 'pooch', 'requests', 'sklearn', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_a_killed_process_left_is_cleared_away(data):
    (data / ".diabetes.new").mkdir(parents=True)
    (data / ".diabetes.new" / "train.csv").write_text("half")
    store.ensure("diabetes")
    assert not (data / ".diabetes.new").exists()
    assert store.verify("diabetes") == dvc_cache.pinned("diabetes")


def test_two_processes_at_once_both_get_the_same_right_data_set(data):
    code = "from labs_core.data import store; print(store.digest(store.ensure('diabetes')))"
    both = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    answers = {process.communicate()[0].strip() for process in both}
    assert [process.returncode for process in both] == [0, 0]
    assert answers == {dvc_cache.pinned("diabetes")}


def test_verify_says_that_nothing_is_here(data):
    with pytest.raises(LabsError, match="'diabetes' is not here"):
        store.verify("diabetes")


def test_a_misspelt_name_gets_the_nearest_one(data):
    with pytest.raises(LabsError) as caught:
        store.ensure("diabetis")
    assert "Did you mean 'diabetes'?" in caught.value.remedy


def test_your_own_folder_is_not_fetched(data):
    with pytest.raises(LabsError, match="a folder of your own"):
        store.ensure("folder")


def test_a_changed_byte_in_the_mirrors_file_makes_no_data_set(data, tmp_path, monkeypatch):
    url = "raw.githubusercontent.com/ageron/handson-ml2/master/datasets/housing/housing.csv"
    (tmp_path / "mirror" / url).parent.mkdir(parents=True)
    (tmp_path / "mirror" / url).write_text("longitude,latitude\n0,0\n")
    monkeypatch.setenv("LABS_DATA_MIRROR", str(tmp_path / "mirror"))
    with pytest.raises(LabsError, match=r"housing\.csv is not the official file"):
        store.replace("california", from_source=True)
    assert not (data / "california").exists()
    assert not (data / ".california.new").exists()


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))  # no file longer than that
from labs_core.data import store
from labs_core.errors import LabsError
try:
    store.replace(sys.argv[1], from_source=True)
except LabsError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on file sizes")
@pytest.mark.parametrize("name", ["california", "textures"])
def test_a_full_disk_is_one_clear_error_and_leaves_nothing_half_written(
    data, server, monkeypatch, name
):
    # california: while downloading; textures: while writing the arrays.
    path = "/raw.githubusercontent.com/ageron/handson-ml2/master/datasets/housing/housing.csv"
    server.files[path] = bytes(1_423_529)
    monkeypatch.setenv("LABS_DATA_MIRROR", server.url)
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, name], capture_output=True, text=True, check=True
    )
    assert "There is no space left for" in done.stdout
    assert name in done.stdout
    left = {path.name for path in data.rglob("*") if path.is_file()}
    assert left <= {f".{name}.lock"}

from __future__ import annotations

from pathlib import Path

from labs_core.data.digest import combine, hash_files


def write(folder: Path) -> Path:
    for name, content in {"b.npy": b"2", "a/ü.txt": b"1", "a/z": b"", "A.csv": b"3"}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def test_it_is_the_hash_that_dvc_computes(tmp_path):
    from dvc_data.hashfile.build import build
    from dvc_data.hashfile.db import HashFileDB
    from dvc_objects.fs import LocalFileSystem

    folder = write(tmp_path / "set")
    fs = LocalFileSystem()
    odb = HashFileDB(fs, str(tmp_path / "odb"), hash_name="md5")
    _, _, tree = build(odb, str(folder), fs, "md5")
    assert combine(hash_files(folder)) == tree.hash_info.value


def test_files_that_a_desktop_leaves_do_not_count(tmp_path):
    folder = write(tmp_path / "set")
    before = combine(hash_files(folder))
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / "a" / "Thumbs.db").write_bytes(b"x")
    assert combine(hash_files(folder)) == before


def test_dvc_is_told_to_pass_over_the_same_names():
    from labs_core.data.digest import NOT_DATA
    from labs_core.paths import ROOT

    lines = (ROOT / ".dvcignore").read_text(encoding="utf-8").splitlines()
    assert {line for line in lines if line and not line.startswith("#")} == NOT_DATA


def test_a_new_name_or_a_new_content_is_a_new_hash(tmp_path):
    folder = write(tmp_path / "set")
    before = combine(hash_files(folder))
    (folder / "b.npy").rename(folder / "c.npy")
    renamed = combine(hash_files(folder))
    (folder / "c.npy").write_bytes(b"9")
    assert len({before, renamed, combine(hash_files(folder))}) == 3

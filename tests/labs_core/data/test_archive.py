from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from labs_core.data.archive import members, members_sha256
from labs_core.errors import LabsError


def tar(path: Path, files: dict[str, bytes], extra: tuple[tarfile.TarInfo, ...] = ()) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in extra:
            archive.addfile(info)
    return path


def zipped(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_only_matching_members_come_and_the_whole_name_must_match(tmp_path):
    files = {"top/a.txt": b"a", "top/a.txt.bak": b"no", "top/b.png": b"no"}
    for archive in (tar(tmp_path / "a.tar.gz", files), zipped(tmp_path / "a.zip", files)):
        assert list(members(archive, r"top/.\.txt")) == [("top/a.txt", b"a")]


def test_links_and_devices_are_passed_over(tmp_path):
    strange = []
    for name, kind in [
        ("link", tarfile.SYMTYPE),
        ("hard", tarfile.LNKTYPE),
        ("device", tarfile.CHRTYPE),
        ("pipe", tarfile.FIFOTYPE),
        ("folder", tarfile.DIRTYPE),
    ]:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, "/etc/passwd"
        strange.append(info)
    archive = tar(tmp_path / "a.tar.gz", {"file": b"1"}, tuple(strange))
    assert [name for name, _ in members(archive, ".*")] == ["file"]

    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        file.writestr(link, "/etc/passwd")
        file.writestr("file", b"1")
    assert [name for name, _ in members(tmp_path / "a.zip", ".*")] == ["file"]


def test_names_that_climb_out_are_only_names_and_nothing_is_written(tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    files = {"../evil.txt": b"1", "/tmp/evil.txt": b"2"}
    for archive in (tar(inside / "a.tar.gz", files), zipped(inside / "a.zip", files)):
        assert len(list(members(archive, r"top/.*"))) == 0
        assert len(list(members(archive, r".*"))) == 2
    assert sorted(path.name for path in tmp_path.rglob("*.txt")) == []


def test_the_hash_depends_on_names_and_contents_not_on_order_or_packing(tmp_path):
    files = {"a": b"1", "b": b"2", "c": b"not used"}
    turned = {"b": b"2", "a": b"1"}
    hashes = {
        members_sha256(tar(tmp_path / "1.tar.gz", files), "[ab]"),
        members_sha256(tar(tmp_path / "2.tar.gz", turned), "[ab]"),
        members_sha256(zipped(tmp_path / "3.zip", files), "[ab]"),
        members_sha256(zipped(tmp_path / "4.zip", turned, zipfile.ZIP_DEFLATED), "[ab]"),
    }
    assert len(hashes) == 1
    for other in ({"a": b"1", "b": b"3"}, {"a": b"2", "b": b"1"}, {"a": b"1"}):
        assert members_sha256(tar(tmp_path / "5.tar.gz", other), "[ab]") not in hashes


@pytest.mark.parametrize("keep", [0, 10, 200])
def test_a_damaged_archive_is_one_clear_error(tmp_path, keep):
    whole = tar(tmp_path / "a.tar.gz", {"a": bytes(range(256)) * 40}).read_bytes()
    (tmp_path / "cut.tar.gz").write_bytes(whole[:keep])
    with pytest.raises(LabsError, match=r"cut\.tar\.gz is damaged"):
        list(members(tmp_path / "cut.tar.gz", ".*"))


@pytest.mark.parametrize(
    ("offset", "value"), [(6, 1), (8, 99)], ids=["encrypted", "unknown compression"]
)
def test_a_zip_that_cannot_be_unpacked_is_one_clear_error(tmp_path, offset, value):
    content = bytearray(zipped(tmp_path / "a.zip", {"a": b"payload"}).read_bytes())
    # .ZIP File Format Specification, 4.3.7 and 4.3.12: the flags, and the method after them
    content[offset] = content[content.index(b"PK\x01\x02") + offset + 2] = value
    (tmp_path / "b.zip").write_bytes(content)
    with pytest.raises(LabsError, match=r"b\.zip is damaged"):
        list(members(tmp_path / "b.zip", ".*"))


def test_a_zip_with_a_wrong_checksum_is_damaged(tmp_path):
    content = zipped(tmp_path / "a.zip", {"a": b"payload"}).read_bytes()
    (tmp_path / "b.zip").write_bytes(content.replace(b"payload", b"changed"))
    with pytest.raises(LabsError, match=r"b\.zip is damaged"):
        list(members(tmp_path / "b.zip", ".*"))

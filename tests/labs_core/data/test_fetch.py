from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from labs_core.catalog import OfficialFile
from labs_core.data.fetch import fetch
from labs_core.errors import LabsError

CONTENT = bytes(range(256)) * 4000  # 1 MB
TOY = "The data set 'toy'"
NOWHERE = "https://127.0.0.1:1/file.bin"  # nothing listens on port 1

pytestmark = pytest.mark.usefixtures("_impatient", "data")


def official(url: str, content: bytes = CONTENT) -> OfficialFile:
    return OfficialFile(url, len(content), sha256=hashlib.sha256(content).hexdigest())


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*")) if folder.exists() else []


def test_a_file_comes_from_its_official_place_when_there_is_no_mirror(server, tmp_path):
    server.files["/file.bin"] = CONTENT
    path = fetch(official(server.url + "/file.bin"), tmp_path / "in", TOY)
    assert path.read_bytes() == CONTENT
    assert names(tmp_path / "in") == [path.name], "the unfinished file is gone"


def test_a_file_that_is_there_already_is_not_downloaded_again(server, tmp_path):
    server.files["/file.bin"] = CONTENT
    file = official(server.url + "/file.bin")
    assert fetch(file, tmp_path, TOY) == fetch(file, tmp_path, TOY)
    assert len(server.asked) == 1


def test_a_download_that_was_cut_goes_on_where_it_stopped(server, tmp_path):
    server.files["/file.bin"] = CONTENT
    server.cut_after = [300_000, 500_000]
    path = fetch(official(server.url + "/file.bin"), tmp_path, TOY)
    assert path.read_bytes() == CONTENT
    starts = [int(wanted[6:-1]) if wanted else 0 for _, wanted in server.asked]
    assert starts == sorted(set(starts)), "each request begins later than the one before"
    assert starts[2] > 700_000, "and loses little of what had come"


def test_a_server_without_ranges_sends_the_whole_file_again(server, tmp_path):
    server.files["/file.bin"] = CONTENT
    server.ranges = False
    server.cut_after = [300_000]
    path = fetch(official(server.url + "/file.bin"), tmp_path, TOY)
    assert path.read_bytes() == CONTENT


def test_the_rest_of_another_version_is_thrown_away_and_the_file_fetched_whole(server, tmp_path):
    server.files["/file.bin"] = CONTENT
    file = official(server.url + "/file.bin")
    name = f"{file.sha256[:12]}-file.bin.part"
    (tmp_path / name).write_bytes(b"x" * 1000)  # left by an earlier, interrupted process
    assert fetch(file, tmp_path, TOY).read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == ["bytes=1000-", None]


def test_an_unfinished_file_longer_than_the_real_one_is_thrown_away(server, tmp_path):
    server.files["/file.bin"] = CONTENT
    file = official(server.url + "/file.bin")
    (tmp_path / f"{file.sha256[:12]}-file.bin.part").write_bytes(CONTENT + b"more")
    assert fetch(file, tmp_path, TOY).read_bytes() == CONTENT


def test_a_server_that_has_too_much_to_do_is_asked_again(server, tmp_path):
    server.files["/file.bin"] = CONTENT
    server.statuses = [500, 503]
    assert fetch(official(server.url + "/file.bin"), tmp_path, TOY).read_bytes() == CONTENT
    assert len(server.asked) == 3


def test_a_missing_file_is_asked_for_once_and_the_error_names_url_and_status(server, tmp_path):
    with pytest.raises(LabsError, match=r"'toy' cannot be fetched: .*/gone\.bin answers 404"):
        fetch(official(server.url + "/gone.bin"), tmp_path, TOY)
    assert len(server.asked) == 1


def test_offline_without_a_mirror_names_data_set_url_and_remedy(tmp_path):
    with pytest.raises(LabsError) as caught:
        fetch(official(NOWHERE), tmp_path, TOY)
    assert "'toy'" in str(caught.value)
    assert NOWHERE in str(caught.value)
    assert "Connection refused" in str(caught.value)
    assert "LABS_DATA_MIRROR is not set" in str(caught.value)
    assert "textures" in caught.value.remedy
    assert names(tmp_path / "data") == []


def test_a_changed_byte_on_the_server_is_refused_and_not_kept(server, tmp_path):
    server.files["/file.bin"] = b"!" + CONTENT[1:]
    with pytest.raises(LabsError, match="is not the official file"):
        fetch(official(server.url + "/file.bin"), tmp_path / "in", TOY)
    assert names(tmp_path / "in") == []


def test_a_mirror_folder_is_read_in_place(tmp_path, monkeypatch):
    mirrored = tmp_path / "mirror" / "127.0.0.1:1" / "file.bin"
    mirrored.parent.mkdir(parents=True)
    mirrored.write_bytes(CONTENT)
    monkeypatch.setenv("LABS_DATA_MIRROR", str(tmp_path / "mirror"))
    assert fetch(official(NOWHERE), tmp_path / "in", TOY) == mirrored
    assert names(tmp_path / "in") == []


def test_a_changed_byte_in_the_mirror_is_refused_even_if_the_official_place_is_right(
    server, tmp_path, monkeypatch
):
    server.files["/file.bin"] = CONTENT
    host = server.url.removeprefix("http://")
    mirrored = tmp_path / "mirror" / host / "file.bin"
    mirrored.parent.mkdir(parents=True)
    mirrored.write_bytes(CONTENT[:-1] + b"!")
    monkeypatch.setenv("LABS_DATA_MIRROR", str(tmp_path / "mirror"))
    with pytest.raises(LabsError, match=r"file\.bin is not the official file"):
        fetch(official(f"https://{host}/file.bin"), tmp_path / "in", TOY)


def test_a_mirror_url_stands_for_https(server, tmp_path, monkeypatch):
    server.files["/copies/127.0.0.1:1/file.bin"] = CONTENT
    monkeypatch.setenv("LABS_DATA_MIRROR", server.url + "/copies/")
    assert fetch(official(NOWHERE), tmp_path, TOY).read_bytes() == CONTENT


def test_what_the_mirror_lacks_comes_from_the_official_place(server, tmp_path, monkeypatch):
    server.files["/file.bin"] = CONTENT
    (tmp_path / "mirror").mkdir()
    monkeypatch.setenv("LABS_DATA_MIRROR", str(tmp_path / "mirror"))
    path = fetch(official(server.url + "/file.bin"), tmp_path / "in", TOY)
    assert path.read_bytes() == CONTENT


def test_both_places_are_named_when_neither_has_the_file(server, tmp_path, monkeypatch):
    monkeypatch.setenv("LABS_DATA_MIRROR", server.url)
    with pytest.raises(LabsError) as caught:
        fetch(official(NOWHERE), tmp_path, TOY)
    assert "answers 404" in str(caught.value)
    assert f"{NOWHERE} cannot be reached" in str(caught.value)


def test_a_mirror_that_is_no_folder_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("LABS_DATA_MIRROR", str(tmp_path / "nothing"))
    with pytest.raises(LabsError, match="no such folder"):
        fetch(official(NOWHERE), tmp_path, TOY)


def packed(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def by_members(url: str) -> OfficialFile:
    lines = "".join(f"{n}\0{hashlib.sha256(c).hexdigest()}\n" for n, c in [("r/a", b"1")])
    digest = hashlib.sha256(lines.encode()).hexdigest()
    return OfficialFile(url, 100, members="r/a", members_sha256=digest)


def test_a_repacked_archive_is_right_when_the_members_that_are_used_are(server, tmp_path):
    server.files["/r.tar.gz"] = packed({"r/README": b"other", "r/a": b"1"})
    assert fetch(by_members(server.url + "/r.tar.gz"), tmp_path, TOY).exists()


@pytest.mark.parametrize(
    "content",
    [packed({"r/a": b"2"}), packed({"r/b": b"1"}), b"not an archive"],
    ids=["other content", "another member", "no archive"],
)
def test_an_archive_with_other_members_is_refused(server, tmp_path, content):
    server.files["/r.tar.gz"] = content
    with pytest.raises(LabsError, match="is not the official file"):
        fetch(by_members(server.url + "/r.tar.gz"), tmp_path / "in", TOY)
    assert names(tmp_path / "in") == []


# Where a publisher gives the first digits of a hash only, in the file's name


def by_digits(url: str, digits: str) -> OfficialFile:
    return OfficialFile(url, len(CONTENT), sha256=digits)


def test_a_file_is_right_by_the_first_digits_of_its_hash(server, tmp_path):
    digits = hashlib.sha256(CONTENT).hexdigest()[:8]
    server.files[f"/w-{digits}.pth"] = CONTENT
    file = by_digits(f"{server.url}/w-{digits}.pth", digits)
    assert fetch(file, tmp_path, "These weights") == tmp_path / f"w-{digits}.pth"
    (tmp_path / f"w-{digits}.pth").write_bytes(b"damaged on the disk")
    assert fetch(file, tmp_path, "These weights").read_bytes() == CONTENT


def test_a_file_with_other_first_digits_is_refused_and_not_kept(server, tmp_path):
    server.files["/w-00000000.pth"] = CONTENT
    with pytest.raises(LabsError, match=r"These weights cannot be had: .* begin with 0{8}"):
        fetch(
            by_digits(server.url + "/w-00000000.pth", "00000000"), tmp_path / "in", "These weights"
        )
    assert names(tmp_path / "in") == []


def test_what_to_do_without_the_file_is_up_to_who_needs_it(tmp_path):
    with pytest.raises(LabsError) as caught:
        fetch(official(NOWHERE), tmp_path, "These weights", instead="use your own")
    assert str(caught.value).startswith("These weights cannot be fetched")
    assert caught.value.remedy.endswith("official files, or use your own.")


def test_a_file_without_any_hash_is_never_right(server, tmp_path):
    server.files["/file.bin"] = CONTENT
    with pytest.raises(LabsError, match="is not the official file"):
        fetch(OfficialFile(server.url + "/file.bin", 1), tmp_path, TOY)

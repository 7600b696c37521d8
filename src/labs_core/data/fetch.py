"""Official files, from the mirror or the official URL. Their hashes are always checked."""

from __future__ import annotations

import os
from pathlib import Path

from labs_core.catalog import OfficialFile, data_sets
from labs_core.data.archive import members_sha256
from labs_core.data.digest import file_hash
from labs_core.data.space import enough_space
from labs_core.errors import LabsError

WHOLE = 64  # digits of a sha256


def fetch(file: OfficialFile, downloads: Path, what: str, instead: str = "") -> Path:
    """The file with the right content, downloaded to `downloads` unless a mirror folder holds it.

    `what` it is for begins the errors; `instead` is what one can do without it, in place of taking
    a data set that needs no network.

    LABS_DATA_MIRROR, a folder or a URL, stands for `https://` of the official URL and comes first;
    what it lacks comes from the official place.

    Raises LabsError: not to be reached, another content than the pinned one, no space.
    """
    mirrored = in_mirror(file.url)
    if isinstance(mirrored, Path) and mirrored.is_file():
        if not is_right(file, mirrored):
            raise _changed(file, str(mirrored), what)
        return mirrored
    places = [mirrored, file.url] if isinstance(mirrored, str) else [file.url]
    reasons = []
    for url in places:
        target = downloads / _local_name(file)
        with enough_space(what[0].lower() + what[1:], file.bytes / 1e6, downloads):
            reason = _download(file, url, target, what)
        if not reason:
            return target
        reasons.append(f"{url} {reason}")
    raise _unreachable(reasons, what, instead)


def in_mirror(url: str) -> Path | str | None:
    """Where the file lies in the mirror: a path, a URL, or None where no mirror is set."""
    mirror = os.environ.get("LABS_DATA_MIRROR", "")
    if not mirror:
        return None
    name = url.removeprefix("https://")
    if "://" in mirror:
        return f"{mirror.rstrip('/')}/{name}"
    if not Path(mirror).is_dir():
        raise LabsError(
            f"LABS_DATA_MIRROR is '{mirror}', and there is no such folder",
            remedy="Set it to a folder or URL that holds official files as HOST/PATH, or unset it.",
        )
    return Path(mirror) / name


def is_right(file: OfficialFile, path: Path) -> bool:
    """Whether the file at `path` has the content that the catalog pins."""
    if file.members_sha256:
        try:
            return members_sha256(path, file.members) == file.members_sha256
        except LabsError:  # not an archive at all
            return False
    return bool(file.sha256) and file_hash(path, "sha256").startswith(file.sha256)


def _local_name(file: OfficialFile) -> str:
    """Two official files may have the same name; their hashes tell them apart."""
    name, digits = Path(file.url).name, (file.sha256 or file.members_sha256)[:12]
    return name if digits in name else f"{digits}-{name}"


def _download(file: OfficialFile, url: str, target: Path, what: str) -> str:
    """Empty where the file is there now, else why the server did not give it."""
    import pooch
    import requests

    from labs_core.data.download import ResumableDownload

    pooch.get_logger().setLevel("WARNING")
    download = ResumableDownload(target)
    known_hash = f"sha256:{file.sha256}" if len(file.sha256) == WHOLE else None
    if known_hash is None and target.exists() and not is_right(file, target):
        target.unlink()  # pooch would take it as it is
    try:
        while True:
            try:
                pooch.retrieve(url, known_hash, target.name, target.parent, downloader=download)
            except ValueError:  # pooch: another hash than the known one
                right = False
            else:
                right = known_hash is not None or is_right(file, target)
            if right:
                return ""
            target.unlink(missing_ok=True)
            if not download.resumed:  # else the pieces may be of two versions: once more, whole
                raise _changed(file, url, what)
            download.resumed = False
    except requests.HTTPError as error:
        return f"answers {error.response.status_code} {error.response.reason}"
    except requests.RequestException as error:
        return f"cannot be reached ({_short(error)})"


def _short(error: BaseException) -> str:
    """The innermost reason, such as `Connection refused`, out of the layers of an HTTP library."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _changed(file: OfficialFile, place: str, what: str) -> LabsError:
    return LabsError(
        f"{what} cannot be had: {place} is not the official file",
        f"its sha256 does not begin with {file.sha256}"
        if file.sha256
        else f"the sha256 of its members is not {file.members_sha256}",
        "It is damaged or has changed; nothing of it was used. Take it from another place: see "
        "LABS_DATA_MIRROR in `labs data fetch --help`.",
    )


def _unreachable(reasons: list[str], what: str, instead: str) -> LabsError:
    if not instead:
        offline = ", ".join(name for name, card in data_sets().items() if card.shipped_by)
        instead = f"take a data set that needs no network: {offline}"
    mirror = "" if os.environ.get("LABS_DATA_MIRROR") else ", and LABS_DATA_MIRROR is not set"
    return LabsError(
        f"{what} cannot be fetched",
        " and ".join(reasons) + mirror,
        f"Set LABS_DATA_MIRROR to a folder or URL that holds the official files, or {instead}.",
    )

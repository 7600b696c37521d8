"""A full disk, told in one sentence."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from labs_core.errors import LabsError

# No space, larger than this system allows a file to be, over this user's quota.
NO_SPACE = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}


@contextmanager
def enough_space(what: str, megabytes: float, folder: Path) -> Iterator[None]:
    """Turn "no space left" into a LabsError that says what needs how much, and where."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        raise LabsError(
            f"There is no space left for {what}",
            f"it needs about {megabytes:,.1f} MB in {folder}",
            "Free some space, or point LABS_DATA to a folder on a larger disk.",
        ) from error

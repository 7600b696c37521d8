"""The one error that a person is meant to read: what is wrong, why, and what to do about it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LabsError(Exception):
    """A mistake that the user can mend: printed in one or two lines, exit code 2.

    Args:
        what: the thing and what is wrong with it, without a full stop.
        why: the reason, where `what` does not say it already.
        remedy: what to do now, as an instruction.
    """

    def __init__(self, what: str, why: str = "", remedy: str = "") -> None:
        self.what, self.why, self.remedy = what, why, remedy
        super().__init__(": ".join(part for part in (what, why) if part))


def did_you_mean(word: str, options: Iterable[str]) -> str:
    """`Did you mean 'week5'?`, or else the list of what there is."""
    names = sorted(options)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if near:
        return f"Did you mean '{near[0]}'?"
    return f"There is: {', '.join(names)}." if names else ""

"""The parity check: a bundle must answer as the network that it was exported from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from labs_core.bundle.bundle import Bundle
from labs_core.bundle.compare import TOLERANCE, Difference
from labs_core.errors import LabsError


def check(
    bundle: Bundle,
    items: Sequence[Any],
    expected_answers: Sequence[Any],
    tolerance: float = TOLERANCE,
) -> Difference:
    """Compare the bundle's answers on raw test items with the network's own.

    Args:
        bundle: the bundle, as it will be used: with its pre- and post-processing.
        items: raw items, as the task takes them.
        expected_answers: the network's answers to them, through the task's post-processing.
        tolerance: the largest difference allowed; see `Difference.max_abs`.

    Returns:
        The difference found, which is within the tolerance.

    Raises:
        LabsError: it is not; says by how much, and where.
    """
    found = bundle.difference(expected_answers, bundle.predict(items))
    if not found.within(tolerance):
        raise LabsError(
            f"The bundle '{bundle.name}' does not answer as the network that it was exported from",
            f"{found} (tolerance {tolerance:g}, {len(items)} items)",
            "Look for what differs between the module's predict_step and its exported graph.",
        )
    return found

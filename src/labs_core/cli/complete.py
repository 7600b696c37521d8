"""Tab completion: labs, and the settings of the lab that was typed."""

from __future__ import annotations

from collections.abc import Iterator

import typer

from labs_core import catalog


def labs(incomplete: str) -> Iterator[tuple[str, str]]:
    """Labs with their titles."""
    for lab in catalog.labs().values():
        if lab.name.startswith(incomplete):
            yield lab.name, lab.title


def data_sets(incomplete: str) -> Iterator[tuple[str, str]]:
    """Data sets with their titles."""
    for entry in catalog.data_sets().values():
        if entry.name.startswith(incomplete):
            yield entry.name, entry.title


def settings(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """`model=`, then `model=vit`: the groups of the lab and their options."""
    from labs_core.config.compose import options

    lab = ctx.params.get("lab")
    if lab not in catalog.labs():
        return
    for group, names in options(lab).items():
        for text in [f"{group}=", *(f"{group}={name}" for name in names)]:
            if text.startswith(incomplete) and text != incomplete:
                yield text


def exercises(ctx: typer.Context, incomplete: str) -> list[str]:
    """The exercises of the lab that was typed."""
    lab = catalog.labs().get(ctx.params.get("lab") or "")
    return [name for name in lab.exercises if name.startswith(incomplete)] if lab else []


def profiles(incomplete: str) -> list[str]:
    """The three sizes of a run."""
    return [name for name in ("smoke", "starter", "full") if name.startswith(incomplete)]


def samplers(incomplete: str) -> list[str]:
    """Who proposes a sweep's trials."""
    return [n for n in ("grid", "random", "tpe", "cmaes") if n.startswith(incomplete)]


def pruners(incomplete: str) -> list[str]:
    """Who ends a sweep's hopeless trials."""
    return [n for n in ("none", "median", "hyperband") if n.startswith(incomplete)]


def launchers(incomplete: str) -> list[str]:
    """Where a sweep's trials, or a run's processes, run."""
    return [n for n in ("local", "ray") if n.startswith(incomplete)]

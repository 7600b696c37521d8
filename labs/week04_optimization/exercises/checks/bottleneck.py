"""The bottleneck in profiles with a known one; cutout and mixup by what must hold for each draw."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.profiler
from torch import Tensor

from labs_core.data.loader import generator as seeded
from labs_core.learn.tutor import Tutor, show

FEW, MANY = 4, 64  # pictures, for which operations are counted
BLANK, FILL = 200, 128  # pixels before and after


@dataclass
class Entry:
    """One operation of a profile, with torch's names; times in µs."""

    key: str
    count: int
    self_cpu_time_total: float
    cpu_time_total: float

    @property
    def name(self) -> str:
        """As the events of a profile call it."""
        return self.key

    @property
    def cpu_time(self) -> float:
        """The mean total of one call."""
        return self.cpu_time_total / self.count


class Table:
    """What of a profile can be read as a table."""

    def __init__(self, *entries: Entry) -> None:
        self._entries = [*entries]

    def key_averages(self) -> list[Entry]:
        """One entry for each operation."""
        return [*self._entries]

    def events(self) -> list[Entry]:
        """One entry for each call."""
        return [
            Entry(e.key, 1, e.self_cpu_time_total / e.count, e.cpu_time_total / e.count)
            for e in self._entries
            for _ in range(e.count)
        ]

    def __deepcopy__(self, memo: object) -> Table:
        return self

    def __repr__(self) -> str:
        lines = [
            f"{e.key}: {e.count} calls, own {e.self_cpu_time_total:g} µs, "
            f"total {e.cpu_time_total:g} µs"
            for e in self._entries
        ]
        return "profile of\n" + "\n".join(lines)


def check_own_time(tutor: Tutor) -> None:
    """bottleneck: the most own time"""
    step, conv, mm, add = "training step", "aten::conv2d", "aten::mm", "aten::add"
    for right, *entries in [
        (mm, Entry(mm, 1, 5, 5)),
        (
            mm,
            Entry(conv, 2, 4, 4),
            Entry(add, 9, 3, 3),
            Entry("aten::pad", 1, 1, 1),
            Entry(mm, 3, 9, 9),
        ),
        (mm, Entry(step, 1, 5, 100), Entry(mm, 2, 80, 80), Entry(conv, 3, 15, 15)),
        (conv, Entry(step, 1, 9, 300), Entry(mm, 1, 91, 91), Entry(conv, 100, 200, 200)),
        (mm, Entry(step, 1, 9, 300), Entry(add, 900, 90, 90), Entry(mm, 3, 201, 201)),
    ]:
        got = tutor.ask("bottleneck", Table(*entries))
        causes = {
            max(entries, key=lambda e: e.count).key: "that is the one with the most calls",
            max(entries, key=lambda e: e.self_cpu_time_total / e.count).key: (
                "one call of it takes longest; all of its calls together count"
            ),
            entries[0].key: "that is the first in the table",
            min(
                entries, key=lambda e: e.self_cpu_time_total
            ).key: "that is the least, not the most",
            max(entries, key=lambda e: e.cpu_time_total).key: (
                "its total includes what it calls: compare the own times, self_cpu_time_total"
            ),
        }
        cause = causes.get(got, "") if isinstance(got, str) else "its name, as a text: entry.key"
        tutor.holds(got == right, right, show(got), cause)


def check_real_profile(tutor: Tutor) -> None:
    """bottleneck: a matrix product in a real profile"""
    find = tutor.mine.bottleneck
    x, small = torch.randn(400, 400), torch.randn(4)
    with (
        _profiler() as profile,
        torch.no_grad(),
        torch.profiler.record_function("training step"),
    ):
        for _ in range(20):
            torch.nn.functional.linear(x, x)
            small = small * 0.5 + 1
    # No argument of the call: a profile cannot be copied, as the tutor does with arguments.
    got = tutor.call("of a training step's profile, bottleneck", lambda: find(profile))
    tutor.holds(
        got == "aten::mm",
        "aten::mm",
        show(got),
        "its total includes what it calls: compare the own times, self_cpu_time_total"
        if got in ("training step", "aten::linear", "aten::matmul")
        else "",
    )


Square = tuple[int, int]  # the top and the left edge, which may be outside
CutOut = tuple[int, int, int]  # height and width of the pictures, size of the squares
CUTS: list[CutOut] = [(3, 3, 1), (4, 5, 2), (5, 4, 3), (6, 6, 4)]


def check_square(tutor: Tutor) -> None:
    """cutout: a square of the right size, around any pixel"""
    for height, width, size in CUTS:
        pixels = torch.full((1, 1, height, width), BLANK, dtype=torch.uint8)
        squares = [*_squares(height, width, size)]

        def draw(seed: int, pixels: Tensor = pixels, size: int = size) -> Tensor:
            """What is painted."""
            got = _cut(tutor, pixels, size, seeded(seed))[0, 0]
            tutor.holds(
                bool(((got == BLANK) | (got == FILL)).all()),
                f"{FILL} where it is painted, {BLANK} elsewhere",
                show(got),
                "what is painted becomes `fill`, what is not stays as it was",
            )
            return got == FILL

        draws = [draw(seed) for seed in range(40)]
        for painted in draws:
            if not any(torch.equal(painted, square) for square in squares):
                tutor.fail(
                    f"a square of {size}x{size} pixels, or what of it is in the picture",
                    show(torch.where(painted, FILL, pixels[0, 0])),
                    _square_cause(draws, height, width, size),
                )


def check_pictures(tutor: Tutor) -> None:
    """cutout: all channels of a picture alike, and what is not painted stays as it was"""
    for shape, size, fill in [
        ((2, 1, 2, 3), 1, FILL),
        ((1, 3, 3, 4), 2, FILL),
        ((5, 2, 6, 7), 3, FILL),
        ((4, 3, 5, 5), 3, 7),
    ]:
        random = torch.Generator().manual_seed(0)
        pixels = torch.randint(150, 256, shape, dtype=torch.uint8, generator=random)
        told = {} if fill == FILL else {"fill": fill}
        got = _cut(tutor, pixels, size, seeded(2), **told)
        changed = got != pixels
        tutor.holds(
            bool((got[changed] == fill).all()),
            f"{fill} where it is painted, the pixels as they were elsewhere",
            f"other numbers: {show(got[changed & (got != fill)][:6])}",
            "paint with `fill`, whatever it is",
        )
        tutor.holds(
            bool((changed == changed[:, :1]).all()),
            "the square in all channels",
            "channels that differ",
            "one place for each picture, not for each channel",
        )
        for number, holes in enumerate(changed[:, 0]):
            tutor.holds(
                any(torch.equal(holes, right) for right in _squares(*shape[2:], size)),
                f"a square of {size}x{size} pixels in picture {number}",
                show(got[number, 0]),
            )


def check_all_places(tutor: Tutor) -> None:
    """cutout: every pixel is as often the middle as any other"""
    count = 6_000
    for height, width, size in CUTS[:3]:
        pixels = torch.full((count, 1, height, width), BLANK, dtype=torch.uint8)
        painted = _cut(tutor, pixels, size, seeded(1))[:, 0] == FILL
        tutor.holds(
            not bool((painted == painted[0]).all()),
            "a place of its own for each picture",
            "the same place in all of them",
            "draw as many numbers as there are pictures: of shape (B, 1)",
        )
        places = [(y, x) for y in range(height) for x in range(width)]
        squares = [*_squares(height, width, size)]
        times = [int((painted == square).all(dim=(1, 2)).sum()) for square in squares]
        share = count / len(places)
        for (y, x), seen in zip(places, times, strict=True):
            tutor.holds(
                abs(seen - share) < 6 * math.sqrt(share),
                f"{count} squares, about {share:.0f} of them around row {y}, column {x}",
                f"{seen} of them",
                _place_cause(dict(zip(places, times, strict=True)), height, width, size),
            )


def check_cutout_chance(tutor: Tutor) -> None:
    """cutout: another draw with each call, and all chance from the generator"""
    pixels = torch.zeros(32, 1, 8, 8, dtype=torch.uint8)
    cause = "hand `generator` on to each function that draws"
    _require_chance(tutor, lambda generator: _cut(tutor, pixels, 3, generator), cause)


def check_cutout_operations(tutor: Tutor) -> None:
    """cutout: no more operations for many pictures than for few"""
    _require_few_operations(
        tutor,
        lambda count: _cut(
            tutor, torch.zeros(count, 3, 32, 32, dtype=torch.uint8), 8, seeded(count)
        ),
    )


def check_targets(tutor: Tutor) -> None:
    """mixup: the targets hold two labels, in shares with the sum 1"""
    for batch in (2, 5, 16):
        pixels, labels = _batch(batch, side=1)
        _, targets = _mix(tutor, pixels, labels, batch, 1.0, seeded(3))
        sums = targets.sum(1)
        tutor.equal(
            sums,
            torch.ones(batch),
            causes={
                "the shares are λ and 1 − λ": lambda: sums if (sums > 0).all() else sums * math.nan
            },
            rtol=1e-4,
            what="the sum of each row of the targets",
        )
        for number, row in enumerate(targets):
            several = int((row > 0).sum())
            tutor.holds(
                several <= 2 and float(row[labels[number]]) > 0,
                f"of picture {number} its own label {int(labels[number])}, and one partner's",
                show(row),
                "the label's share is missing" if several <= 2 else "one partner for each picture",
            )
        blended = int(((targets > 0).sum(1) == 2).sum())
        cause = "with λ for the picture's own label and 1 − λ for its partner's"
        if batch > 2:
            tutor.holds(blended > 0, "rows with two labels", f"none:\n{show(targets)}", cause)


def check_blends(tutor: Tutor) -> None:
    """mixup: pictures and targets are blended in the same shares"""
    for batch, side in ((4, 1), (5, 2), (16, 3)):
        pixels, labels = _batch(batch, side)
        for seed in range(4):
            pictures, targets = _mix(tutor, pixels, labels, batch, 1.0, seeded(seed))
            own = targets.gather(1, labels[:, None])  # λ
            # With a label for each picture, row i of the targets says which pictures are in it.
            of_picture = targets[:, labels]  # (B, B)
            expected = torch.einsum("ij,jchw->ichw", of_picture, pixels.float())
            turned = torch.where((of_picture > 0) & (of_picture < 1), 1 - of_picture, of_picture)
            shares = own[:, :, None, None]
            tutor.equal(
                pictures,
                expected,
                causes={
                    "the pictures are as they were: blend them, too": lambda: pixels,
                    "λ is the share of the partner's picture, but of the own label": (
                        lambda: torch.einsum("ij,jchw->ichw", turned, pixels.float())
                    ),
                    "the partner's share 1 − λ is missing": lambda: (
                        shares * pixels + (expected - shares * pixels) / (1 - shares)
                    ),
                    "halves, whatever λ is": lambda: torch.einsum(
                        "ij,jchw->ichw",
                        (of_picture > 0) / (of_picture > 0).sum(1, keepdim=True),
                        pixels.float(),
                    ),
                    "pictures from 0 to 1: they go on from 0 to 255": lambda: expected / 255,
                    "another partner for the picture than for the label, or another λ": (
                        lambda: pictures
                    ),
                },
                rtol=1e-4,
                atol=1e-2,
            )


def check_same_label(tutor: Tutor) -> None:
    """mixup: a partner with the same label"""
    pixels, _ = _batch(2)
    labels = torch.tensor([1, 1])
    _, targets = _mix(tutor, pixels, labels, 4, 1.0, seeded(0))
    tutor.equal(targets, [[0.0, 1.0, 0.0, 0.0]] * 2, rtol=1e-4, atol=1e-6, what="the targets")


def check_partners(tutor: Tutor) -> None:
    """mixup: the partners are a random permutation of the batch"""
    batch, seen = 12, []
    pixels, labels = _batch(batch, side=1)
    for seed in range(3):
        _, targets = _mix(tutor, pixels, labels, batch, 1.0, seeded(seed))
        of_picture = targets[:, labels]
        others = of_picture - torch.diag(of_picture.diag())
        partners = torch.where(others.amax(1) > 0, others.argmax(1), torch.arange(batch))
        seen.append(partners.tolist())
        tutor.holds(
            sorted(seen[-1]) == list(range(batch)),
            "each picture a partner once",
            f"the partners {seen[-1]}",
            "drawn with replacement? torch.randperm gives each number once",
        )
    tutor.holds(
        seen[0] != seen[1] or seen[1] != seen[2],
        "other partners with each draw",
        f"three times {seen[0]}",
        "flip and roll always pair the same places: torch.randperm",
    )


def check_shares(tutor: Tutor) -> None:
    """mixup: λ is Beta(α, α), another one for each picture"""
    batch = 1_000
    pixels, labels = _batch(batch, side=1)
    for alpha in (1.0, 0.2, 4.0):
        _, targets = _mix(tutor, pixels, labels, batch, alpha, seeded(5))
        own = targets.gather(1, labels[:, None])[:, 0]
        mixed = own[own < 1]  # a picture may be its own partner
        tutor.holds(len(mixed) > 0, "shares of two pictures", "each picture alone")
        tutor.holds(
            float(mixed.max() - mixed.min()) > 1e-3,
            "a λ for each picture",
            f"{float(mixed[0]):.4g} for all of them",
            "draw as many as there are pictures, and give them the shape (B, 1, 1, 1)",
        )
        variance = 1 / (4 * (2 * alpha + 1))
        for what, mine, right, error in [
            ("mean", mixed.mean(), 0.5, math.sqrt(variance / batch)),
            ("variance", mixed.var(), variance, variance * math.sqrt(2 / batch)),
        ]:
            cause = "λ comes from beta(alpha, B, generator), as it is"
            if what == "mean" and float(mixed.min()) >= 0.5:
                cause = "max(λ, 1 − λ) is another variant: here λ is taken as it is"
            tutor.holds(
                abs(float(mine) - right) < 6 * error,
                f"a {what} of {right:.4g} with α = {alpha:g}",
                f"{float(mine):.4g}",
                cause,
            )


def check_mixup_chance(tutor: Tutor) -> None:
    """mixup: another draw with each call, and all chance from the generator"""
    pixels, labels = _batch(16)
    _require_chance(
        tutor,
        lambda generator: torch.cat(
            [part.flatten() for part in _mix(tutor, pixels, labels, 16, 1.0, generator)]
        ),
        "hand `generator` on to each function that draws, and draw λ with `beta`",
    )


def check_mixup_operations(tutor: Tutor) -> None:
    """mixup: no more operations for many pictures than for few"""
    _require_few_operations(
        tutor, lambda count: _mix(tutor, *_batch(count), MANY, 0.4, seeded(count))
    )


def check_device(tutor: Tutor) -> None:
    """cutout and mixup: on the device where the pictures are, such as a GPU"""
    # A device that every machine has: shapes without numbers
    pixels = torch.zeros(4, 3, 8, 8, dtype=torch.uint8, device="meta")
    labels = torch.zeros(4, dtype=torch.int64, device="meta")
    for name, ask in {
        "cutout": lambda: [tutor.mine.cutout(pixels, 3, seeded(0))],
        "mixup": lambda: tutor.mine.mixup(pixels, labels, 10, 1.0, seeded(0)),
    }.items():
        for part in tutor.call(f"with the pictures on another device than the CPU, {name}", ask):
            tutor.holds(
                part.device == pixels.device,
                "an answer on the device of the pictures",
                f"one on {part.device}",
                "draw on the generator's device, then take the numbers there: .to(pixels.device)",
            )


def _cut(
    tutor: Tutor, pixels: Tensor, size: int, generator: torch.Generator, **told: int
) -> Tensor:
    got = tutor.ask("cutout", pixels, size, generator, **told)
    if not isinstance(got, Tensor):
        tutor.fail("a tensor", show(got), "is there a `return`?" if got is None else "")
    tutor.holds(
        got.shape == pixels.shape and got.dtype == pixels.dtype,
        f"{pixels.dtype} of shape {tuple(pixels.shape)}, as the pixels",
        f"{got.dtype} of shape {tuple(got.shape)}",
        "what says where to paint needs an axis for the channels: (B, 1, H, W)"
        if got.shape != pixels.shape
        else "",
    )
    return got


def _mix(
    tutor: Tutor,
    pixels: Tensor,
    labels: Tensor,
    classes: int,
    alpha: float,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    got = tutor.ask("mixup", pixels, labels, classes, alpha, generator)
    if not (isinstance(got, tuple | list) and len(got) == 2):
        tutor.fail("a pair of pictures and targets", show(got), "return pictures, targets")
    pictures, targets = got
    for what, part, shape, cause in [
        ("pictures", pictures, tuple(pixels.shape), "λ fits to them with the shape (B, 1, 1, 1)"),
        ("targets", targets, (len(pixels), classes), "a column for each of the `classes`"),
    ]:
        if not isinstance(part, Tensor):
            tutor.fail(f"a tensor of {what}", show(part))
        tutor.holds(
            tuple(part.shape) == shape and part.dtype == torch.float32,
            f"{what}: torch.float32 of shape {shape}",
            f"{part.dtype} of shape {tuple(part.shape)}",
            cause if tuple(part.shape) != shape else "a blend of whole numbers is not whole",
        )
    return pictures, targets


def _batch(count: int, side: int = 2) -> tuple[Tensor, Tensor]:
    """Random pictures, each with a label of its own."""
    random = torch.Generator().manual_seed(count)
    shape = (count, 1, side, side)
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=random)
    return pixels, torch.randperm(count, generator=random)


def _squares(height: int, width: int, size: int, *, shift: int = 0) -> Iterator[Tensor]:
    """What is painted by the square around each pixel in turn."""
    for y in range(height):
        for x in range(width):
            yield _painted(height, width, size, (y - size // 2 + shift, x - size // 2 + shift))


def _painted(height: int, width: int, size: int, square: Square, full: str = "") -> Tensor:
    """Where a square lies; with full = "rows" or "columns", over all of them."""
    mask = torch.zeros(height, width, dtype=torch.bool)
    for y in range(height):
        for x in range(width):
            in_rows = square[0] <= y < square[0] + size
            in_columns = square[1] <= x < square[1] + size
            mask[y, x] = {
                "": in_rows and in_columns,
                "rows": in_rows,
                "columns": in_columns,
                "either": in_rows or in_columns,
            }[full]
    return mask


def _square_cause(painted: list[Tensor], height: int, width: int, size: int) -> str:
    """Which mistake gives all that was painted."""
    middles = [(y, x) for y in range(height) for x in range(width)]

    def around(size: int, half: int, full: str = "") -> list[Tensor]:
        corners = [(y - half, x - half) for y, x in middles]
        return [_painted(height, width, size, corner, full) for corner in corners]

    half = size // 2
    for cause, wrong in {
        "nothing is painted": [torch.zeros(height, width, dtype=torch.bool)],
        "all is painted": [torch.ones(height, width, dtype=torch.bool)],
        "one pixel too large: y < top + size, not ≤": around(size + 1, half),
        "one pixel too small: top ≤ y, not <": around(size - 1, half - 1),
        "one pixel too small: y < top + size": around(size - 1, half),
        "from size // 2 before the middle to size // 2 after it: that is no size pixels": (
            around(2 * half, half) + around(2 * half + 1, half)
        ),
        "the random pixel is the middle: the corner is size // 2 up and left of it": (
            around(size, 0)
        ),
        "the corner is size // 2 up and left of the middle, not size": around(size, size),
        "whole rows are painted: where rows and columns meet": around(size, half, "rows"),
        "whole columns are painted: where rows and columns meet": around(size, half, "columns"),
        "a cross is painted: rows and columns, not one of them": around(size, half, "either"),
        "row and column of the middle are always the same: draw twice": [
            _painted(height, width, size, (place - half, place - half))
            for place in range(max(height, width))
        ],
    }.items():
        if all(any(torch.equal(each, other) for other in wrong) for each in painted):
            return cause
    high, wide = (max(int(each.any(axis).sum()) for each in painted) for axis in (1, 0))
    return f"in {len(painted)} draws, up to {high} pixels high and {wide} wide"


def _place_cause(times: dict[Square, int], height: int, width: int, size: int) -> str:
    """Why some places are drawn more often than others."""
    half = size // 2
    inside = {
        (y, x) for y, x in times if 0 <= y - half <= height - size and 0 <= x - half <= width - size
    }
    if inside < {*times} and all(seen == 0 for at, seen in times.items() if at not in inside):
        return "the square may reach over the edge: its middle is any pixel of the picture"
    empty = {at for at, seen in times.items() if seen == 0}
    for cause, never in {
        "row and column of the middle are always the same: draw twice": {
            (y, x) for y, x in times if y != x
        },
        "the first row or column is never the middle: count from 0": {
            (y, x) for y, x in times if y == 0
        },
        "the last row or column is never the middle: randint leaves its upper end out": {
            (y, x) for y, x in times if y == height - 1
        },
        "the first column is never the middle: count from 0": {(y, x) for y, x in times if x == 0},
        "the last column is never the middle: randint leaves its upper end out": {
            (y, x) for y, x in times if x == width - 1
        },
    }.items():
        if never and never <= empty:
            return cause
    return "draw row and column with torch.randint, over all of H and of W"


def _require_chance(tutor: Tutor, draw: Callable[[torch.Generator], Tensor], cause: str) -> None:
    generator = seeded(7)
    first, second = draw(generator), draw(generator)
    tutor.holds(
        not torch.equal(first, second),
        "two calls with the same generator: two draws",
        "twice the same",
        "a generator or a seed made inside begins anew with each call",
    )
    answers = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        answers.append(draw(seeded(8)))
    tutor.holds(
        torch.equal(*answers),
        "the same draw from generators with the same seed",
        "two different ones",
        cause,
    )


def _require_few_operations(tutor: Tutor, work: Callable[[int], Any]) -> None:
    """The profiler counts the operations for few pictures and for many."""
    counts = []
    for pictures in (FEW, FEW, MANY):  # the first time, torch may get itself ready
        with _profiler() as profile:
            work(pictures)
        counts.append(sum(entry.count for entry in profile.key_averages()))
    _, few, many = counts
    more = (many - few) / (MANY - FEW)
    tutor.holds(
        more < 0.5,
        f"as many operations for {MANY} pictures as for {FEW}, {few}",
        f"{many}: {more:.1f} for each picture more",
        "there is a loop over the pictures: work on the whole batch at once",
    )


def _profiler() -> Any:
    return torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU])

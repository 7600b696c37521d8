"""Convolution and pooling, against torch.nn.functional."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from labs_core.learn.tutor import Tutor

KINDS = ("conv", "max_pool", "avg_pool", "adaptive_max_pool", "adaptive_avg_pool")
FORBIDDEN = {f"{kind}{d}d" for kind in KINDS for d in (1, 2, 3)}
FORBIDDEN |= {"".join(map(str.capitalize, name.split("_"))) for name in FORBIDDEN}  # nn.Conv2d …


def whole(*shape: int, seed: int = 0) -> Tensor:
    """Whole numbers from −4 to 4: sums of their products are exact in any order."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-4, 5, shape, generator=generator).double()


def check_output_size(tutor: Tutor) -> None:
    """how many places a window has"""
    cases = [(1, 1, 1, 0), (3, 1, 1, 0), (3, 2, 1, 0), (4, 2, 2, 0), (5, 2, 2, 0), (5, 3, 1, 1)]
    for n, k, s, p in [*cases, (7, 3, 2, 1), (224, 7, 2, 3), (10, 3, 4, 2)]:
        tutor.equal(
            tutor.ask("output_size", n, kernel=k, stride=s, padding=p),
            F.max_pool1d(torch.zeros(1, 1, n + 2 * p), k, s).shape[2],
            causes={
                "there is padding on both sides: 2p": lambda: (n + p - k) // s + 1,
                "the padding is missing": lambda: (n - k) // s + 1,
                "the place where the window starts counts as well: + 1": (
                    lambda: (n + 2 * p - k) // s
                ),
                "the stride is missing": lambda: n + 2 * p - k + 1,
                "the + 1 comes after the division": lambda: (n + 2 * p - k + 1) // s,
                "rounded up: the last window would look over the edge": (
                    lambda: -(-(n + 2 * p - k) // s) + 1
                ),
                "a fraction: divide with //": lambda: (n + 2 * p - k) / s + 1,
            },
        )


def check_windows(tutor: Tutor) -> None:
    """what a window sees at each of its places"""
    for (h, w), (kh, kw), s in [
        ((1, 2), (1, 1), 1),
        ((2, 2), (2, 2), 1),
        ((1, 3), (1, 2), 1),
        ((3, 4), (2, 2), 1),
        ((4, 4), (2, 2), 2),
        ((5, 7), (3, 2), 2),
    ]:
        for shape in ((1, 1, h, w), (2, 3, h, w)):
            x = torch.arange(1.0, 1 + shape[0] * shape[1] * h * w).double().reshape(shape)
            columns = F.unfold(x, (kh, kw), stride=s)  # (B, C·kh·kw, H'·W')
            rows = (h - kh) // s + 1
            expected = columns.reshape(*shape[:2], kh, kw, rows, -1).permute(0, 1, 4, 5, 2, 3)
            tutor.equal(
                tutor.ask("windows", x, kernel=(kh, kw), stride=s),
                expected,
                causes={
                    "the places come before the pixels: (…, H', W', kh, kw)": (
                        lambda: expected.permute(0, 1, 4, 5, 2, 3)
                    ),
                    "u counts rows and v columns of a window; here they are exchanged": (
                        lambda: expected.mT
                    ),
                    "the stride is missing": lambda: x.unfold(2, kh, 1).unfold(3, kw, 1),
                    "the stride acts on the rows only": lambda: x.unfold(2, kh, s).unfold(3, kw, 1),
                    "the stride acts on the columns only": (
                        lambda: x.unfold(2, kh, 1).unfold(3, kw, s)
                    ),
                    "the window is as wide as it is high": (
                        lambda: x.unfold(2, kh, s).unfold(3, kh, s)
                    ),
                },
            )


def convolutions() -> Iterator[tuple[Tensor, Tensor]]:
    """Pictures and filters, from one number to many channels."""
    for picture, filters in [
        ((1, 1, 1, 1), (1, 1, 1, 1)),
        ((1, 1, 1, 2), (1, 1, 1, 2)),
        ((1, 1, 3, 3), (1, 1, 2, 2)),
        ((1, 2, 2, 2), (1, 2, 2, 2)),
        ((1, 1, 3, 3), (2, 1, 2, 2)),
        ((2, 3, 5, 7), (4, 3, 3, 2)),
    ]:
        yield whole(*picture, seed=1), whole(*filters, seed=2)


def check_convolution(tutor: Tutor) -> None:
    """the convolution, at stride 1 without padding"""
    for x, w in convolutions():
        turned = w.flip(2, 3)
        products = torch.stack([F.conv2d(x[:, [c]], w[:, [c]]) for c in range(x.shape[1])])
        tutor.equal(
            tutor.ask("conv2d", x, w),
            products.sum(0),
            causes={
                "the filter is turned round: w[u, v] meets x[i + u, j + v]": (
                    lambda: F.conv2d(x, turned)
                ),
                "rows and columns of the filter are exchanged": lambda: F.conv2d(x, w.mT),
                "only the first channel of the picture counts": lambda: products[0],
                "only the last channel of the picture is left: add up": lambda: products[-1],
                "the mean over the channels, not the sum": lambda: products.mean(0),
                "a mean over the window, not a sum": lambda: products.sum(0) / w[0, 0].numel(),
                "every filter gives the answer of the first": (
                    lambda: products.sum(0)[:, [0]].expand(-1, len(w), -1, -1)
                ),
            },
        )


def check_stride(tutor: Tutor) -> None:
    """the convolution with a stride"""
    for x, w in [
        (whole(1, 1, 3, 3), whole(1, 1, 1, 1, seed=1)),
        (whole(2, 3, 6, 7), whole(4, 3, 3, 3, seed=1)),
    ]:
        every = F.conv2d(x, w)
        tutor.equal(
            tutor.ask("conv2d", x, w, stride=2),
            F.conv2d(x, w, stride=2),
            causes={
                "the stride is missing": lambda: every,
                "the stride acts on the rows only": lambda: every[:, :, ::2],
                "the stride acts on the columns only": lambda: every[..., ::2],
                "it starts one pixel too late": lambda: every[:, :, 1::2, 1::2],
            },
        )


def check_padding(tutor: Tutor) -> None:
    """the convolution with padding"""
    for x, w, p in [
        (whole(1, 1, 2, 2), whole(1, 1, 2, 2, seed=1), 1),
        (whole(1, 1, 1, 1), whole(1, 1, 3, 3, seed=1), 1),
        (whole(2, 3, 4, 5), whole(4, 3, 3, 3, seed=1), 1),
        (whole(1, 2, 4, 4), whole(3, 2, 5, 3, seed=1), 2),
    ]:
        tutor.equal(
            tutor.ask("conv2d", x, w, padding=p),
            F.conv2d(x, w, padding=p),
            causes={
                "the padding is missing": lambda: F.conv2d(x, w),
                "padded on the left and the right only": lambda: F.conv2d(x, w, padding=(0, p)),
                "padded above and below only": lambda: F.conv2d(x, w, padding=(p, 0)),
                "padded on the right and below only": lambda: F.conv2d(F.pad(x, (0, p, 0, p)), w),
                "padded on the left and above only": lambda: F.conv2d(F.pad(x, (p, 0, p, 0)), w),
                "padded with other numbers than 0": lambda: F.conv2d(
                    F.pad(x, (p,) * 4, value=1), w
                ),
                "padded with the pixels at the edge, not with 0": (
                    lambda: F.conv2d(F.pad(x, (p,) * 4, mode="replicate"), w)
                ),
            },
        )


def check_bias(tutor: Tutor) -> None:
    """the bias of each filter, with stride and padding, at full precision"""
    generator = torch.Generator().manual_seed(3)
    for x, w in convolutions():
        b = torch.randn(len(w), dtype=torch.float64, generator=generator)
        x = x + torch.rand(x.shape, dtype=torch.float64, generator=generator)
        for s, p in [(1, 0), (2, 1), (3, 2)]:
            without = F.conv2d(x, w, None, s, p)
            tutor.equal(
                tutor.ask("conv2d", x, w, b, stride=s, padding=p),
                F.conv2d(x, w, b, s, p),
                causes={
                    "the bias is missing": lambda: without,
                    "the bias of another filter": lambda: without + b.flip(0)[:, None, None],
                    "the bias runs along the columns: give it the shape (O, 1, 1)": (
                        lambda: without + b
                    ),
                    "the bias is there once for each channel of the picture: once is enough": (
                        lambda: without + x.shape[1] * b[:, None, None]
                    ),
                },
                rtol=1e-12,
                atol=1e-12,
            )


def check_max_pool(tutor: Tutor) -> None:
    """the largest number in each window"""
    for shape, k, s, p in [
        ((1, 1, 2, 2), 2, 2, 0),
        ((1, 1, 3, 3), 2, 1, 0),
        ((1, 1, 2, 2), 3, 2, 1),
        ((2, 3, 7, 6), 2, 2, 0),
        ((2, 3, 7, 6), 3, 2, 1),
    ]:
        x = whole(*shape) - 5  # all of them below 0
        tutor.equal(
            tutor.ask("max_pool2d", x, kernel=k, stride=s, padding=p),
            F.max_pool2d(x, k, s, p),
            causes={
                "a 0 from the padding has won: pad with −∞": (
                    lambda: F.max_pool2d(F.pad(x, (p,) * 4), k, s)
                ),
                "the padding is missing": lambda: F.max_pool2d(x, k, s),
                "the stride is missing": lambda: F.max_pool2d(x, k, 1, p),
                "the stride is not the size of the window: it is given": (
                    lambda: F.max_pool2d(x, k, k, p)
                ),
                "the mean, not the maximum": lambda: F.avg_pool2d(x, k, s, p),
                "the maximum over all channels: each by itself": (
                    lambda: F.max_pool2d(x, k, s, p).amax(1, keepdim=True).expand(shape)
                ),
            },
        )


def check_avg_pool(tutor: Tutor) -> None:
    """the mean of each window"""
    for shape, k, s in [((1, 1, 2, 2), 2, 2), ((1, 1, 3, 3), 2, 1), ((2, 3, 7, 6), 3, 2)]:
        x = whole(*shape)
        mean = F.avg_pool2d(x, k, s)
        tutor.equal(
            tutor.ask("avg_pool2d", x, kernel=k, stride=s),
            mean,
            causes={
                "the sum: divide by k², the pixels of a window": lambda: mean * k * k,
                "divided by k: a window has k² pixels": lambda: mean * k,
                "the maximum, not the mean": lambda: F.max_pool2d(x, k, s),
                "the stride is missing": lambda: F.avg_pool2d(x, k, 1),
            },
        )


def check_own_work(tutor: Tutor) -> None:
    """without torch's own convolutions and poolings"""
    tutor.avoids(FORBIDDEN, "windows, products and sums")

"""Image classification: a picture in, a label and a probability for each class out.

`to_pixels` is the one way from any picture to a network's pixels. Training (data sets of image
files) and serving both call it, so what a model sees in use is what it saw in training.

Parameters in bundle.json:
    labels    the K class names, in the order of the network's outputs
    size      [H, W] of the network's input, pixels
    channels  1 (grey) or 3 (red, green, blue)

The main graph takes `pixels` uint8 (N, C, H, W) and gives `probabilities` float32 (N, K); it may
also give `cam` float32 (N, K, h, w), a class activation map for each class.
"""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from labs_core.errors import LabsError
from labs_core.tasks.classes import check_labels, classes
from labs_core.tasks.picture_statistics import picture_statistics
from labs_core.tasks.task import Answer, InvalidInput, Params, Task

# A 50-megapixel photograph: 150 MB in colour, and up to 600 MB while 32-bit grey becomes 8-bit.
MAX_PIXELS = 50_000_000
MAX_PIXELS_TOGETHER = 1_000_000_000  # of the pictures of one call: some ten seconds of decoding

# Named one by one because Pillow's other readers are for files that nobody uploads as a picture,
# and some start a program (EPS runs Ghostscript).
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")

SMALLER = "Send it smaller."

ORIENTATION = 0x0112  # the EXIF tag; 1 is upright
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def to_pixels(
    raw: Any, size: tuple[int, int], channels: int, max_pixels: int = MAX_PIXELS
) -> np.ndarray:
    """Any picture as the network's pixels: uint8 (H, W, C).

    The picture is turned upright (EXIF), put over white where it is transparent, brought to 8 bits
    and to `channels`, then scaled to cover H × W and cut around its centre: shapes keep their
    proportions, and a picture that is already H × W stays exactly as it is. Scaling is bilinear
    and averages over all source pixels (antialiased).

    Args:
        raw: an encoded picture as bytes or as base64 text (`data:` URLs too), a PIL image, or a
            uint8 array (H, W), (H, W, 1), (H, W, 2) grey + alpha, (H, W, 3), (H, W, 4) RGBA.
        size: (H, W) in pixels.
        channels: 1 or 3.
        max_pixels: a larger picture is refused before it is decoded.

    Raises:
        InvalidInput: not a picture, damaged, too large, or an array of another kind.
    """
    picture = _picture(raw, channels, max_pixels)
    height, width = size
    if picture.size != (width, height):
        picture = ImageOps.fit(picture, (width, height), Image.Resampling.BILINEAR)
    return np.frombuffer(picture.tobytes(), np.uint8).reshape(height, width, channels)


def check_pixels_together(items: Sequence[Any], limit: int = MAX_PIXELS_TOGETHER) -> int:
    """Add up what the pictures' headers say; nothing is decoded.

    Returns:
        the number of pixels.

    What is no picture counts for nothing here: `to_pixels` will say what is wrong with it.

    Raises:
        InvalidInput: more than `limit` pixels up to this item.
    """
    total = 0
    for index, item in enumerate(items):
        try:
            width, height = _open(item).size
        except InvalidInput:
            continue
        total += width * height
        if total > limit:
            raise InvalidInput(
                f"with it the pictures have more than {limit / 1e6:g} million pixels together",
                index=index,
                remedy="Send fewer or smaller pictures at once.",
            )
    return total


class ImageClassification(Task):
    """The task `image-classification`; see the module's docstring for its parameters."""

    name = "image-classification"
    field = "image"

    def check_params(self, params: Params) -> None:
        """Raises LabsError where labels, size or channels are missing or make no sense."""
        check_labels(self.name, params.get("labels"))
        size, channels = params.get("size"), params.get("channels")
        if not (isinstance(size, list | tuple) and len(size) == 2 and all(map(_positive, size))):
            raise LabsError(f"Task {self.name}", "'size' is not [height, width]")
        if channels not in (1, 3):
            raise LabsError(f"Task {self.name}", "'channels' is neither 1 nor 3")

    def outputs(self, params: Params) -> tuple[str, ...]:
        """Only the probabilities: a class activation map is asked for where it is shown."""
        return ("probabilities",)

    def preprocess(self, items: Sequence[Any], params: Params) -> dict[str, np.ndarray]:
        """N pictures, each as `to_pixels` takes them, to `pixels` uint8 (N, C, H, W).

        They may have MAX_PIXELS_TOGETHER, as their headers say, before the first one is decoded.
        """
        (height, width), channels = params["size"], params["channels"]
        if len(items) > 1:
            check_pixels_together(items)
        pixels = np.empty((len(items), height, width, channels), np.uint8)
        for index, item in enumerate(items):
            try:
                pixels[index] = to_pixels(item, (height, width), channels)
            except InvalidInput as error:
                raise error.at(index) from None
        return {"pixels": np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))}

    def postprocess(self, outputs: Mapping[str, np.ndarray], params: Params) -> list[Answer]:
        """`{"label": the likeliest, "probabilities": {label: probability}}` for each picture."""
        return classes(outputs["probabilities"], params["labels"])

    def summarise(self, inputs: Mapping[str, np.ndarray], params: Params) -> list[dict[str, float]]:
        """Statistics of the pixels that the network sees; see `picture_statistics`."""
        return picture_statistics(inputs["pixels"])

    def to_json(self, item: Any, params: Params) -> str:
        """The picture as base64 PNG."""
        return base64.b64encode(_png(item, params["channels"])).decode("ascii")

    def dump_inputs(self, items: Sequence[Any], params: Params) -> dict[str, bytes]:
        """A PNG file for each picture, upright, at its own size.

        PNG for all, JPEG uploads too: two versions of a JPEG decoder may differ by a grey level,
        and a golden batch must not depend on that.
        """
        return {f"{n:04d}.png": _png(item, params["channels"]) for n, item in enumerate(items)}

    def load_inputs(self, files: Mapping[str, bytes], params: Params) -> list[bytes]:
        """The PNG files' contents, by name."""
        return [files[name] for name in sorted(files)]


def _picture(raw: Any, channels: int, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """The picture at its own size: upright, opaque, 8 bits, mode L or RGB."""
    image = _open(raw)
    width, height = image.size
    if width * height == 0:
        raise InvalidInput("the picture has no pixels")
    if width * height > max_pixels:
        raise InvalidInput(
            f"the picture has {width} × {height} pixels, more than {max_pixels / 1e6:g} million",
            remedy=SMALLER,
        )
    try:
        image.load()
    except Exception as error:  # a decoder raises whatever it trips over in damaged bytes
        raise InvalidInput(f"the picture is damaged or cut off ({error})") from error
    try:
        return _eight_bits(_upright(image), "L" if channels == 1 else "RGB")
    except ValueError:  # a mode that Pillow cannot convert, premultiplied grey for one
        raise InvalidInput(f"a picture of mode {image.mode} is not read here") from None


def _open(raw: Any) -> Image.Image:
    """The picture with its size known and, where it comes encoded, its pixels not yet decoded."""
    if isinstance(raw, Image.Image):
        return raw
    if isinstance(raw, np.ndarray):
        return _from_array(raw)
    if isinstance(raw, str):
        raw = _from_base64(raw)
    if not isinstance(raw, bytes | bytearray | memoryview):
        raise InvalidInput(f"{type(raw).__name__} is not a picture")
    try:
        return Image.open(io.BytesIO(raw), formats=FORMATS)
    except Image.DecompressionBombError:
        raise InvalidInput(
            "the picture has far too many pixels", remedy="Send it smaller."
        ) from None
    except UnidentifiedImageError:
        raise InvalidInput(
            "not a picture in a format that is read here", remedy=f"Send {', '.join(FORMATS)}."
        ) from None
    except Exception as error:  # a damaged header: again, whatever the reader trips over
        raise InvalidInput(f"the picture's header is damaged ({error})") from error


def _from_array(array: np.ndarray) -> Image.Image:
    modes = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or channels not in modes:
        raise InvalidInput(
            f"an array of {array.dtype} {array.shape} is not a picture",
            remedy="Send uint8 (height, width) or (height, width, 1 to 4 channels).",
        )
    if array.size == 0:
        raise InvalidInput("the picture has no pixels")
    return Image.fromarray(array[:, :, 0] if array.ndim == 3 and channels == 1 else array)


def _from_base64(text: str) -> bytes:
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInput(
            "the text is not base64", remedy="Send the picture's bytes in base64."
        ) from None


def _upright(image: Image.Image) -> Image.Image:
    """Turned as the camera's EXIF says; as it is stored where EXIF cannot be read."""
    try:
        orientation = image.getexif().get(ORIENTATION, 1)
    except Exception:  # written by a thousand programs, and broken by some of them
        return image
    return image.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else image


def _eight_bits(image: Image.Image, mode: str) -> Image.Image:
    """Any mode to L or RGB.

    16-bit grey is scaled by 255/65535 (Pillow's own conversion would clip it), 32-bit integers
    are taken as 16-bit, for that is what Pillow reads them from, and floats as 0 … 1, or as
    0 … 255 where one is above 1.
    """
    if image.mode.startswith("I"):
        levels = np.asarray(image).astype(np.int32)  # then in place: 4 bytes a pixel
        np.clip(levels, 0, 65535, out=levels)
        levels += 128
        levels //= 257
        image = Image.fromarray(levels.astype(np.uint8))
    elif image.mode == "F":
        values = np.array(image)
        if not np.isfinite(values).all():
            raise InvalidInput("the picture has values that are not finite")
        if values.max() <= 1:
            values *= 255
        np.clip(np.rint(values, out=values), 0, 255, out=values)
        image = Image.fromarray(values.astype(np.uint8))
    elif image.mode in ("LA", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    if image.mode not in ("L", "RGB"):
        image = image.convert("RGB")  # palettes, ink, CIELAB: Pillow knows no good way to L
    return image if image.mode == mode else image.convert(mode)


def _png(item: Any, channels: int) -> bytes:
    file = io.BytesIO()
    _picture(item, channels).save(file, "PNG")
    return file.getvalue()


def _positive(number: Any) -> bool:
    return type(number) is int and number > 0

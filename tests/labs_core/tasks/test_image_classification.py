import base64
import contextlib
import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from labs_core.errors import LabsError
from labs_core.tasks import InvalidInput, get_task
from labs_core.tasks.image_classification import FORMATS, to_pixels

H, W = 6, 8
PARAMS = {"labels": ["cat", "dog", "owl"], "size": [H, W], "channels": 3}


def noise(*shape, dtype=np.uint8, seed=0):
    top = np.iinfo(dtype).max
    return np.random.default_rng(seed).integers(0, top + 1, shape, dtype=dtype)


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def same(got, expected, tolerance=0):
    """Whether two pictures differ by at most `tolerance` grey levels."""
    return np.abs(got.astype(int) - np.rint(expected).astype(int)).max() <= tolerance


def over_white(colour, alpha):
    share = alpha[:, :, None] / 255
    return colour * share + 255 * (1 - share)


# Modes and bit depths: a picture of the network's size, so that nothing is scaled


def test_rgb_of_the_networks_size_is_left_exactly_as_it_is():
    pixels = noise(H, W, 3)
    assert same(to_pixels(pixels, (H, W), 3), pixels)
    assert same(to_pixels(encoded(Image.fromarray(pixels), "PNG"), (H, W), 3), pixels)


@pytest.mark.parametrize("shape", [(H, W), (H, W, 1)])
def test_grey_arrays_become_one_or_three_equal_channels(shape):
    grey = noise(*shape)
    assert same(to_pixels(grey, (H, W), 1), grey.reshape(H, W, 1))
    assert same(to_pixels(grey, (H, W), 3), np.repeat(grey.reshape(H, W, 1), 3, axis=2))


def test_colour_becomes_grey_by_the_luma_of_itu_r_601():
    pixels = noise(H, W, 3)
    luma = pixels @ np.array([0.299, 0.587, 0.114])
    assert same(to_pixels(pixels, (H, W), 1), luma[:, :, None], tolerance=1)


def test_one_bit_becomes_black_and_white():
    bits = noise(H, W) > 127
    expected = np.repeat(bits[:, :, None] * 255, 3, axis=2)
    assert same(to_pixels(encoded(Image.fromarray(bits), "PNG"), (H, W), 3), expected)
    assert same(to_pixels(Image.fromarray(bits), (H, W), 3), expected)


def test_transparent_colour_lies_over_white():
    rgba = noise(H, W, 4)
    expected = over_white(rgba[:, :, :3], rgba[:, :, 3])
    assert same(to_pixels(rgba, (H, W), 3), expected, tolerance=1)
    assert same(to_pixels(encoded(Image.fromarray(rgba), "PNG"), (H, W), 3), expected, tolerance=1)


def test_transparent_grey_lies_over_white():
    la = noise(H, W, 2)
    expected = over_white(la[:, :, :1], la[:, :, 1])
    assert same(to_pixels(la, (H, W), 1), expected, tolerance=1)
    assert same(to_pixels(encoded(Image.fromarray(la), "PNG"), (H, W), 1), expected, tolerance=1)


def test_a_palette_is_looked_up_and_its_transparent_colour_is_white():
    index, colours = noise(H, W) % 5, noise(5, 3, seed=1)
    image = Image.frombytes("P", (W, H), index.tobytes())
    image.putpalette(colours.tobytes())
    assert same(to_pixels(image, (H, W), 3), colours[index])
    assert same(to_pixels(encoded(image, "PNG"), (H, W), 3), colours[index])
    cut_out = colours.copy()
    cut_out[2] = 255
    assert same(to_pixels(encoded(image, "PNG", transparency=2), (H, W), 3), cut_out[index])
    assert same(to_pixels(encoded(image, "GIF", transparency=2), (H, W), 3), cut_out[index])


def test_a_colour_that_a_png_names_transparent_is_white():
    pixels = noise(H, W, 3)
    expected = pixels.copy()
    expected[0, 0] = 255
    named = tuple(int(c) for c in pixels[0, 0])
    content = encoded(Image.fromarray(pixels), "PNG", transparency=named)
    assert same(to_pixels(content, (H, W), 3), expected)


def test_cmyk_is_ink_on_white():
    cmyk = noise(H, W, 4)
    image = Image.frombytes("CMYK", (W, H), cmyk.tobytes())
    expected = (255 - cmyk[:, :, :3].astype(float)) * (255 - cmyk[:, :, 3:].astype(float)) / 255
    assert same(to_pixels(image, (H, W), 3), expected, tolerance=1)
    assert same(to_pixels(encoded(image, "TIFF"), (H, W), 3), expected, tolerance=1)


def test_ycbcr_is_converted_as_jfif_says():
    ycc = noise(H, W, 3)
    y, cb, cr = (ycc[:, :, c].astype(float) for c in range(3))
    rgb = [
        y + 1.402 * (cr - 128),
        y - 0.344136 * (cb - 128) - 0.714136 * (cr - 128),
        y + 1.772 * (cb - 128),
    ]
    image = Image.frombytes("YCbCr", (W, H), ycc.tobytes())
    expected = np.clip(np.stack(rgb, axis=2), 0, 255)
    assert same(to_pixels(image, (H, W), 3), expected, tolerance=1)


def test_sixteen_bits_are_scaled_to_eight():
    deep = noise(H, W, dtype=np.uint16)
    deep[0, :2] = [0, 65535]
    expected = (deep / 65535 * 255)[:, :, None]
    for image in (
        Image.fromarray(deep),  # I;16
        Image.frombytes("I;16B", (W, H), deep.astype(">u2").tobytes()),
        Image.fromarray(deep.astype(np.int32)),  # I, as Pillow reads 16-bit PGM
    ):
        assert same(to_pixels(image, (H, W), 1), expected), image.mode
    for kind in ("PNG", "TIFF", "PPM"):
        content = encoded(Image.fromarray(deep), kind)
        assert same(to_pixels(content, (H, W), 1), expected), kind


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.float32])
def test_bringing_a_large_picture_to_eight_bits_takes_little_memory(kind):
    image = Image.fromarray(np.ones((1000, 1000), kind))
    tracemalloc.start()
    to_pixels(image, (H, W), 1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 9 * 1000 * 1000  # bytes: two copies of 4 a pixel, or one and the result


@pytest.mark.parametrize("scale", [1, 255])
def test_floats_are_a_share_or_a_grey_level(scale):
    share = np.random.default_rng(0).random((H, W)).astype(np.float32)
    share[0, 0] = 1
    content = encoded(Image.fromarray(share * np.float32(scale)), "TIFF")
    assert same(to_pixels(content, (H, W), 1), (share * 255)[:, :, None])


def test_floats_that_are_not_finite_are_refused():
    image = Image.fromarray(np.full((H, W), np.nan, np.float32))
    with pytest.raises(InvalidInput, match="not finite"):
        to_pixels(image, (H, W), 1)


def test_cielab_is_converted_to_colour_and_to_grey():
    middle = Image.new("LAB", (W, H), (128, 128, 128))  # L* = 50, no colour: sRGB 119
    for channels in (1, 3):
        assert same(to_pixels(middle, (H, W), channels), np.full((H, W, channels), 119), 1)


def test_a_mode_that_pillow_cannot_convert_is_named():
    with pytest.raises(InvalidInput, match="mode La"):
        to_pixels(Image.new("La", (W, H)), (H, W), 3)


@pytest.mark.parametrize("kind", FORMATS)
def test_each_format_is_read(kind):
    ramp = np.linspace(0, 255, 32, dtype=np.uint8)
    picture = np.stack(np.broadcast_arrays(ramp[:, None], ramp[None, :], ramp[:, None]), axis=2)
    options = {"quality": 95} if kind in ("JPEG", "WEBP", "AVIF") else {}
    got = to_pixels(encoded(Image.fromarray(picture), kind, **options), (32, 32), 3)
    lossy = {"JPEG": 16, "WEBP": 16, "AVIF": 16, "GIF": 30}
    assert same(got, picture, tolerance=lossy.get(kind, 0))


# Orientation

UPRIGHT = noise(6, 8, 3)
# EXIF 2.3, tag 0x0112: which side of the scene the stored row 0 and column 0 are.
STORED = {
    1: UPRIGHT,  # top, left
    2: UPRIGHT[:, ::-1],  # top, right
    3: UPRIGHT[::-1, ::-1],  # bottom, right
    4: UPRIGHT[::-1],  # bottom, left
    5: UPRIGHT.transpose(1, 0, 2),  # left, top
    6: UPRIGHT[:, ::-1].transpose(1, 0, 2),  # right, top
    7: UPRIGHT[::-1, ::-1].transpose(1, 0, 2),  # right, bottom
    8: UPRIGHT[::-1].transpose(1, 0, 2),  # left, bottom
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_a_photograph_is_turned_upright(orientation, kind):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(np.ascontiguousarray(STORED[orientation]))
    assert same(to_pixels(encoded(image, kind, exif=exif), (6, 8), 3), UPRIGHT)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_an_orientation_that_does_not_exist_and_broken_exif_are_ignored():
    exif = Image.Exif()
    exif[0x0112] = 9
    image = Image.fromarray(UPRIGHT)
    assert same(to_pixels(encoded(image, "PNG", exif=exif), (6, 8), 3), UPRIGHT)
    broken = encoded(image, "PNG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xffjunk")
    assert same(to_pixels(broken, (6, 8), 3), UPRIGHT)


# Scaling


def scaled(picture, start, length, out, axis):
    """One axis of antialiased bilinear scaling of picture[start : start + length] to `out`."""
    step = length / out
    width = max(step, 1.0)
    centres = start + (np.arange(out) + 0.5) * step
    places = np.arange(picture.shape[axis]) + 0.5
    weights = np.maximum(0, 1 - np.abs(places[None, :] - centres[:, None]) / width)
    # The filter may reach half a step past the cut, but only whole pixels that it touches count.
    weights /= weights.sum(axis=1, keepdims=True)
    return np.moveaxis(np.tensordot(weights, picture, (1, axis)), 0, axis)


@pytest.mark.parametrize("source", [(64, 64), (16, 16), (40, 64), (64, 40), (33, 57)])
def test_the_picture_covers_the_square_and_is_cut_around_its_centre(source):
    rng = np.random.default_rng(1)
    picture = rng.random((*source, 3)).cumsum(0).cumsum(1)  # smooth, so that rounding stays small
    picture = (picture / picture.max() * 255).astype(np.uint8)
    side, out = min(source), 32
    expected = scaled(picture.astype(float), (source[0] - side) / 2, side, out, 0)
    expected = scaled(expected, (source[1] - side) / 2, side, out, 1)
    assert same(to_pixels(picture, (out, out), 3), expected, tolerance=2)


def test_proportions_are_kept():
    y, x = np.mgrid[:120, :200]
    disc = np.where((y - 60) ** 2 + (x - 100) ** 2 < 40**2, 255, 0).astype(np.uint8)
    mask = to_pixels(disc, (30, 30), 1)[:, :, 0] > 127
    assert mask.any(0).sum() == mask.any(1).sum() == 20


# What is refused


def claim(side):
    """A small PNG file whose header says that it has side × side pixels."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    checked = struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    body = b"IDAT" + zlib.compress(b"\0" * 64)
    data = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return b"\x89PNG\r\n\x1a\n" + checked + data


def test_a_picture_with_too_many_pixels_is_refused_before_it_is_decoded():
    for side in (8_000, 60_000):
        with pytest.raises(InvalidInput, match="pixels") as caught:
            to_pixels(claim(side), (H, W), 3)
        assert "smaller" in caught.value.remedy


def test_pictures_with_too_many_pixels_together_are_refused_before_one_is_decoded():
    large = [claim(7_000)] * 21  # 49 million each; none could be decoded
    with pytest.raises(InvalidInput, match="more than 1000 million pixels together") as caught:
        get_task("image-classification").preprocess(large, PARAMS)
    assert caught.value.index == 20
    assert "fewer" in caught.value.remedy


def test_the_limit_is_a_parameter_and_holds_for_arrays_too():
    with pytest.raises(InvalidInput, match="8 × 6 pixels"):
        to_pixels(noise(H, W, 3), (H, W), 3, max_pixels=H * W - 1)
    to_pixels(noise(H, W, 3), (H, W), 3, max_pixels=H * W)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM"])
def test_a_truncated_picture_is_refused(kind):
    content = encoded(Image.fromarray(noise(64, 64, 3)), kind)
    for share in (0.05, 0.5, 0.9):
        with pytest.raises(InvalidInput):
            to_pixels(content[: int(len(content) * share)], (32, 32), 3)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "not a picture"),
        (b"just text, of a file among the pictures", "not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n", "not a picture"),
        (None, "NoneType is not a picture"),
        (3, "int is not a picture"),
        (np.zeros((H, W, 3), np.float32), "float32"),
        (np.zeros((H, W, 5), np.uint8), "not a picture"),
        (np.zeros((2, H, W, 3), np.uint8), "not a picture"),
        (np.zeros((0, W, 3), np.uint8), "no pixels"),
        ("photo.png", "not base64"),
    ],
)
def test_what_is_no_picture_is_refused_with_the_reason(raw, reason):
    with pytest.raises(InvalidInput, match=reason):
        to_pixels(raw, (H, W), 3)


def test_an_error_does_not_echo_the_payload():
    with pytest.raises(InvalidInput) as caught:
        to_pixels("§" * 100_000, (H, W), 3)
    assert len(str(caught.value)) < 200


@pytest.mark.filterwarnings("ignore:.*(Corrupt EXIF|Tag data|Truncated File)")
@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"]),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=20),
)
def test_damaged_bytes_give_a_picture_or_invalid_input_and_nothing_else(kind, changes):
    content = bytearray(encoded(Image.fromarray(noise(16, 16, 3)), kind))
    for at, value in changes:
        content[at % len(content)] = value
    with contextlib.suppress(InvalidInput):
        assert to_pixels(bytes(content), (H, W), 3).shape == (H, W, 3)


# The task


def test_bytes_base64_data_urls_images_and_arrays_are_the_same_picture():
    pixels = noise(H, W, 3)
    content = encoded(Image.fromarray(pixels), "PNG")
    text = base64.b64encode(content).decode()
    wrapped = base64.encodebytes(content).decode()
    items = [
        content,
        text,
        wrapped,
        f"data:image/png;base64,{text}",
        Image.fromarray(pixels),
        pixels,
    ]
    inputs = get_task("image-classification").preprocess(items, PARAMS)["pixels"]
    assert inputs.dtype == np.uint8
    assert inputs.shape == (len(items), 3, H, W)
    assert inputs.flags["C_CONTIGUOUS"]
    for got in inputs:
        assert (got == pixels.transpose(2, 0, 1)).all()


def test_a_bad_item_is_named_by_its_index():
    with pytest.raises(InvalidInput, match="Item 1") as caught:
        get_task("image-classification").preprocess([noise(H, W, 3), b"text"], PARAMS)
    assert caught.value.index == 1


def test_answers_name_the_likeliest_label_and_all_probabilities():
    probabilities = np.array([[0.25, 0.5, 0.25], [0.75, 0.125, 0.125]], np.float32)
    answers = get_task("image-classification").postprocess({"probabilities": probabilities}, PARAMS)
    assert answers == [
        {"label": "dog", "probabilities": {"cat": 0.25, "dog": 0.5, "owl": 0.25}},
        {"label": "cat", "probabilities": {"cat": 0.75, "dog": 0.125, "owl": 0.125}},
    ]


@pytest.mark.parametrize("bad", [np.zeros((2, 4)), np.zeros(3), np.array([[np.nan, 0, 1]])])
def test_outputs_that_do_not_fit_the_labels_are_an_error(bad):
    with pytest.raises(LabsError, match="model"):
        get_task("image-classification").postprocess({"probabilities": bad}, PARAMS)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_summary_of_a_picture_is_of_what_the_network_sees(channels):
    task, params = get_task("image-classification"), {**PARAMS, "channels": channels}
    inputs = task.preprocess([noise(40, 30, 3), np.full((9, 9, 3), 51, np.uint8)], params)
    noisy, plain = task.summarise(inputs, params)
    assert noisy["brightness"] != plain["brightness"] == pytest.approx(51 / 255)
    first = "mean_grey" if channels == 1 else "mean_red"
    assert noisy[first] == pytest.approx(inputs["pixels"][0, 0].mean() / 255)
    assert len(noisy) == 4 + 2 * channels


@pytest.mark.parametrize("channels", [1, 3])
def test_golden_inputs_come_back_as_the_same_pixels(channels):
    task, params = get_task("image-classification"), {**PARAMS, "channels": channels}
    items = [noise(20, 31, 3), noise(H, W), encoded(Image.fromarray(noise(9, 9, 4)), "PNG")]
    files = task.dump_inputs(items, params)
    assert all(content.startswith(b"\x89PNG") for content in files.values())
    loaded = task.load_inputs(files, params)
    before, after = (task.preprocess(x, params)["pixels"] for x in (items, loaded))
    assert (before == after).all()


def test_an_item_in_json_is_the_same_picture():
    task, item = get_task("image-classification"), noise(20, 31, 3)
    text = task.to_json(item, PARAMS)
    before, after = (task.preprocess([x], PARAMS)["pixels"] for x in (item, text))
    assert (before == after).all()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"labels": []}, "labels"),
        ({"labels": ["a", "a"]}, "two labels"),
        ({"labels": "abc"}, "labels"),
        ({"size": [0, 3]}, "size"),
        ({"size": 32}, "size"),
        ({"size": [True, 3]}, "size"),
        ({"channels": 4}, "channels"),
    ],
)
def test_bad_parameters_are_named(change, reason):
    with pytest.raises(LabsError, match=reason):
        get_task("image-classification").check_params({**PARAMS, **change})

"""One file to pixels: formats, modes, orientation, and files that are not what they seem."""

import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from kshot.data.pictures import fit, ink_high, is_grey, read_picture
from kshot.errors import UserError

RAMP = np.linspace(0, 255, 64).reshape(8, 8).round().astype(np.uint8)


def save(path, picture, **options):
    picture.save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "bmp", "gif", "tif", "pgm", "webp", "jpg", "jpeg"])
def test_every_format_gives_the_same_grey_ramp(tmp_path, suffix):
    options = {"webp": {"lossless": True}, "jpg": {"quality": 100}, "jpeg": {"quality": 100}}.get(suffix, {})
    picture = read_picture(save(tmp_path / f"a.{suffix}", Image.fromarray(RAMP), **options))
    assert is_grey(picture)
    assert np.abs(np.asarray(picture.convert("L")).astype(int) - RAMP).max() <= (2 if suffix.startswith("j") else 0)


def test_the_content_decides_not_the_name(tmp_path):
    assert np.array_equal(np.asarray(read_picture(save(tmp_path / "a.jpg", Image.fromarray(RAMP), format="PNG"))), RAMP)


def colour(mode):
    return Image.merge("RGB", [Image.new("L", (6, 4), v) for v in (250, 40, 10)]).convert(mode)


@pytest.mark.parametrize(
    ("name", "picture", "expected", "grey"),
    [
        ("1.png", Image.fromarray(RAMP >= 128), np.where(RAMP >= 128, 255, 0), True),
        ("L.png", Image.fromarray(RAMP), RAMP, True),
        ("P.png", Image.fromarray(RAMP).convert("P"), RAMP, True),
        ("RGB.png", Image.fromarray(RAMP).convert("RGB"), RAMP, True),
        ("I16.png", Image.fromarray(RAMP.astype(np.uint16) * 257), RAMP, True),
        ("I16.tif", Image.fromarray(RAMP.astype(np.uint16) * 257), RAMP, True),
        ("I32.tif", Image.fromarray(RAMP.astype(np.int32) * 257), RAMP, True),
        ("F01.tif", Image.fromarray((RAMP / 255).astype(np.float32)), RAMP, True),
        ("F255.tif", Image.fromarray(RAMP.astype(np.float32)), RAMP, True),
        ("CMYK.tif", colour("CMYK"), None, False),
        ("YCbCr.jpg", colour("YCbCr"), None, False),
        ("Pcolour.gif", colour("P"), None, False),
        ("RGB.webp", colour("RGB"), None, False),
    ],
)
def test_every_mode_becomes_8_bits(tmp_path, name, picture, expected, grey):
    got = read_picture(save(tmp_path / name, picture))
    assert got.mode in ("L", "RGB")
    assert is_grey(got) is grey
    if expected is not None:
        assert np.array_equal(np.asarray(got.convert("L")), expected)
    else:
        r, g, b = np.asarray(got).reshape(-1, 3).mean(0)
        assert r > 200
        assert max(g, b) < 90


@pytest.mark.parametrize("name", ["16.pgm", "8.pgm"])
def test_portable_greymaps_of_8_and_16_bits_are_scaled_by_their_maximum(tmp_path, name):
    deep = name == "16.pgm"
    body = (RAMP.astype(">u2") * 257).tobytes() if deep else RAMP.tobytes()
    (tmp_path / name).write_bytes(b"P5\n8 8\n%d\n" % (65535 if deep else 255) + body)
    assert np.array_equal(np.asarray(read_picture(tmp_path / name)), RAMP)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_is_white(tmp_path, mode):
    picture = Image.new(mode, (4, 4), (0,) * len(mode))  # black, fully transparent
    picture.putpixel((1, 2), (0,) * (len(mode) - 1) + (255,))
    picture.putpixel((2, 2), (0,) * (len(mode) - 1) + (128,))
    got = np.asarray(read_picture(save(tmp_path / "a.png", picture)).convert("L"))
    assert (got[0, 0], got[2, 1], got[2, 2]) == (255, 0, 127)


def test_a_transparent_colour_of_a_palette_is_white_too(tmp_path):
    picture = Image.new("P", (4, 4), 0)
    picture.putpalette([0, 0, 0, 200, 0, 0])
    picture.putpixel((0, 0), 1)
    got = np.asarray(read_picture(save(tmp_path / "a.gif", picture, transparency=0)))
    assert got[1, 1].tolist() == [255, 255, 255]
    assert got[0, 0].tolist() == [200, 0, 0]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_as_exif_says(tmp_path, orientation):
    upright = np.zeros((16, 24), np.uint8)
    upright[:8, :8] = 255  # bright in the corner top left
    undo = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: np.transpose,
        6: np.rot90,
        7: lambda a: np.rot90(np.transpose(a), 2),
        8: lambda a: np.rot90(a, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(undo[orientation](upright)))
    got = np.asarray(read_picture(save(tmp_path / "a.jpg", stored, exif=exif, quality=95)).convert("L"))
    assert got.shape == upright.shape
    assert np.abs(got.astype(int) - upright).max() < 10


def test_an_animation_is_its_first_frame(tmp_path):
    frames = [Image.new("L", (5, 5), v) for v in (10, 200)]
    got = read_picture(save(tmp_path / "a.gif", frames[0], save_all=True, append_images=frames[1:]))
    assert np.asarray(got.convert("L")).max() == 10


# ---------------------------------------------------------------- files that cannot be used


def png_header(width, height):
    ihdr = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    chunks = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (b"IHDR" + ihdr, b"IDAT")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def encoded(format, picture=None):
    file = io.BytesIO()
    (picture or Image.fromarray(np.tile(RAMP, (8, 8)))).save(file, format)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.png", b"", r"empty.png is empty \(0 bytes\): put the picture back or delete the file"),
        (
            "notes.txt",
            b"hello",
            r"notes.txt is not a picture of a known format \(PNG, .*convert it or move it elsewhere",
        ),
        ("page.png", b"<html>", "page.png is not a picture of a known format"),
        ("drawing.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n", "drawing.eps is not a picture of a known format"),
        ("cut.png", encoded("PNG")[:120], "cut.png is damaged or truncated .*replace it or delete it"),
        ("cut.jpg", encoded("JPEG")[:400], "cut.jpg is damaged or truncated"),
        ("cut.bmp", encoded("BMP")[:-300], "cut.bmp is damaged or truncated"),
        ("cut.tif", encoded("TIFF")[:-300], "cut.tif is "),
        ("zero.png", png_header(0, 5), "zero.png is "),
        (
            "giga.png",
            png_header(40_000, 40_000),
            r"giga.png is too large .*at most 64,000,000 pixels .*make it smaller",
        ),
        ("large.png", png_header(9_000, 9_000), r"large.png is too large \(9000 x 9000 pixels\)"),
        ("warns.png", png_header(10_000, 9_500), r"warns.png is too large \(10000 x 9500 pixels\)"),
        (
            "deep.tif",
            encoded("TIFF", Image.fromarray(np.array([[70_000]], np.int32))),
            "deep.tif is .*expected 0 to 65535",
        ),
        ("minus.tif", encoded("TIFF", Image.fromarray(np.array([[-1.0]], np.float32))), "minus.tif is .*from -1 to -1"),
    ],
)
def test_unusable_files_are_named_with_what_to_do(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as error:
        read_picture(path)
    assert str(path) in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"gone.png cannot be opened \(No such file or directory\): check"):
        read_picture(tmp_path / "gone.png")


def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    path = save(tmp_path / "a.png", Image.fromarray(RAMP))
    monkeypatch.setattr("pathlib.Path.open", forbidden)
    with pytest.raises(UserError, match=r"a.png cannot be opened \(Permission denied\): .*may be read"):
        read_picture(path)


def forbidden(*args):
    raise PermissionError(13, "Permission denied")


@pytest.mark.parametrize("format", ["PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM"])
def test_however_a_file_is_damaged_it_is_a_picture_or_a_clear_error(tmp_path, format):
    whole = bytearray(encoded(format, Image.fromarray(np.tile(RAMP, (2, 2))).convert("RGB")))
    random = np.random.default_rng(0)
    for k in range(60):
        data = whole[: random.integers(1, len(whole))] if k % 3 == 0 else bytearray(whole)
        for at in random.integers(0, len(data), k % 4):
            data[at] = random.integers(256)
        (tmp_path / "a").write_bytes(data)
        with contextlib.suppress(UserError):
            assert read_picture(tmp_path / "a").mode in ("L", "RGB")


# ---------------------------------------------------------------- size, shape, polarity


def test_a_wide_picture_keeps_its_proportions_on_paper_of_its_own_border():
    picture = np.full((10, 40), 240, np.uint8)
    picture[4:6, 10:30] = 0
    got = fit(Image.fromarray(picture), 20, 1)
    assert got.shape == (1, 20, 20)
    assert bool((got[0, :7] == 240).all())
    assert bool((got[0, 13:] == 240).all())
    assert got[0, 9:11].min() == 0
    assert (got < 200).sum() == 10  # the bar: 20 x 2 pixels became 10 x 1


def test_colour_and_grey_can_be_forced():
    assert fit(colour("RGB"), 6, 1).shape == (1, 6, 6)
    grey = fit(Image.fromarray(RAMP), 8, 3)
    assert all(np.array_equal(c.numpy(), RAMP) for c in grey)


@pytest.mark.parametrize("shape", [(1, 3000), (3000, 1), (1, 1), (999, 1000), (2, 3)])
def test_every_shape_fits(shape):
    got = fit(Image.fromarray(np.full(shape, 77, np.uint8)), 28, 1)
    assert got.shape == (1, 28, 28)
    assert bool((got == 77).all())


def test_enlarging_is_smooth():
    step = np.zeros((4, 4), np.uint8)
    step[:, 2:] = 200
    row = fit(Image.fromarray(step), 16, 1)[0, 8]
    assert row[0] == 0
    assert row[-1] == 200
    assert len(row.unique()) > 4


def test_a_very_large_picture_is_still_the_mean_of_its_areas():
    big = np.zeros((1280, 1280), np.uint8)
    big[:640] = 200
    assert fit(Image.fromarray(big), 4, 1)[0, :, 0].tolist() == [200, 200, 0, 0]


def page(paper, ink):
    pixels = torch.full((1, 1, 9, 9), paper, dtype=torch.uint8)
    pixels[..., 3:6, 4] = ink
    return pixels


def test_dark_ink_on_light_paper_is_inverted_and_light_on_dark_is_not():
    dark, light = page(240, 10), page(10, 240)
    assert torch.equal(ink_high(dark), 255 - dark)
    assert torch.equal(ink_high(light), light)


def test_the_majority_decides_for_all_so_that_no_picture_is_turned_alone():
    both = torch.cat([page(240, 10), page(250, 0), page(10, 240)])
    assert torch.equal(ink_high(both), 255 - both)
    other = torch.cat([page(240, 10), page(5, 200), page(10, 240)])
    assert torch.equal(ink_high(other), other)


def test_colour_is_left_alone_and_the_choice_can_be_made():
    white = page(240, 10).repeat(1, 3, 1, 1)
    assert torch.equal(ink_high(white), white)
    assert torch.equal(ink_high(white, "yes"), 255 - white)
    assert torch.equal(ink_high(page(240, 10), "no"), page(240, 10))
    with pytest.raises(UserError, match="invert must be auto, yes or no; got 'maybe'"):
        ink_high(white, "maybe")

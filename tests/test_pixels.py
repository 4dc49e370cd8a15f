"""Pixels mean what their format, transparency and colour profile say: expected values by hand, Pillow or LittleCMS."""

import contextlib
import io
import logging
import struct
import time
import warnings
import zlib

import numpy as np
import PIL
import pytest
from PIL import Image, ImageCms

from chroma import data
from chroma.data import _colour, folders

SRGB = ImageCms.createProfile("sRGB")
Image.init()
NEWER = pytest.mark.skipif(int(PIL.__version__.split(".")[0]) < 12, reason="this Pillow does not read what it writes")
AVIF = pytest.mark.skipif("AVIF" not in Image.SAVE, reason="this Pillow does not write AVIF")


@pytest.fixture
def read(tmp_path):
    """Write bytes or an image to a file, read them as 8 x 8 pixels, and return the bytes of the first pixel."""

    def write_and_read(content, name="a.png", **options):
        if isinstance(content, bytes):
            (tmp_path / name).write_bytes(content)
        else:
            content.save(tmp_path / name, **options)
        read.found = data.folder(tmp_path, 8)
        return np.round((read.found.images[0][:, 0, 0].astype(float) + 1) * 127.5).astype(int).tolist()

    read = write_and_read
    return read


def notes(read):
    return " ".join(read.found.notes)


def uniform(mode, colour, size=8):
    return Image.new(mode, (size, size), colour)


# --- TIFF: depth and photometric interpretation, written by hand after TIFF 6.0 ---------------------------------------


def tiff(raw, bits, photometric, samples=1, order="<", **tags):
    """A TIFF of 8 x 8 pixels in one strip."""
    values = {256: [8], 257: [8], 258: [bits] * samples, 259: [1], 262: [photometric], 277: [samples], 278: [8]}
    values |= {279: [len(raw)], 273: None} | {int(tag[1:]): value for tag, value in tags.items()}
    start, entries, rest = 10 + 12 * len(values) + 4, b"", b""
    place = start + sum(2 * len(value) for value in values.values() if value and len(value) > 2)
    for tag, value in sorted(values.items()):
        if value is None:
            entries += struct.pack(order + "HHII", tag, 4, 1, place)
        elif len(value) <= 2:
            entries += struct.pack(order + "HHI", tag, 3, len(value)) + struct.pack(
                order + "2H", *value, *[0] * (2 - len(value))
            )
        else:
            entries += struct.pack(order + "HHII", tag, 3, len(value), start + len(rest))
            rest += struct.pack(f"{order}{len(value)}H", *value)
    mark = b"II" if order == "<" else b"MM"
    return mark + struct.pack(order + "HIH", 42, 8, len(values)) + entries + bytes(4) + rest + raw


@pytest.mark.parametrize(
    ("content", "byte"),
    [
        (tiff(b"\xff" * 8, 1, 1), 255),
        (tiff(b"\xff" * 8, 1, 0), 0),
        (tiff(b"\xaa" * 16, 2, 1), 170),
        (tiff(b"\xaa" * 16, 2, 0), 85),
        (tiff(b"\x33" * 32, 4, 1), 51),
        (tiff(b"\x33" * 32, 4, 0), 204),
        (tiff(b"\x28" * 64, 8, 1), 40),
        (tiff(b"\x28" * 64, 8, 0), 215),
        (tiff(b"\xff" * 96, 12, 1), 255),
        (tiff(b"\x80\x08\x00" * 32, 12, 1), 127.5),  # 2048 of 4095 is 127.53
        (tiff(b"\x00\x80" * 64, 16, 1), 127.5),
        (tiff(b"\x80\x00" * 64, 16, 1, order=">"), 127.5),
        (tiff(b"\x00\x40" * 64, 16, 0), 191.25),
        (tiff(bytes(128), 16, 0), 255),
        (tiff(zlib.compress(b"\x80\x08\x00" * 32), 12, 1, _259=[8]), 127.5),
        (tiff(zlib.compress(b"\x40\x00" * 64), 16, 1, order=">", _259=[8]), 63.75),
    ],
)
def test_grey_tiffs_of_any_depth_keep_their_brightness(tmp_path, content, byte):
    (tmp_path / "a.tif").write_bytes(content)
    assert (data.image(tmp_path / "a.tif", 8)[:, 0, 0] + 1) * 127.5 == pytest.approx([byte] * 3, abs=0.05)


def test_a_white_is_zero_tiff_is_the_negative_of_a_black_is_zero_one_when_compressed_too(tmp_path):
    ramp = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    for name, photometric in (("a.tif", 1), ("b.tif", 0)):
        Image.fromarray(ramp).save(tmp_path / name, compression="tiff_lzw", tiffinfo={262: photometric})
    black, white = data.folder(tmp_path, 8).images.astype(float)
    np.testing.assert_allclose(black, -white, atol=2**-11)


@NEWER
def test_colour_tiffs_of_16_bits_and_of_ycbcr_and_cielab(read):
    assert read(tiff(struct.pack("<3H", 65535, 32768, 0) * 64, 16, 2, samples=3), "a.tif") == [255, 128, 0]
    assert read(tiff(bytes((76, 85, 255)) * 64, 8, 6, samples=3, _530=[1, 1]), "a.tif") == pytest.approx(
        [254, 0, 0], abs=1
    )
    lab = tiff(bytes((137, 81, 70)) * 64, 8, 8, samples=3)  # L* = 53.7, a* = 81, b* = 70: nearly pure red
    assert read(lab, "a.tif") == pytest.approx([255, 0, 0], abs=12)
    assert read(tiff(bytes((137, 0, 0)) * 64, 8, 8, samples=3), "a.tif") == pytest.approx([129] * 3, abs=1)


@NEWER
def test_colours_that_are_multiplied_by_alpha_are_not_multiplied_again(read):
    content = tiff(bytes((100, 60, 30, 128)) * 64, 8, 2, samples=4, _338=[1])  # ExtraSamples: associated alpha
    assert read(content, "a.tif") == pytest.approx([100 + 127, 60 + 127, 30 + 127], abs=1)
    content = tiff(bytes((60, 128)) * 64, 8, 1, samples=2, _338=[1])
    assert read(content, "a.tif") == pytest.approx([60 + 127] * 3, abs=1)


def test_a_palette_of_bytes_in_a_tiff_is_read_as_one_of_16_bits(read):
    for scale in (257, 1):
        palette = [scale * byte for byte in [200] * 256 + [100] * 256 + [50] * 256]
        assert read(tiff(bytes(64), 8, 3, _320=palette), "a.tif") == [200, 100, 50]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (tiff(b"\xff" * 64, 8, 1, _339=[2]), "pixels that are signed numbers, whose range is not known"),
        (tiff(bytes(128), 16, 1, _339=[2]), "pixels that are signed numbers, whose range is not known"),
        (tiff(bytes(256), 32, 1, _339=[3]), "pixels of mode F, whose range is not known"),
        (tiff(bytes(256), 32, 1), "pixels of mode I, whose range is not known"),
        (
            tiff(bytes(80), 10, 1),
            "a TIFF of 10 bits per sample and photometric interpretation 1, which Pillow does not",
        ),
        (
            tiff(bytes(112), 14, 1),
            "a TIFF of 14 bits per sample and photometric interpretation 1, which Pillow does not",
        ),
        (tiff(bytes(128), 16, 0, order=">"), "a TIFF of 16 bits per sample and photometric interpretation 0, which"),
        (
            tiff(bytes(384), 16, 2, samples=3, _284=[2]),
            "planes of more than 8 bits per channel, which Pillow scrambles",
        ),
        (tiff(bytes(128), 8, 1, _50706=[1, 4]), "camera raw, which Pillow does not read"),
    ],
    ids=["int8", "int16", "float32", "int32", "10 bits", "14 bits", "inverted big-endian", "planes", "DNG"],
)
def test_tiffs_whose_meaning_is_not_known_are_skipped_with_the_reason(tmp_path, content, reason):
    (tmp_path / "b.tif").write_bytes(content)
    uniform("RGB", "red").save(tmp_path / "a.png")
    ((name, why),) = data.folder(tmp_path, 8).skipped
    assert name == "b.tif"
    assert why.startswith(reason)


def test_a_tiff_that_lies_on_its_side_is_turned_once(tmp_path):
    pixels = Image.fromarray(np.arange(96, dtype=np.uint8).reshape(8, 12))
    pixels.save(tmp_path / "a.tif", tiffinfo={274: 6})
    pixels.transpose(Image.Transpose.ROTATE_270).save(tmp_path / "b.tif")
    lying, standing = data.folder(tmp_path, 8).images
    np.testing.assert_array_equal(lying, standing)


# --- PNG: depth, transparency and gamma, written by hand --------------------------------------------------------------


def png(raw_row, bits, colour_type, *chunks, size=8):
    """A PNG of `size` equal rows, with further chunks before the pixels."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">2I5B", size, size, bits, colour_type, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress((b"\0" + raw_row) * size))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunk(*c) for c in chunks) + pixels + chunk(b"IEND", b"")


def trns(*values):
    return b"tRNS", struct.pack(f">{len(values)}H", *values)


@pytest.mark.parametrize(
    ("row", "bits", "colour_type", "key", "before", "after"),
    [
        (b"\xff", 1, 0, [1], 255, 255),
        (b"\x00", 1, 0, [0], 0, 255),
        (b"\xaa" * 2, 2, 0, [2], 170, 255),
        (b"\xaa" * 2, 2, 0, [1], 170, 170),
        (b"\x33" * 4, 4, 0, [3], 51, 255),
        (b"\x33" * 4, 4, 0, [51], 51, 255),  # only the low 4 bits count (PNG, section 11.3.2.1)
        (b"\x28" * 8, 8, 0, [40], 40, 255),
        (b"\x28" * 8, 8, 0, [41], 40, 40),
        (b"\x40\x00" * 8, 16, 0, [0x4000], 64, 255),
        (b"\x40\x00" * 8, 16, 0, [0x4001], 64, 64),
        (b"\x28\x28\x28" * 8, 8, 2, [40, 40, 40], 40, 255),
        (b"\x28\x28\x28" * 8, 8, 2, [40, 40, 41], 40, 40),
        (b"\x28\x28\x28" * 8, 8, 2, [0x128] * 3, 40, 255),
        (b"\x40\x01" * 24, 16, 2, [0x4001] * 3, 64, 255),
        (b"\x40\x01" * 24, 16, 2, [0x4001, 0x4001, 0x4002], 64, 64),
    ],
)
def test_the_transparent_colour_of_a_png_is_white_at_any_depth(read, row, bits, colour_type, key, before, after):
    assert read(png(row, bits, colour_type)) == [before] * 3
    assert read(png(row, bits, colour_type, trns(*key))) == [after] * 3


def test_transparency_of_a_palette_and_of_grey(read):
    palette = b"PLTE", bytes((10, 20, 30, 200, 100, 50))
    assert read(png(b"\x00" * 8, 8, 3, palette, (b"tRNS", b"\x80"))) == pytest.approx([132, 137, 142], abs=1)
    assert read(png(b"\x01" * 8, 8, 3, palette, (b"tRNS", b"\x80"))) == [200, 100, 50]
    assert read(png(b"\x28\x80" * 8, 8, 4)) == pytest.approx([147] * 3, abs=1)
    assert read(png(b"\x28\x00\x80\x00" * 8, 16, 4)) == pytest.approx([147] * 3, abs=1)
    assert "transparent" not in notes(read)
    read(png(b"\x28\x00" * 8, 8, 4))
    assert "1 of 1 images have no pixel that is not transparent; white." in notes(read)


def test_the_low_16_bits_of_a_wide_range_are_noted(read):
    assert read(png(b"\x0f\xff" * 8, 16, 0)) == [16] * 3
    assert "16 bits per pixel but no value above 4095" in notes(read)
    assert read(png(b"\x80\x00" * 8, 16, 0)) == [128] * 3
    assert "4095" not in notes(read)


def encode_srgb(light):
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("gamma", [1.0, 1 / 1.8, 0.3])
def test_the_gamma_of_a_png_is_applied(read, gamma):
    chunk = b"gAMA", struct.pack(">I", round(gamma * 100000))
    for byte in (3, 40, 128, 255):
        expected = encode_srgb((byte / 255) ** (1 / gamma))
        assert read(png(bytes([byte] * 8), 8, 0, chunk)) == pytest.approx([expected] * 3, abs=1)
        assert read(png(bytes([byte] * 24), 8, 2, chunk)) == pytest.approx([expected] * 3, abs=1)
        assert read(png(bytes([byte] * 16), 16, 0, chunk)) == pytest.approx([expected] * 3, abs=1)
    assert "1 of 1 images have a colour profile or gamma other than that of sRGB; converted to sRGB." in notes(read)


@pytest.mark.parametrize(
    "chunks",
    [
        [(b"gAMA", struct.pack(">I", 45455))],
        [
            (b"gAMA", struct.pack(">I", 45455)),
            (b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)),
        ],
        [(b"gAMA", struct.pack(">I", 100000)), (b"sRGB", b"\0")],  # sRGB goes before gAMA
    ],
)
def test_a_png_in_srgb_is_left_as_it_is(read, chunks):
    assert read(png(b"\x28\x50\x78" * 8, 8, 2, *chunks)) == [40, 80, 120]
    assert "sRGB" not in notes(read)


def test_the_primaries_of_a_png_are_applied(read):
    """Display P3's primaries with white D65; the matrix from P3 to sRGB is that of CSS Color 4, section 10.12."""
    p3 = struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
    light = (np.array([200, 120, 60]) / 255) ** 2.2
    matrix = [[1.2249401, -0.2249404, 0], [-0.0420569, 1.0420571, 0], [-0.0196376, -0.0786361, 1.0982735]]
    expected = encode_srgb(np.array(matrix) @ light)
    chunks = (b"gAMA", struct.pack(">I", 45455)), (b"cHRM", p3)
    assert read(png(b"\xc8\x78\x3c" * 8, 8, 2, *chunks)) == pytest.approx(expected, abs=1)


@pytest.mark.parametrize(("gamma", "chromaticities"), [(0, [1] * 8), (45455, [0] * 8), (45455, [31270, 32900] * 4)])
def test_a_gamma_without_meaning_is_noted(read, gamma, chromaticities):
    chunks = (b"gAMA", struct.pack(">I", gamma)), (b"cHRM", struct.pack(">8I", *chromaticities))
    assert read(png(b"\x28\x50\x78" * 8, 8, 2, *chunks)) == [40, 80, 120]
    assert "have a colour profile or gamma that cannot be used; taken as sRGB" in notes(read)


@pytest.mark.parametrize(
    ("coding", "gamma", "chromaticities"),
    [((12, 13), None, _colour.DISPLAY_P3), ((9, 1), None, _colour.BT2020), ((1, 8), 1.0, _colour.SRGB)],
)
def test_the_coding_of_a_png_goes_before_its_gamma(read, coding, gamma, chromaticities):
    chunks = (b"cICP", bytes((*coding, 0, 1))), (b"gAMA", struct.pack(">I", 20000))
    profile = _colour.display_profile(gamma, chromaticities)
    right = by_littlecms(uniform("RGB", (40, 80, 120)), profile)
    assert read(png(b"\x28\x50\x78" * 8, 8, 2, *chunks)) == right
    assert read(png(b"\x28\x50\x78" * 8, 8, 2, (b"cICP", bytes((1, 13, 0, 1))), chunks[1])) == [40, 80, 120]


@pytest.mark.parametrize("curve", [16, 18])
def test_high_dynamic_range_is_skipped_by_name(tmp_path, curve):
    (tmp_path / "a.png").write_bytes(png(bytes(24), 8, 2, (b"cICP", bytes((9, curve, 0, 1)))))
    with pytest.raises(ValueError, match="high dynamic range, which is not converted to sRGB"):
        data.image(tmp_path / "a.png", 8)


@AVIF
def test_the_coding_of_an_avif_is_applied(read, tmp_path):
    file = io.BytesIO()
    uniform("RGB", (40, 80, 120)).save(file, "AVIF", quality=100, subsampling="4:4:4")
    content = bytearray(file.getvalue())
    place = content.index(b"colrnclx") + 8
    assert read(bytes(content), "a.avif") == pytest.approx([40, 80, 120], abs=2)
    content[place : place + 4] = struct.pack(">2H", 12, 13)
    right = by_littlecms(uniform("RGB", (40, 80, 120)), _colour.display_profile(None, _colour.DISPLAY_P3))
    assert read(bytes(content), "a.avif") == pytest.approx(right, abs=4)
    content[place : place + 4] = struct.pack(">2H", 9, 16)
    with pytest.raises(ValueError, match="high dynamic range"):
        read(bytes(content), "a.avif")


def test_the_curve_of_srgb_is_written_exactly():
    assert _colour._transform(_colour.display_profile(None, _colour.SRGB), "RGB") is None


# --- JPEG 2000 and PPM ------------------------------------------------------------------------------------------------


def jpeg2000(value, bits, boxes=b""):
    """A grey JPEG 2000 file of `bits` bits: one of 16 bits, or 8, whose header says less.

    The code stream holds the pixels minus half of the range of 16 (or 8) bits, and is read as plus half of the range
    that the header says.
    """
    full, kind = (16, np.uint16) if bits > 8 else (8, np.uint8)
    shifted = value - 2 ** (bits - 1) + 2 ** (full - 1)
    file = io.BytesIO()
    Image.fromarray(np.full((8, 8), shifted, kind)).save(file, "JPEG2000", no_jp2=True, irreversible=False)
    stream = bytearray(file.getvalue())
    stream[42] = bits - 1
    if not boxes:
        return bytes(stream)
    header = box(b"ihdr", struct.pack(">2IH4B", 8, 8, 1, bits - 1, 7, 0, 0)) + boxes
    start = box(b"jP  ", b"\r\n\x87\n") + box(b"ftyp", b"jp2 \0\0\0\0jp2 ")
    return start + box(b"jp2h", header) + box(b"jp2c", bytes(stream))


def box(kind, content):
    return struct.pack(">I4s", 8 + len(content), kind) + content


@pytest.mark.parametrize("bits", [2, 4, 7, 8, 9, 10, 12, 14, 15, 16])
def test_jpeg_2000_of_any_depth_keeps_its_brightness(read, bits):
    white = 2**bits - 1
    grey = box(b"colr", struct.pack(">3BI", 1, 0, 0, 17))
    for value in (0, white // 3, white):
        assert read(jpeg2000(value, bits), "a.j2k") == pytest.approx([255 * value / white] * 3, abs=0.5)
        if bits == 9:  # for which Pillow makes 8 of them, if it is in boxes
            with pytest.raises(ValueError, match="9 bits per channel"):
                read(jpeg2000(value, bits, grey), "a.j2k")
            continue
        assert read(jpeg2000(value, bits, grey), "a.j2k") == pytest.approx([255 * value / white] * 3, abs=0.5)


def test_channels_of_different_depths_are_skipped(tmp_path):
    file = io.BytesIO()
    uniform("RGB", "white").save(file, "JPEG2000", no_jp2=True)
    stream = bytearray(file.getvalue())
    stream[45] = 5
    (tmp_path / "a.j2k").write_bytes(stream)
    with pytest.raises(ValueError, match="channels of 6 and 8 bits"):
        data.image(tmp_path / "a.j2k", 8)


def test_a_colour_space_of_jpeg_2000_that_pillow_takes_for_rgb_is_skipped(read):
    lab = box(b"colr", struct.pack(">3BI", 1, 0, 0, 14))
    with pytest.raises(ValueError, match="colour space 14 of JPEG 2000, which Pillow does not read"):
        read(jpeg2000(100, 8, lab), "a.jp2")


def test_jpeg_2000_in_colour_of_more_than_8_bits_is_skipped_for_pillow_wraps_its_white(tmp_path):
    file = io.BytesIO()
    uniform("RGB", "white").save(file, "JPEG2000", no_jp2=True, irreversible=True, mct=0, num_resolutions=1)
    stream = bytearray(file.getvalue())
    stream[42:51:3] = b"\x0b" * 3  # 12 bits
    assert Image.open(io.BytesIO(stream)).getpixel((3, 3)) == (0, 0, 0)
    (tmp_path / "a.j2k").write_bytes(stream)
    with pytest.raises(ValueError, match="JPEG 2000 of 12 bits per channel, of which Pillow makes white black"):
        data.image(tmp_path / "a.j2k", 8)


def test_the_profile_of_a_jpeg_2000_file_is_used(read):
    profile = _colour.display_profile(1.0, _colour.SRGB, grey=True)
    content = jpeg2000(128, 8, box(b"colr", b"\2\0\0" + profile))
    assert read(content, "a.jp2") == pytest.approx([encode_srgb(128 / 255)] * 3, abs=1)


def test_a_ppm_of_any_range_keeps_its_brightness(read):
    for largest in (100, 1000, 65535):
        size = 1 if largest < 256 else 2
        value = (largest // 4).to_bytes(size, "big")
        assert read(b"P5 8 8 %d\n" % largest + value * 64, "a.pgm") == pytest.approx([63.75] * 3, abs=1)
        assert read(b"P6 8 8 %d\n" % largest + value * 192, "a.pgm") == pytest.approx([63.75] * 3, abs=1)


# --- colour profiles: the right value is that of LittleCMS ------------------------------------------------------------

P3 = _colour.DISPLAY_P3


def by_littlecms(picture, profile):
    opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    return list(ImageCms.profileToProfile(picture, opened, SRGB, outputMode="RGB").getpixel((0, 0)))


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.webp", pytest.param("a.avif", marks=AVIF)])
def test_colours_of_an_embedded_profile_are_converted(read, name):
    profile = _colour.display_profile(0.45455, P3)
    options = {"lossless": True} if name == "a.webp" else {"quality": 100, "subsampling": 0} if name == "a.jpg" else {}
    assert read(uniform("RGB", (200, 120, 60)), name, icc_profile=profile, **options) == pytest.approx(
        by_littlecms(uniform("RGB", (200, 120, 60)), profile), abs=3 if name == "a.avif" else 1
    )
    assert "other than that of sRGB; converted to sRGB" in notes(read)


def test_colours_of_a_profile_are_converted_in_palettes_grey_images_and_under_alpha(read):
    profile = _colour.display_profile(1.0, P3)
    right = by_littlecms(uniform("RGB", (200, 120, 60)), profile)
    assert read(uniform("RGB", (200, 120, 60)).quantize(2), icc_profile=profile) == right
    assert read(uniform("RGBA", (200, 120, 60, 255)), icc_profile=profile) == right
    half = [128 / 255 * value + 127 for value in right]
    assert read(uniform("RGBA", (200, 120, 60, 128)), icc_profile=profile) == pytest.approx(half, abs=1)
    grey = by_littlecms(uniform("RGB", (50, 50, 50)), profile)
    assert read(uniform("L", 50), icc_profile=profile) == grey
    assert read(png(b"\x32\x32" * 8, 16, 0, iccp(profile))) == pytest.approx(grey, abs=1)


def iccp(profile):
    return b"iCCP", b"name\0\0" + zlib.compress(profile)


def test_a_grey_profile_is_used(read):
    profile = _colour.display_profile(1 / 1.8, _colour.SRGB, grey=True)
    right = by_littlecms(uniform("L", 100), profile)
    assert right == pytest.approx([encode_srgb((100 / 255) ** 1.8)] * 3, abs=1.5)
    assert read(uniform("L", 100), icc_profile=profile) == pytest.approx(right, abs=1)
    assert read(uniform("LA", (100, 255)), icc_profile=profile) == pytest.approx(right, abs=1)
    assert read(png(b"\x64\x64" * 8, 16, 0, iccp(profile))) == pytest.approx(right, abs=1)


def test_the_profile_of_srgb_changes_nothing_and_is_not_noted(read):
    profile = ImageCms.ImageCmsProfile(SRGB).tobytes()
    for colour in [(0, 0, 0), (1, 2, 3), (200, 120, 60), (255, 255, 255)]:
        assert read(uniform("RGB", colour), icc_profile=profile) == list(colour)
    assert "profile" not in notes(read) and "sRGB" not in notes(read)


@pytest.mark.parametrize(
    ("mode", "colour", "profile"),
    [
        ("RGB", (200, 120, 60), b"no profile at all"),
        ("RGB", (200, 120, 60), _colour.display_profile(1.0, P3)[:200]),
        ("RGB", (200, 120, 60), _colour.display_profile(1.0, P3, grey=True)),
        ("L", 100, b"no profile at all"),
    ],
    ids=["not a profile", "cut off", "for grey pixels", "grey, not a profile"],
)
def test_a_profile_that_cannot_be_used_is_noted_and_the_colours_are_kept(read, mode, colour, profile):
    expected = list(colour) if mode == "RGB" else [colour] * 3
    assert read(uniform(mode, colour), icc_profile=profile) == expected
    assert "1 of 1 images have a colour profile or gamma that cannot be used; taken as sRGB." in notes(read)


def cmyk_profile():
    """A profile for print colours, whose table is light = 1 - ink for each of cyan, magenta and yellow, and black."""
    corners = np.array(np.meshgrid(*[[0, 1]] * 4, indexing="ij")).reshape(4, -1).T
    lightness = ((1 - corners[:, :3].mean(1)) * (1 - corners[:, 3]))[:, None] * [1, 0, 0] + [0, 0.5, 0.5]
    table = np.rint(lightness * [65280, 65536, 65536]).clip(0, 65535).astype(">u2").tobytes()
    identity = struct.pack(">9i", *(65536 if i % 4 == 0 else 0 for i in range(9)))
    curve = struct.pack(">2H", 0, 65535)
    lut = b"mft2" + bytes(4) + struct.pack(">4B", 4, 3, 2, 0) + identity + struct.pack(">2H", 2, 2) + curve * 4 + table
    lut += curve * 3
    header = struct.pack(">I4xI", 144 + len(lut), 0x02400000) + b"prtrCMYKLab " + bytes(12) + b"acsp" + bytes(28)
    header += struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + struct.pack(">I4s2I", 1, b"A2B0", 144, len(lut)) + lut


def test_print_colours_with_a_profile_are_those_of_littlecms(read):
    profile, picture = cmyk_profile(), uniform("CMYK", (60, 120, 180, 20))
    assert read(picture, "a.tif", icc_profile=profile) == by_littlecms(picture, profile)
    assert "other than that of sRGB" in notes(read)
    assert read(picture, "a.tif") == list(picture.convert("RGB").getpixel((0, 0)))
    assert "print colours (CMYK) and no colour profile" in notes(read)


def test_inks_of_a_jpeg_are_inverted_as_adobe_writes_them(tmp_path):
    uniform("CMYK", (0, 0, 0, 0), 16).save(tmp_path / "a.jpg", quality=100)
    content = (tmp_path / "a.jpg").read_bytes()
    start = content.index(b"\xff\xee\x00\x0eAdobe")
    (tmp_path / "b.jpg").write_bytes(content[:start] + content[start + 16 :])
    found = data.folder(tmp_path, 16)
    assert found.images[0].min() == 1
    assert any(
        "without Adobe's marker; taken as inverted, as Adobe writes them (b.jpg)" in note for note in found.notes
    )


def test_adobe_rgb_is_recognised_by_exif_as_cameras_write_it(tmp_path):
    details = struct.pack("<H2HI2H2H2II", 2, 0xA001, 3, 1, 65535, 0, 0xA005, 4, 1, 56, 0)  # uncalibrated
    exif = b"Exif\0\0II*\0" + struct.pack("<IH2H3I", 8, 1, 0x8769, 4, 1, 26, 0) + details
    exif += struct.pack("<H2HI4sI", 1, 1, 2, 4, b"R03", 0)  # interoperability
    picture = uniform("RGB", (60, 180, 60), 16)
    picture.save(tmp_path / "a.jpg", quality=100, subsampling=0, exif=exif)
    adobe = _colour.display_profile(256 / 563, _colour.ADOBE)
    right = np.array(by_littlecms(picture, adobe)) / 127.5 - 1
    np.testing.assert_allclose(data.folder(tmp_path, 16).images[0][:, 0, 0], right, atol=3 / 127.5)
    assert abs(right[0] - (60 / 127.5 - 1)) > 0.1


def test_one_image_alone_is_read_as_in_a_folder_and_its_notes_are_logged(tmp_path, caplog):
    uniform("RGB", (200, 120, 60)).save(tmp_path / "a.png", icc_profile=b"nothing")
    with caplog.at_level(logging.WARNING):
        alone = data.image(tmp_path / "a.png", 8)
    assert caplog.messages == [f"{tmp_path / 'a.png'} has a colour profile or gamma that cannot be used; taken as sRGB"]
    np.testing.assert_allclose(alone, data.folder(tmp_path, 8).images[0], atol=2**-12)


# --- EXIF, frames, damage, memory -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0II*\0\x08\0\0\0\xff\xff",
        b"Exif\0\0nonsense",
        b"Exif\0\0",
        b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\x63\0\0",
    ],
)
def test_damaged_exif_data_do_not_cost_an_image(tmp_path, exif):
    uniform("RGB", (200, 120, 60), 16).save(tmp_path / "a.jpg", quality=100, subsampling=0, exif=exif)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # as under python -W error
        found = data.folder(tmp_path, 16)
    assert found.skipped == ()
    np.testing.assert_allclose((found.images[0][:, 0, 0] + 1) * 127.5, [200, 120, 60], atol=2)


def test_exif_that_cannot_be_read_is_noted(read):
    read(uniform("RGB", "red"), exif=b"Exif\0\0nonsense")
    assert "1 of 1 images have damaged EXIF data; used without turning." in notes(read)


@pytest.mark.parametrize(
    "name",
    ["a.gif", "a.webp", "a.png", "a.tif", pytest.param("a.avif", marks=AVIF), pytest.param("a.mpo", marks=NEWER)],
)
def test_of_several_frames_or_pages_the_first_is_used_and_noted(read, name):
    frames = [uniform("RGB", colour) for colour in ("red", "green", "blue")]
    options = {"lossless": True} if name == "a.webp" else {"quality": 100} if name in ("a.avif", "a.mpo") else {}
    assert read(frames[0], name, save_all=True, append_images=frames[1:], **options) == pytest.approx(
        [255, 0, 0], abs=3
    )
    assert "1 of 1 images have several frames or pages; the first is used." in notes(read)


def test_more_pixels_than_pillow_allows_are_skipped_by_name(tmp_path):
    uniform("RGB", "red").save(tmp_path / "a.png")
    (tmp_path / "bomb.png").write_bytes(
        png(bytes(8), 8, 0).replace(struct.pack(">2I", 8, 8), struct.pack(">2I", 60000, 60000))
    )
    content = bytearray((tmp_path / "bomb.png").read_bytes())
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    (tmp_path / "bomb.png").write_bytes(content)
    assert data.folder(tmp_path, 8).skipped == (
        ("bomb.png", f"more than {2 * Image.MAX_IMAGE_PIXELS} pixels, the limit of Pillow (Image.MAX_IMAGE_PIXELS)"),
    )


@pytest.mark.parametrize("size", [256, 257, 258, 1000])
def test_the_mean_of_many_white_pixels_is_white(tmp_path, size):
    uniform("RGB", "white", size).save(tmp_path / "a.png")
    assert data.image(tmp_path / "a.png", 1).tolist() == [[[1]], [[1]], [[1]]]


FORMATS = {"JPEG": ".jpg", "PNG": ".png", "GIF": ".gif", "WEBP": ".webp", "TIFF": ".tif", "BMP": ".bmp"}
FORMATS |= {"JPEG2000": ".jp2", "PPM": ".ppm", "TGA": ".tga"} | ({"AVIF": ".avif"} if "AVIF" in Image.SAVE else {})


@pytest.mark.parametrize("format", FORMATS)
def test_truncated_files_are_skipped_by_name(tmp_path, rng, format):
    uniform("RGB", "red", 64).save(tmp_path / "a.png")
    file = tmp_path / f"b{FORMATS[format]}"
    Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(file, format)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    assert [name for name, _ in data.folder(tmp_path, 64).skipped] == [file.name]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_no_damage_of_a_file_raises_or_goes_unlisted(tmp_path, rng):
    """500 files of 8 formats with random bytes replaced: each is read or skipped with a reason."""
    picture = Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8))
    for number in range(500):
        format = list(FORMATS)[number % 8]
        file = tmp_path / f"{number:03d}{FORMATS[format]}"
        options = {"exif": Image.Exif()} if format in ("JPEG", "WEBP") else {}
        if number % 16 < 8 and format in ("JPEG", "PNG", "TIFF", "WEBP"):
            options["icc_profile"] = _colour.display_profile(1.0, P3)
        picture.save(file, format, **options)
        content = bytearray(file.read_bytes())
        for place in rng.integers(0, len(content) if number % 3 else min(len(content), 60), rng.integers(1, 8)):
            content[place] = rng.integers(0, 256)
        file.write_bytes(content)
    uniform("RGB", "red", 16).save(tmp_path / "good.png")
    found = data.folder(tmp_path, 16)
    assert len(found.names) + len(found.skipped) == 501
    assert all(reason for _, reason in found.skipped)
    assert np.isfinite(found.images).all() and np.abs(found.images).max() <= 1
    assert 100 < len(found.skipped) < 500


def test_the_pixels_in_memory_are_bounded_whatever_the_number_of_threads(tmp_path, monkeypatch):
    """Of images of 32 x 32 at most two are in memory, and one that is larger than the bound is alone."""
    sizes = [32] * 8 + [100] + [32] * 8
    for i, size in enumerate(sizes):
        uniform("RGB", "red", size).save(tmp_path / f"{i:02d}.png")
    in_memory, met = [], []

    class Watched(folders._Budget):
        @contextlib.contextmanager
        def reserve(self, pixels):
            with super().reserve(pixels):
                in_memory.append(pixels)
                time.sleep(0.003)  # for the other threads to come as far
                met.append(tuple(in_memory))
                yield
                in_memory.remove(pixels)

    monkeypatch.setattr(folders, "_Budget", Watched)
    monkeypatch.setattr(folders, "PIXELS_IN_MEMORY", 2 * 32 * 32)
    assert len(data.folder(tmp_path, 32).names) == len(sizes)
    assert set(met) <= {(32 * 32,), (32 * 32, 32 * 32), (100 * 100,)}
    assert (32 * 32, 32 * 32) in met

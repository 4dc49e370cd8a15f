"""Any folder of images becomes an array: centred, averaged, and nothing left out in silence."""

import numpy as np
import pytest
from PIL import Image

from chroma import data
from chroma.data import folders

ROUNDING = 2**-12  # of half precision, for numbers below 1
BYTE = 1 / 127.5  # one step of a byte in [-1, 1]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def noise(rng, height, width):
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def put(folder, name, pixels, **options):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(path, **options)


def constant(image):
    """The colour, 0 to 255, of an image (3, H, W) that is of one colour."""
    assert np.ptp(image, axis=(1, 2)).max() == 0
    return np.round((image[:, 0, 0].astype(float) + 1) * 127.5).astype(int).tolist()


def test_an_image_becomes_the_mean_of_its_centre_in_half_precision(tmp_path, rng):
    pixels = noise(rng, 218, 178)  # as CelebA's: 2 x 64 = 128 is the largest multiple that fits
    put(tmp_path, "a.png", pixels)
    found = data.folder(tmp_path, 64)
    assert found.images.dtype == np.float16
    assert found.images.shape == (1, 3, 64, 64)
    box = (178 - 128) // 2, (218 - 128) // 2, (178 + 128) // 2, (218 + 128) // 2
    pillows = np.asarray(Image.fromarray(pixels).crop(box).reduce(2)) / 127.5 - 1
    np.testing.assert_allclose(found.images[0], np.moveaxis(pillows, -1, 0), atol=BYTE / 2 + ROUNDING)  # whole bytes
    exact = pixels[45:173, 25:153].reshape(64, 2, 64, 2, 3).mean((1, 3)) / 127.5 - 1
    np.testing.assert_allclose(found.images[0], np.moveaxis(exact, -1, 0), atol=ROUNDING + 1e-6)


def test_half_precision_tells_all_bytes_apart(tmp_path):
    every = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)
    put(tmp_path, "bytes.png", every)
    again = np.round((data.folder(tmp_path, 16).images[0].astype(float) + 1) * 127.5)
    np.testing.assert_array_equal(again, np.moveaxis(every, -1, 0))


def test_celeba_reads_as_it_is_handed_out(tmp_path, rng):
    celeba = tmp_path / "img_align_celeba"
    for i in range(1, 6):
        low = Image.fromarray(noise(rng, 6, 5)).resize((178, 218), Image.Resampling.BICUBIC)
        put(celeba, f"{i:06d}.jpg", low, quality=95)
    found = data.load(celeba, size=64)
    assert found.names.tolist() == [f"{i:06d}.jpg" for i in range(1, 6)]
    assert found.images.shape == (5, 3, 64, 64)
    assert (found.skipped, found.notes) == ((), ())


def test_images_are_found_in_any_depth_by_any_common_suffix_in_the_order_of_their_names(tmp_path, rng):
    names = ["B/c.PNG", "B/d/e.jpeg", "a.JPG", "f.webp", "g.bmp", "h.gif", "i.tif", "j.TIFF"]
    for name in reversed(names):
        put(tmp_path, name, noise(rng, 8, 8))
    (tmp_path / "notes.txt").write_text("not an image, and not called one")
    found = data.folder(str(tmp_path), 8)
    assert found.names.tolist() == names
    assert found.skipped == ()


def test_a_folder_larger_than_a_block_keeps_its_order(tmp_path, monkeypatch):
    for i in range(25):
        put(tmp_path, f"{i:02d}.png", np.full((2, 2, 3), i, np.uint8))
    for skipped in (4, 5, 17):
        (tmp_path / f"{skipped:02d}.png").write_text("not an image")
    monkeypatch.setattr(folders, "BLOCK", 10)
    found = data.folder(tmp_path, 2)
    used = [i for i in range(25) if i not in (4, 5, 17)]
    assert found.names.tolist() == [f"{i:02d}.png" for i in used]
    assert [constant(image)[0] for image in found.images] == used


def test_files_that_cannot_be_used_are_skipped_and_listed_with_their_reasons(tmp_path, rng):
    for name in ("1.png", "3.jpg", "5.png"):
        put(tmp_path, name, noise(rng, 20, 20))
    (tmp_path / "0.jpg").write_text("<html>404</html>")
    content = (tmp_path / "3.jpg").read_bytes()
    (tmp_path / "3.jpg").write_bytes(content[: len(content) // 2])
    put(tmp_path, "4.png", noise(rng, 30, 7))
    (tmp_path / "6.png").touch()
    found = data.folder(tmp_path, 8)
    assert found.names.tolist() == ["1.png", "5.png"]
    assert len(found.images) == 2
    reasons = dict(found.skipped)
    assert reasons.keys() == {"0.jpg", "3.jpg", "4.png", "6.png"}
    assert reasons["0.jpg"] == reasons["6.png"] == "not an image"
    assert "truncated" in reasons["3.jpg"].lower()
    assert reasons["4.png"] == "7 x 30 pixels, smaller than 8 x 8"
    assert len(found.notes) == 1
    assert found.notes[0].startswith("Skipped 4 of 6 files: 0.jpg (not an image), 3.jpg (")
    assert found.notes[0].endswith("4.png (7 x 30 pixels, smaller than 8 x 8) and 1 more.")


def test_what_a_user_should_know_is_noted(tmp_path, rng):
    put(tmp_path, "grey.png", noise(rng, 9, 9)[..., 0])
    alone = data.folder(tmp_path, 8)
    assert alone.notes == (
        "There is only one image: a model can do no more than memorise it.",
        "1 of 1 images are grey; they are used with three equal channels.",
    )
    assert (alone.images[0] == alone.images[0, :1]).all()
    put(tmp_path, "colour.png", noise(rng, 12, 8))
    assert data.folder(tmp_path, 8).notes == (
        "1 of 2 images are grey; they are used with three equal channels.",
        "The images are of 2 different sizes; each is cropped to its own centre.",
    )


def test_transparent_images_are_put_on_white(tmp_path):
    half_red = np.full((8, 8, 4), (200, 0, 0, 128), np.uint8)
    put(tmp_path, "a.png", half_red)
    put(tmp_path, "b.png", np.zeros((8, 8, 4), np.uint8))
    palette = Image.new("P", (8, 8), 3)
    palette.putpalette([10, 20, 30] * 256)
    put(tmp_path, "c.gif", palette, transparency=3)
    put(tmp_path, "d.png", Image.new("LA", (8, 8), (0, 0)))
    over, *empty = (constant(image) for image in data.folder(tmp_path, 8).images)
    # white shows through by 127/255: the arithmetic of compositing, to a byte
    np.testing.assert_allclose(over, [200 * 128 / 255 + 127, 127, 127], atol=1)
    assert empty == [[255, 255, 255]] * 3


def test_images_are_upright_as_their_exif_says(tmp_path, rng):
    pixels = Image.fromarray(noise(rng, 8, 12))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    put(tmp_path, "lying.png", pixels, exif=exif)
    put(tmp_path, "standing.png", pixels.transpose(Image.Transpose.ROTATE_270))
    lying, standing = data.folder(tmp_path, 4).images
    np.testing.assert_array_equal(lying, standing)


def test_sixteen_bits_a_pixel_keep_their_brightness(tmp_path):
    put(tmp_path, "deep.png", np.full((8, 8), 0x8040, np.uint16))
    assert constant(data.folder(tmp_path, 8).images[0]) == [0x80] * 3


def test_pixels_of_an_unknown_range_are_skipped(tmp_path):
    put(tmp_path, "depth.tiff", np.ones((8, 8), np.float32))
    put(tmp_path, "fine.png", np.zeros((8, 8, 3), np.uint8))
    assert data.folder(tmp_path, 8).skipped == (("depth.tiff", "pixels of mode F, whose range is not known"),)


def test_print_colours_become_screen_colours(tmp_path):
    put(tmp_path, "print.jpg", Image.new("CMYK", (8, 8), (0, 0, 0, 0)), quality=100)
    assert constant(data.folder(tmp_path, 8).images[0]) == [255, 255, 255]


def test_a_path_that_is_no_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"path must be a folder of images; got .*nowhere"):
        data.folder(tmp_path / "nowhere", 8)


def test_a_folder_without_images_is_refused_with_the_number_of_its_other_files(tmp_path):
    for name in ("a.txt", "b.npz"):
        (tmp_path / name).touch()
    with pytest.raises(ValueError, match=r"path: none of the 2 files in .* is an image; use a folder with \.bmp"):
        data.folder(tmp_path, 8)


def test_a_folder_of_which_nothing_can_be_used_is_refused_with_the_first_reasons(tmp_path, rng):
    put(tmp_path, "a.png", noise(rng, 7, 7))
    (tmp_path / "b.png").touch()
    reasons = r"none of the 2 images in .* can be used: a\.png \(7 x 7 pixels, .*\), b\.png \(not an image\)"
    with pytest.raises(ValueError, match=reasons):
        data.folder(tmp_path, 8)


@pytest.mark.parametrize("size", [0, -8, 8.0, True, "8"])
def test_a_size_that_is_no_whole_number_of_pixels_is_refused(tmp_path, rng, size):
    put(tmp_path, "a.png", noise(rng, 8, 8))
    with pytest.raises(ValueError, match="size must be a whole number >= 1"):
        data.folder(tmp_path, size)


def test_a_name_that_is_neither_bundled_nor_a_folder_is_refused():
    with pytest.raises(
        ValueError, match="unknown data set 'faces': use 'drawings', 'photographs', 'scenes' or the path"
    ):
        data.load("faces")


def test_a_name_that_is_a_data_set_and_a_folder_is_asked_back(tmp_path, monkeypatch, rng):
    put(tmp_path, "scenes/a.png", noise(rng, 8, 8))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"'scenes' is a bundled data set and a folder here: use './scenes' for the"):
        data.load("scenes", size=8)
    assert data.load("./scenes", size=8).names.tolist() == ["a.png"]
    assert data.load(tmp_path / "scenes", size=8).names.tolist() == ["a.png"]
    with pytest.raises(
        ValueError, match=r"'scenes/a\.png' is a file: use the path of a folder, or chroma\.data\.image"
    ):
        data.load("scenes/a.png", size=8)

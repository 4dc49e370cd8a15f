"""The bundled images are what was bundled, aligned, credited and reproducible; anything else is refused by name."""

import csv
import hashlib
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from chroma import data
from chroma.data import emoji, photos
from chroma.data.store import decode_image, read_bundle

STYLES = ["fluent_3d", "fluent_flat", "fluent_hc", "noto", "noto_line"]


@pytest.fixture
def bundle(tmp_path, monkeypatch):
    """A copy of the bundle that a test may spoil: the opened files are remembered by folder."""
    copy = tmp_path / "bundled"
    shutil.copytree(data.FOLDER, copy)
    monkeypatch.setattr(photos, "FOLDER", copy)
    monkeypatch.setattr(emoji, "FOLDER", copy)
    return copy


@pytest.fixture(scope="module")
def drawings():
    return data.load("drawings", size=16)


@pytest.fixture(scope="module")
def crops():
    return data.load("photographs", crops=400)


def test_every_bundled_file_is_on_record_with_its_sha256_and_size():
    record = json.loads((data.FOLDER / "CHECKSUMS.json").read_text())
    for name, entry in record.items():
        content = (data.FOLDER / name).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (entry["sha256"], entry["bytes"]), name
    files = {path.relative_to(data.FOLDER).as_posix() for path in data.FOLDER.rglob("*") if path.is_file()}
    assert files == record.keys() | {"CHECKSUMS.json"}


def test_the_bundle_is_under_25_megabytes():
    assert sum(path.stat().st_size for path in data.FOLDER.rglob("*") if path.is_file()) < 25e6


@pytest.mark.parametrize("file", ["drawings.npz", "photographs.npz"])
def test_bundled_files_hold_no_pickle(file):
    with np.load(data.FOLDER / file, allow_pickle=False) as arrays:
        for name in arrays:
            assert arrays[name].dtype != object, name


def test_images_are_float32_from_minus_one_to_one(drawings, crops):
    for images in (drawings.images, crops.images, data.photograph()[None]):
        assert images.dtype == np.float32
        assert images.shape[1] == 3
        assert images.min() >= -1
        assert images.max() <= 1
        assert images.std() > 0.3


def test_each_content_is_drawn_once_in_each_style(drawings):
    contents = drawings.contents.reshape(-1, len(STYLES))
    assert (contents == contents[:, :1]).all()
    assert len(set(contents[:, 0])) == len(contents) > 1000
    assert (drawings.styles.reshape(-1, len(STYLES)) == STYLES).all()


def test_the_same_content_looks_similar_in_the_two_styles_that_share_a_layout(drawings):
    grey = drawings.images.mean(1).reshape(len(drawings.images), -1)
    solid, flat = (grey[drawings.styles == style] for style in ("fluent_3d", "fluent_flat"))
    solid, flat = solid - solid.mean(0), flat - flat.mean(0)

    def correlation(a, b):
        return (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())

    assert correlation(solid, flat) > 0.8
    # other contents' drawings share nothing once the mean drawing is taken away: 1/sqrt(1000) by chance
    assert abs(correlation(solid, np.roll(flat, len(flat) // 2, axis=0))) < 0.1


def test_no_drawing_is_given_to_two_contents_or_is_empty():
    store = read_bundle(data.FOLDER, "drawings.npz")
    seen = set()
    for i in range(len(store["offset"]) - 1):
        pixels = decode_image(store, i)
        assert pixels.min() < 250, i  # the palest are clouds
        drawing = i % len(STYLES), pixels.tobytes()
        assert drawing not in seen, i
        seen.add(drawing)


def test_drawings_come_in_the_order_asked_for_with_their_prompts():
    asked = data.load("drawings", size=32, styles=["noto_line", "fluent_3d"], contents=["rose", "lion"])
    assert asked.prompts == [
        "a line drawing of rose",
        "a glossy 3D render of rose",
        "a line drawing of lion",
        "a glossy 3D render of lion",
    ]
    alone = data.load("drawings", size=32, styles="fluent_3d", contents="lion")
    np.testing.assert_array_equal(asked.images[3], alone.images[0])
    assert list(alone.phrases) == ["fluent_3d"]


@pytest.mark.parametrize("size", [32, 8, 1])
def test_smaller_drawings_are_means_of_the_large_ones(size):
    large, small = (data.load("drawings", size=n, contents=["lion", "rose"]).images for n in (64, size))
    k = 64 // size
    means = large.astype(np.float64).reshape(-1, 3, size, k, size, k).mean((3, 5))
    np.testing.assert_allclose(small, means, atol=1e-6)  # a few roundings of float32


def test_a_crop_is_the_mean_of_the_pixels_in_its_box(crops):
    store = read_bundle(data.FOLDER, "photographs.npz")
    names = store["name"].tolist()
    for image, name, (left, top, right, bottom) in list(zip(crops.images, crops.names, crops.boxes, strict=True))[::40]:
        pixels = Image.fromarray(decode_image(store, names.index(name)))
        k = (right - left) // 64
        assert (right - left, bottom - top) == (64 * k, 64 * k)
        assert k >= 2
        reduced = np.asarray(pixels.crop((left, top, right, bottom)).reduce(k)) / 127.5 - 1
        np.testing.assert_allclose(image, np.moveaxis(reduced, -1, 0), atol=1 / 127.5)  # Pillow's are bytes


def test_the_seed_decides_the_crops_and_more_crops_go_on_where_fewer_end(crops):
    again = data.load("photographs", crops=30)
    np.testing.assert_array_equal(crops.images[:30], again.images)
    np.testing.assert_array_equal(crops.names[:30], again.names)
    other = data.load("photographs", crops=30, seed=1)
    assert (again.names != other.names).any()


def test_the_photographs_take_turns(crops):
    counts = {name: int((crops.names == name).sum()) for name in crops.names}
    assert set(counts.values()) <= {400 // len(data.photograph_names()), 400 // len(data.photograph_names()) + 1}


def test_crops_are_not_empty_sky(crops):
    assert (crops.images.mean(1).std((1, 2)) >= photos.BLANK).mean() > 0.99


def test_crops_have_the_flat_band_energies_of_natural_images(crops):
    # |D^m x - U D^(m+1) x|^2 per pixel varies by less than 5 over 32 times in scale: a 1/f^2 spectrum would give 1
    energies, x = [], crops.images.astype(np.float64)
    while x.shape[-1] > 2:
        half = x.reshape(*x.shape[:-2], x.shape[-2] // 2, 2, x.shape[-1] // 2, 2).mean((-3, -1))
        energies.append(np.square(x - half.repeat(2, -1).repeat(2, -2)).mean())
        x = half
    assert max(energies) < 5 * min(energies)


def test_a_photograph_is_the_mean_of_its_centre_at_any_size():
    complete = data.photograph(size=256).astype(np.float64)
    np.testing.assert_allclose(data.photograph(size=64), complete.reshape(3, 64, 4, 64, 4).mean((2, 4)), atol=1e-6)
    centre = complete[:, 28:228, 28:228].reshape(3, 100, 2, 100, 2).mean((2, 4))  # 100 goes twice into 256
    np.testing.assert_allclose(data.photograph(size=100), centre, atol=1e-6)


def test_every_photograph_has_an_author_a_permissive_licence_and_a_source():
    with open(data.FOLDER / "CREDITS.tsv", encoding="utf8", newline="") as table:
        rows = list(csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE))
    assert [row["name"] for row in rows] == data.photograph_names()
    for row in rows:
        assert data.credit(row["name"]) == f"{row['author']}, {row['licence']}, {row['source']}"
        assert all(row.values()), row
        assert row["licence"] in {"Public-Domain", "CC0-1.0", "CC-BY-2.0", "CC-BY-3.0", "CC-BY-4.0"}
    notice = (data.FOLDER / "LICENCES.md").read_text(encoding="utf8")
    for row in rows:
        if row["licence"].startswith("CC-BY"):
            assert f"{row['name']}: {row['author']}, {row['licence']}, {row['source']}" in notice


@pytest.mark.parametrize(
    ("style", "owner", "licence", "words"),
    [
        ("fluent_3d", "Microsoft Corporation", "MIT", "Copyright (c) Microsoft Corporation"),
        ("fluent_flat", "Microsoft Corporation", "MIT", "Permission is hereby granted, free of charge"),
        ("fluent_hc", "Microsoft Corporation", "MIT", "THE SOFTWARE IS PROVIDED"),
        ("noto", "Google", "Apache-2.0", "TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION"),
        ("noto_line", "Copyright 2013 Google LLC", "OFL-1.1", "SIL OPEN FONT LICENSE Version 1.1"),
    ],
)
def test_every_style_is_credited_and_its_licence_is_here_in_full(style, owner, licence, words):
    assert owner in data.credit(style)
    assert data.credit(style).endswith(licence)
    assert words in (data.FOLDER / f"licences/{licence}.txt").read_text(encoding="utf8")


def test_unicode_is_credited_with_the_names():
    assert "Unicode, Inc." in (data.FOLDER / "LICENCES.md").read_text(encoding="utf8")
    assert "Permission is hereby granted" in (data.FOLDER / "licences/Unicode.txt").read_text(encoding="utf8")


def test_importing_the_loader_needs_neither_torch_nor_pillow():
    program = "import sys, chroma.data; print({'torch', 'PIL'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("name", ["drawings", "photographs"])
def test_a_corrupt_file_is_refused_by_name(bundle, name):
    path = bundle / f"{name}.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=rf"{name}\.npz is corrupt: its sha256 must be \w{{12}}\.\.\., got \w{{12}}\.\.\."
    ):
        data.load(name)


@pytest.mark.parametrize("file", ["drawings.npz", "CHECKSUMS.json"])
def test_a_missing_file_is_refused_by_name_with_the_command_that_rebuilds_it(bundle, file):
    (bundle / file).unlink()
    with pytest.raises(FileNotFoundError, match=rf"{file} is missing: .*python book/_tools/build_images\.py OUT"):
        data.load("drawings")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: data.load("cats"), "unknown data set 'cats': use 'drawings', 'photographs', 'scenes' or"),
        (lambda: data.load("drawings", size=48), "size must be 64, 32, 16, 8, 4, 2 or 1; got 48"),
        (lambda: data.load("drawings", contents=["lionn"]), "unknown content 'lionn': did you mean 'lion'"),
        (lambda: data.load("drawings", styles="oil"), "unknown style 'oil': use 'fluent_3d'"),
        (lambda: data.load("photographs", crops=0), "crops must be a whole number >= 1; got 0"),
        (lambda: data.load("photographs", seed=-1), "seed must be a whole number >= 0; got -1"),
        (lambda: data.load("photographs", size=129), "size must be at most 128"),
        (
            lambda: data.photograph("wildlife/kingfishr"),
            "unknown photograph 'wildlife/kingfishr': did you mean 'wildlife/kingfisher'",
        ),
        (
            lambda: data.photograph(size=512),
            "size must be at most 256, the shorter side of wildlife/kingfisher; got 512",
        ),
        (lambda: data.credit("nobody"), "unknown photograph or style 'nobody'"),
    ],
)
def test_what_there_is_not_is_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()

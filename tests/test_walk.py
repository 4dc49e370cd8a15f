"""Every file below a folder is used, skipped by name, or counted by its kind; nothing blocks or is read twice."""

import builtins
import os
import socket

import numpy as np
import pytest
from PIL import Image

from chroma import data
from chroma.data import _walk

RED = Image.new("RGB", (8, 8), (200, 30, 60))


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    RED.save(folder / "a.png")
    return folder


def put(folder, name, format="PNG"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    RED.save(path, format)


def names(folder):
    return data.folder(folder, 8).names.tolist()


WRITABLE = {
    **{"b.jfif": "JPEG", "b.jpe": "JPEG", "b.jp2": "JPEG2000", "b.j2k": "JPEG2000", "b.ppm": "PPM", "b.tga": "TGA"},
    **{"b.avif": "AVIF", "b.webp": "WEBP", "b.ico": "ICO", "b.pcx": "PCX", "b.sgi": "SGI", "b.dds": "DDS"},
    **{"b.im": "IM", "b.mpo": "MPO", "b.apng": "PNG", "b.dib": "DIB", "b.icns": "ICNS", "b.qoi": "QOI"},
    **{"b": "JPEG", "b.jpg_large": "JPEG", "b.jpg?w=640": "WEBP", "b.txt": "PNG", "b.dat": "BMP", "b.png": "JPEG"},
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # IM goes with Pillow 15
@pytest.mark.parametrize("name", WRITABLE)
def test_all_formats_that_pillow_reads_are_used_whatever_their_suffix(root, name):
    Image.init()
    if WRITABLE[name] not in Image.SAVE:
        pytest.skip(f"this Pillow does not write {WRITABLE[name]}")
    if WRITABLE[name] in ("ICNS", "ICO"):  # of fixed sizes
        RED.resize((16, 16)).save(root / name, WRITABLE[name])
    else:
        put(root, name, WRITABLE[name])
    found = data.folder(root, 8)
    assert (found.names.tolist(), found.skipped) == (["a.png", name], ())
    # the lossy formats keep an even colour to within a few bytes
    np.testing.assert_allclose(found.images[1], found.images[0], atol=6 / 127.5)


def test_links_to_folders_and_files_are_followed(root, tmp_path):
    put(tmp_path, "elsewhere/deep/b.png")
    (root / "class").symlink_to(tmp_path / "elsewhere")
    (root / "c.png").symlink_to(tmp_path / "elsewhere/deep/b.png")
    assert names(root) == ["a.png", "c.png", "class/deep/b.png"]


def test_links_that_lead_back_are_followed_once(root, tmp_path):
    put(root, "z/b.png")
    put(tmp_path, "outside/c.png")
    (root / "loop").symlink_to(root)
    (root / "up").symlink_to(tmp_path)
    (root / "a_link_to_z").symlink_to(root / "z")
    (root / "one").symlink_to(tmp_path / "outside")
    (tmp_path / "outside" / "two").symlink_to(tmp_path / "outside")
    (root / "z" / "three").symlink_to(tmp_path / "outside")
    found = data.folder(root, 8)
    assert found.names.tolist() == ["a.png", "one/c.png", "z/b.png"]
    assert found.notes[0] == (
        "Other files, which are not used: "
        "5 links to a folder that has been read (a_link_to_z, loop, one/two and 2 more)."
    )


def test_the_number_of_links_between_folders_does_not_multiply_the_work(root):
    """Following each link from each folder would take as many steps as there are orders of 12 folders."""
    for i in range(12):
        put(root, f"{i}/b.png")
        for j in range(12):
            (root / f"{i}" / f"to{j}").symlink_to(root / f"{j}")
    assert len(names(root)) == 13


def test_broken_links_are_listed(root):
    (root / "b.png").symlink_to("/nowhere/b.png")
    (root / "class").symlink_to("/nowhere/class")
    (root / "c.png").symlink_to("c.png")
    assert data.folder(root, 8).skipped == (
        ("b.png", "a broken symbolic link to /nowhere/b.png"),
        ("c.png", "a broken symbolic link to itself"),
        ("class", "a broken symbolic link to /nowhere/class"),
    )


def test_pipes_and_sockets_are_listed_and_never_opened(root):
    os.mkfifo(root / "b.png")
    os.mkfifo(root / "c")
    (root / "d.png").symlink_to(root / "b.png")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(root / "e.jpg"))
        skipped = dict(data.folder(root, 8).skipped)
    assert skipped == {
        **dict.fromkeys(["b.png", "c", "d.png"], "a pipe, not a file"),
        "e.jpg": "a socket, not a file",
    }
    with pytest.raises(ValueError, match=r"b\.png cannot be used \(a pipe, not a file\)"):
        data.image(root / "b.png", 8)


def test_folders_and_files_that_may_not_be_read_are_listed(root, monkeypatch):
    """Permissions do not bind root, who may run the tests: the system's answer is put in their place."""
    for name in ("b.png", "sub/c.png", "sub/deep/d.png"):
        put(root, name)
    scandir, opened = os.scandir, builtins.open

    def forbid(function, name):
        def guarded(path, *args, **kwargs):
            if str(path).endswith(name):
                raise PermissionError(13, "Permission denied", str(path))
            return function(path, *args, **kwargs)

        return guarded

    monkeypatch.setattr(os, "scandir", forbid(scandir, "sub"))
    monkeypatch.setattr(builtins, "open", forbid(opened, "b.png"))
    found = data.folder(root, 8)
    assert found.names.tolist() == ["a.png"]
    assert found.skipped == (
        ("b.png", "Permission denied"),
        ("sub", "a folder that cannot be opened: Permission denied"),
    )
    monkeypatch.setattr(os, "scandir", forbid(scandir, "images"))
    with pytest.raises(ValueError, match=r"path: the folder .*images cannot be opened \(Permission denied\)"):
        data.folder(root, 8)


SYSTEM = [".hidden.png", "._a.png", ".DS_Store", "Thumbs.db", "desktop.ini", "a.png~", ".git/b.png", "__MACOSX/._a.png"]
SYSTEM += [".ipynb_checkpoints/a-checkpoint.png", "sub/@eaDir/a.png", "$RECYCLE.BIN/b.png", "__MACOSX/a.png"]


@pytest.mark.parametrize("name", SYSTEM)
def test_hidden_files_and_the_copies_of_systems_are_counted_and_not_read(root, name):
    put(root, name)
    found = data.folder(root, 8)
    assert (found.names.tolist(), found.skipped) == (["a.png"], ())
    assert found.notes[0].startswith("Other files, which are not used: 1 hidden or system file (")


def test_a_hidden_folder_can_be_named(tmp_path):
    put(tmp_path, ".cache/faces/a.png")
    assert names(tmp_path / ".cache/faces") == ["a.png"]


def test_one_note_counts_what_is_no_image_by_kind(root):
    for name in ("a.txt", "b.caption", "c.json", "d.csv", "images.zip", "clip.mp4", "latents.npy", "README"):
        (root / name).write_bytes(b"something")
    found = data.folder(root, 8)
    assert found.skipped == ()
    assert found.notes[0] == (
        "Other files, which are not used: 1 archive (images.zip), 1 file of arrays (latents.npy), "
        "1 other file (README), 4 text files (a.txt, b.caption, c.json and 1 more), 1 video (clip.mp4)."
    )


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("b.heic", "HEIC"),
        ("b.CR2", "camera raw"),
        ("b.dng", "camera raw"),
        ("b.svg", "vector graphics"),
        ("b.eps", "vector graphics"),
        ("b.jxl", "JPEG XL"),
        ("b.exr", "OpenEXR"),
    ],
)
def test_images_that_pillow_does_not_read_are_skipped_by_name(root, name, kind):
    put(root, name, "TIFF")  # as the preview in a raw file, which is not the photograph
    assert data.folder(root, 8).skipped == ((name, f"{kind}, which Pillow does not read"),)


def test_a_format_is_read_once_a_plugin_is_registered_for_it(root, monkeypatch):
    put(root, "b.heic")
    Image.init()
    monkeypatch.setitem(Image.EXTENSION, ".heic", "PNG")
    assert names(root) == ["a.png", "b.heic"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer: the image itself is not"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC image, which Pillow does not read"),
        (b"\xff\xd8\xff\xe0", "a JPEG that is damaged, or of a kind that Pillow does not read"),
        (b"<html>404</html>", "not an image"),
        (b"", "not an image"),
    ],
)
def test_what_is_under_the_name_of_an_image_is_said(root, content, reason):
    (root / "b.jpg").write_bytes(content)
    assert data.folder(root, 8).skipped[0][1].startswith(reason)


def test_a_damaged_image_is_not_read_as_one_of_a_format_without_signature(root):
    put(root, "b.tga", "TGA")
    (root / "b.tga").rename(root / "b.png")
    assert data.folder(root, 8).skipped == (("b.png", "not an image"),)


def test_names_that_cannot_be_printed_are_escaped_in_notes(root):
    (root / os.fsdecode(b"caf\xe9\n.png")).touch()
    found = data.folder(root, 8)
    assert found.notes[0] == r"Skipped 1 of 2 files: caf\udce9\n.png (not an image)."


def test_a_folder_without_images_says_what_it_has(tmp_path):
    (tmp_path / "a.zip").touch()
    with pytest.raises(
        ValueError, match=r"none of the 1 files in .* is an image; use .* files, not 1 archive \(a\.zip\)$"
    ):
        data.folder(tmp_path, 8)
    (tmp_path / "b.heic").touch()
    with pytest.raises(ValueError, match=r"none of the 1 images in .* can be used: b\.heic \(HEIC, which Pillow does"):
        data.folder(tmp_path, 8)


def test_counts_agree_with_their_nouns():
    assert _walk.plural(1, "video") == "1 video"
    assert _walk.plural(2, "file of arrays") == "2 files of arrays"
    assert _walk.plural(3, "link to a folder that has been read") == "3 links to a folder that has been read"

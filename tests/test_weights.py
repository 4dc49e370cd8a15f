"""Models that are not in the wheel are fetched from the release, once, and only if they are the ones on record."""

import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pooch
import pytest

from chroma import _weights, models
from chroma._files import WEIGHTS

NAME = "emoji-8"


class Quiet(SimpleHTTPRequestHandler):
    """A server that writes no log."""

    requests: ClassVar[list[str]] = []

    def do_GET(self):
        """Serve a file, and remember its name."""
        self.requests.append(self.path)
        super().do_GET()

    def log_message(self, format, *args):
        """Say nothing."""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """An installation without the model, with a cache of its own."""
    (tmp_path / "weights").mkdir()
    shutil.copy(WEIGHTS / "CHECKSUMS.json", tmp_path / "weights")
    monkeypatch.setattr(_weights, "WEIGHTS", tmp_path / "weights")
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "cache" / name)
    return tmp_path


@pytest.fixture
def release(tmp_path, monkeypatch):
    """A release of the project on a server of this machine, with the model's files attached to it."""
    folder = tmp_path / "release"
    folder.mkdir()
    for file in _weights.files_of(NAME):
        shutil.copy(WEIGHTS / file, folder / _weights.asset_name(file))
    Quiet.requests = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv(_weights.ADDRESS, f"http://127.0.0.1:{server.server_port}/")
    yield folder
    server.shutdown()


def test_a_model_that_is_not_in_the_wheel_is_downloaded_once(release, installed):
    assert models.Pipeline(models.load(NAME)).image_size == 8
    assert len(Quiet.requests) == len(_weights.files_of(NAME))
    assert models.card(NAME)["images_seen"] == 120_000
    assert len(Quiet.requests) == len(_weights.files_of(NAME))


def test_a_download_that_was_cut_short_resumes_with_the_files_that_are_missing(release, installed):
    weights = release / _weights.asset_name(f"{NAME}/unet/diffusion_pytorch_model.safetensors")
    weights.rename(aside := installed / "aside")
    with pytest.raises(OSError, match=r"'emoji-8' .9 MB. is not on this machine and could not be downloaded"):
        models.load(NAME)
    aside.rename(weights)
    Quiet.requests.clear()
    models.load(NAME)
    assert f"/{weights.name}" in Quiet.requests
    assert len(Quiet.requests) < len(_weights.files_of(NAME))


def test_a_file_of_the_cache_that_has_changed_is_downloaded_again(release, installed):
    folder = _weights.verified_folder(NAME)
    (folder / "unet/config.json").write_text("{}")
    Quiet.requests.clear()
    models.load(NAME)
    assert Quiet.requests == [f"/{NAME}--unet--config.json"]


def test_another_file_than_the_one_on_record_is_refused_by_name(release, installed):
    (release / f"{NAME}--unet--config.json").write_text("{}")
    with pytest.raises(ValueError, match=r"the file emoji-8/unet/config.json at http.* is not the one on record"):
        models.load(NAME)


def test_without_a_release_or_a_network_one_sentence_says_what_to_do(installed, monkeypatch):
    monkeypatch.delenv(_weights.ADDRESS, raising=False)
    with pytest.raises(OSError, match="'emoji-8' is not in this installation: clone the repository"):
        models.load(NAME)
    monkeypatch.setenv(_weights.ADDRESS, "http://127.0.0.1:9")
    with pytest.raises(OSError, match=r"could not be downloaded from http://127.0.0.1:9: connect to the network"):
        models.load(NAME)


def test_the_address_of_a_release_is_a_link_in_the_metadata_of_the_package(monkeypatch):
    monkeypatch.delenv(_weights.ADDRESS, raising=False)
    links = {"Project-URL": "Weights, https://example.org/v1"}
    monkeypatch.setattr(_weights.metadata, "metadata", lambda name: Links(links))
    assert _weights.release_address() == "https://example.org/v1"


class Links(dict):
    """Metadata of a package, as importlib.metadata has them."""

    def get_all(self, key):
        """Look up all values of a key."""
        return [self[key]] if key in self else None


def test_no_two_files_of_a_release_have_the_same_name():
    files = [file for name in models.BUNDLED for file in _weights.files_of(name)]
    assert len({_weights.asset_name(file) for file in files}) == len(files)

"""A name that may mean two things is asked back; a prefix says which is meant."""

from pathlib import Path

import pytest

from chroma import models
from chroma._names import find_named

NAMES, NEEDS = ("emoji-8", "emoji-32"), "a folder with model_index.json"


def found(value):
    return find_named("model", value, NAMES, NEEDS)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_name_of_one_meaning_is_what_it_says(here):
    (here / "runs" / "mine").mkdir(parents=True)
    assert found("emoji-8") == found("bundled:emoji-8") == ("bundled", "emoji-8")
    assert found("runs/mine") == found("./runs/mine") == found(Path("runs/mine")) == ("path", "runs/mine")
    assert found(str(here / "runs")) == ("path", str(here / "runs"))
    assert found("owner/name-1.0") == found("hub:owner/name-1.0") == ("hub", "owner/name-1.0")


def test_a_folder_with_the_name_of_a_bundled_model_is_asked_back(here):
    (here / "emoji-8").mkdir()
    with pytest.raises(ValueError, match=r"model must be 'bundled:emoji-8' for the bundled one, or"):
        found("emoji-8")
    assert found("bundled:emoji-8") == ("bundled", "emoji-8")
    assert found("./emoji-8") == found(Path("emoji-8")) == ("path", "emoji-8")


def test_a_mistyped_path_is_not_taken_for_the_hub(here):
    (here / "runs" / "mine").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"model must be 'hub:runs/mien' for the hub, or the path of .* without mien"):
        found("runs/mien")
    assert found("hub:runs/mien") == ("hub", "runs/mien")
    for path in ("./runs/mien", "../runs/mien", "~/runs", "~0", "/runs/mien", "a/b/c", Path("a/b"), "runs/"):
        if not Path(path).exists():
            with pytest.raises(ValueError, match=r"model must be 'emoji-8', 'emoji-32', a folder with .* that"):
                found(path)


@pytest.mark.parametrize(
    "name", ["emoji-33", "bundled:emoji_32", "Emoji-8", "hub:nothing", "", " ", "~nobody-here/mine"]
)
def test_a_mistyped_name_is_answered_with_the_names_there_are(here, name):
    with pytest.raises(ValueError, match=r"model must be 'emoji-8', 'emoji-32', a folder with model_index.json that"):
        find_named("model", name, NAMES, NEEDS)
    if name.startswith(("emoji", "bundled")):
        with pytest.raises(ValueError, match=r"did you mean 'emoji-32'\?"):
            found(name)


def test_loading_asks_back_too(here):
    (here / "emoji-8").mkdir()
    with pytest.raises(ValueError, match=r"name_or_folder must be 'bundled:emoji-8' for the bundled one"):
        models.load("emoji-8")
    with pytest.raises(ValueError, match=r"name_or_folder must be a folder with model_index\.json in it"):
        models.load("./emoji-8")
    assert models.load("bundled:emoji-8").unet.config.sample_size == 8
    models.load("bundled:emoji-8").save_pretrained("emoji-8")
    assert models.load("./emoji-8").unet.config.sample_size == 8

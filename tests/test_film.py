"""A film has a frame per step, and says in one sentence what it cannot do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from chroma.exact import GaussianPredictor
from chroma.plotting import film as films
from chroma.pyramid import band_sizes
from chroma.sampling import ddim

LOG_SNRS = np.linspace(-8, 6, 12).tolist()


@pytest.fixture
def states():
    data = GaussianPredictor(torch.zeros(3, 8, 8), 4.0 ** np.arange(4) / 16)
    return list(ddim(data, torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)), LOG_SNRS))


def test_a_film_has_a_frame_per_step(states, tmp_path):
    films.film(states, tmp_path / "film.webp", dpi=40)
    with Image.open(tmp_path / "film.webp") as film:
        assert (film.n_frames, film.size) == (12, (200, 208))


def test_coarse_bands_change_first_in_data_with_the_powers_of_the_paper(states):
    shares = films.change_shares(states)
    assert len(shares) == len(band_sizes((3, 8, 8)))
    np.testing.assert_allclose(shares.sum(0), 1, atol=1e-9)
    centres = shares @ np.arange(12) / shares.sum(1)
    assert (np.diff(centres) < 0).all()  # finest first


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["film.avi"], "ends with .webp or .gif"),
        (["film.webp", "--steps", "0"], "use at least 1"),
        (["film.webp", "--model", "emoji-9"], "emoji-9"),
    ],
)
def test_what_cannot_be_filmed_is_refused_in_one_sentence(arguments, message, capsys, monkeypatch):
    monkeypatch.setattr(films, "_generate", films._generate if "--model" in arguments else lambda *_: [])
    with pytest.raises(SystemExit) as end:
        films.main(arguments)
    assert end.value.code == 2
    assert message in capsys.readouterr().err

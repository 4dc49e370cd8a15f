"""The chart of a scheduler agrees with the scheduler, adds up, answers without PyTorch, and says what it does not
know.
"""

import json
import subprocess
import sys

import diffusers
import numpy as np
import pytest
import torch
from tiny import tiny

from chroma import data
from chroma.accumulators import BandVariance
from chroma.schedulers import atlas as module
from chroma.schedulers.atlas import PHOTOGRAPHS, chart, main, photograph_variance
from chroma.schedulers.published import PUBLISHED


@pytest.mark.parametrize("name", PUBLISHED)
def test_shares_add_up_to_one_and_what_is_done_grows_to_one(name):
    rows = chart(name, steps=20)
    assert [row["step"] for row in rows] == list(range(20))
    for key in ("share", "share_photographs"):
        np.testing.assert_allclose([sum(row[key].values()) for row in rows], 1)
    for key in ("done", "done_photographs"):
        done = np.array([list(row[key].values()) for row in rows])
        assert (np.diff(done, axis=0) >= 0).all()
        np.testing.assert_allclose(done[-1], 1)
    assert next(iter(rows[0]["share"])) == str(PUBLISHED[name].size // PUBLISHED[name].latent_factor)


def test_the_share_of_a_step_is_what_the_scheduler_s_own_alphas_say():
    scheduler = diffusers.DDIMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)
    rows = chart(scheduler, steps=10, size=64)
    scheduler.set_timesteps(10)
    alpha = scheduler.alphas_cumprod[scheduler.timesteps].double().numpy()
    for i in range(9):
        grown = [4**m * alpha[i + j] / (1 + (4**m - 1) * alpha[i + j]) for j in (1, 0) for m in range(7)]
        grown = np.array(grown[:7]) - np.array(grown[7:])
        np.testing.assert_allclose(list(rows[i]["share"].values()), grown / grown.sum(), rtol=1e-3)
        assert rows[i]["timestep"] == scheduler.timesteps[i]
        assert rows[i]["log_snr"] == pytest.approx(np.log(alpha[i] / (1 - alpha[i])), rel=1e-4)


def test_a_class_that_numpy_does_not_know_is_set_up_by_diffusers():
    rows = chart({"_class_name": "HeunDiscreteScheduler", "beta_start": 1e-4, "beta_end": 0.02}, steps=10, size=64)
    assert len(rows) == 10 and rows[0]["log_snr"] < rows[-1]["log_snr"]


def test_photographs_have_the_band_powers_that_are_written_down():
    power = BandVariance()
    crops = torch.from_numpy(data.load("photographs", size=128, crops=3000).images)
    for part in crops.split(500):
        power.update(part - crops.mean())
    found = power.result()
    written = photograph_variance(128)
    assert (np.abs(found.value - written) < 2 * found.standard_error + 0.005 * written).all()
    assert float(crops.var()) == pytest.approx(module.PIXEL_VARIANCE, abs=5e-4)
    grids = np.array([grid for grid in PHOTOGRAPHS if grid > 1])
    slope = np.polyfit(np.log(grids), np.log([PHOTOGRAPHS[grid] for grid in grids]), 1)[0]
    assert slope == pytest.approx(module.SLOPE, abs=0.005)


def test_a_saved_pipeline_tells_its_own_size(tmp_path):
    tiny("StableDiffusionPipeline").save_pretrained(tmp_path)
    rows = chart(tmp_path, steps=5)
    assert list(rows[0]["share"]) == ["8", "4", "2", "1"]
    assert len(chart(tmp_path / "scheduler" / "scheduler_config.json", 5, size=16)[0]["share"]) == 5


def test_it_answers_without_torch_and_in_a_moment():
    code = (
        "import sys; from chroma.schedulers.atlas import main; main(['flux-dev', '--steps', '28', '--json']); "
        "assert 'torch' not in sys.modules and 'matplotlib' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    rows = json.loads(done.stdout)
    assert len(rows) == 28 and rows[0]["log_snr"] is None  # it begins at pure noise


def test_the_command_line_prints_tables_and_draws(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    main(["emoji-32", "--steps", "6", "--plot", str(tmp_path / "chart.png")])
    said = capsys.readouterr().out
    assert "by the paper's rₘ" in said and "with the band variances of photographs" in said and "32×32" in said
    assert (tmp_path / "chart.png").stat().st_size > 5000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("sd16",), "scheduler must be one of sd15, sd21"),
        (({"_class_name": "NoScheduler"}, 10, 64), "scheduler must be one whose steps are known without diffusers"),
        (({"_class_name": "DDIMScheduler"},), "size must be given: nothing is known of the images"),
        (("sd15", 0), "steps must be a whole number >= 1; got 0"),
        (("sd15", 10, 100, 7), "latent_factor must be a divisor of the size, 100; got 7"),
    ],
)
def test_what_is_unknown_is_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        chart(*arguments)


def test_an_unreachable_hub_and_a_broken_file_are_reported_in_a_sentence(tmp_path, capsys):
    (tmp_path / "scheduler_config.json").write_text("{")
    with pytest.raises(ValueError, match="is not a scheduler's configuration"):
        chart(tmp_path)
    with pytest.raises(SystemExit):
        main(["sd16"])
    assert "scheduler must be one of sd15" in capsys.readouterr().err

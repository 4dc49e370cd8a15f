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
from chroma.schedulers.atlas import chart, main
from chroma.schedulers.curves import PHOTOGRAPHS, PIXEL_VARIANCE, SLOPE, photograph_variance
from chroma.schedulers.published import FLUX, PUBLISHED

POWERS = 4.0 ** np.arange(7) * PIXEL_VARIANCE


@pytest.mark.parametrize("name", PUBLISHED)
def test_shares_add_up_to_one_and_what_is_done_grows_to_one(name):
    rows = chart(name, steps=20)
    assert [row["step"] for row in rows] == list(range(20))
    curves = [key.removeprefix("share") for key in rows[0] if key.startswith("share")]
    assert curves[:2] == ["", "_photographs"]
    for key in (f"share{curve}" for curve in curves):
        np.testing.assert_allclose([sum(row[key].values()) for row in rows], 1)
    for key in (f"done{curve}" for curve in curves):
        done = np.array([list(row[key].values()) for row in rows])
        assert (np.diff(done, axis=0) >= 0).all()
        np.testing.assert_allclose(done[-1], 1)
    assert next(iter(rows[0]["share"])) == str(PUBLISHED[name].size // PUBLISHED[name].latent_factor)


def test_the_share_of_a_step_is_what_the_scheduler_s_own_alphas_say():
    scheduler = diffusers.DDIMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)
    rows = chart(scheduler, steps=10, size=64, latent_factor=1)
    scheduler.set_timesteps(10)
    alpha = scheduler.alphas_cumprod[scheduler.timesteps].double().numpy()
    for i in range(9):
        grown = [POWERS[m] * alpha[i + j] / (1 + (POWERS[m] - 1) * alpha[i + j]) for j in (1, 0) for m in range(7)]
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
    assert float(crops.var()) == pytest.approx(PIXEL_VARIANCE, abs=5e-4)
    grids = np.array([grid for grid in PHOTOGRAPHS if grid > 1])
    slope = np.polyfit(np.log(grids), np.log([PHOTOGRAPHS[grid] for grid in grids]), 1)[0]
    assert slope == pytest.approx(SLOPE, abs=0.005)


def test_a_saved_pipeline_tells_its_own_size(tmp_path):
    tiny("StableDiffusionPipeline").save_pretrained(tmp_path)
    rows = chart(tmp_path, steps=5)
    assert list(rows[0]["share"]) == ["8", "4", "2", "1"]
    assert len(chart(tmp_path / "scheduler" / "scheduler_config.json", 5, 16, 1)[0]["share"]) == 5


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
        (("sdxxl",), r"scheduler must be a name that --help lists, .* \(did you mean 'sdxl'\?\); got sdxxl"),
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
    with pytest.raises(ValueError, match="is not a configuration"):
        chart(tmp_path)
    with pytest.raises(SystemExit):
        main(["sd16"])
    assert "scheduler must be a name that --help lists" in capsys.readouterr().err


def saved(folder, **configs):
    """A folder with the configurations of a pipeline, and nothing else."""
    for name, config in configs.items():
        file = folder / {"model_index": "model_index.json", "scheduler": "scheduler/scheduler_config.json"}.get(
            name, f"{name}/config.json"
        )
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(config))
    return folder


FLOW = {"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0}
LATENT = {"_class_name": "DDIMScheduler", "beta_schedule": "scaled_linear"}
WAN = {"_class_name": "AutoencoderKLWan", "base_dim": 96, "dim_mult": [1, 2, 4, 4]}
SD = {"_class_name": "StableDiffusionPipeline"}
GARBLED = (
    ("AutoencoderKL", "block_out_channels", "128, 256, 512", "is not a list of channels"),
    ("AutoencoderKL", "block_out_channels", [], "is not a list of channels"),
    ("AutoencoderKLHunyuanVideo", "spatial_compression_ratio", 0, "0 pixels and 4 frames per latent"),
    ("AutoencoderKLHunyuanVideo", "spatial_compression_ratio", -8, "-8 pixels and 4 frames per latent"),
)
DC = {"_class_name": "AutoencoderDC", "encoder_block_out_channels": [128, 256, 512, 512, 1024, 1024]}


@pytest.mark.parametrize(
    ("configs", "size", "finest"),
    [
        ({"scheduler": FLOW, "vae": DC, "transformer": {"sample_size": 32, "patch_size": 1}}, None, "32"),
        ({"scheduler": FLOW, "vae": {**WAN, "_class_name": "AutoencoderKLQwenImage"}, "transformer": {}}, 1024, "128"),
        ({"scheduler": FLOW, "vae": WAN, "transformer": {"in_channels": 16}}, 512, "64"),
        ({"scheduler": FLOW, "vae": {**WAN, "patch_size": 2}, "transformer": {"in_channels": 48}}, 512, "32"),
        ({"scheduler": FLOW, "vae": {"_class_name": "AutoencoderKLLTXVideo"}, "transformer": {}}, 512, "16"),
        ({"scheduler": LATENT, "unet": {"sample_size": 64}, "movq": {"block_out_channels": [1, 2, 3, 4]}}, None, "64"),
        ({"scheduler": LATENT, "unet": {"sample_size": [96, 96]}, "vae": {"block_out_channels": [8] * 4}}, None, "96"),
        ({"scheduler": FLOW, "vae": {"_class_name": "AutoencoderKLMochi", "spatial_expansions": [2, 2]}}, 512, "128"),
        ({"scheduler": FLOW, "vae": {**WAN, "scale_factor_spatial": None}}, 512, "64"),
        ({"scheduler": {"_class_name": "DDPMScheduler"}, "unet": {"sample_size": 32, "in_channels": 3}}, None, "32"),
    ],
)
def test_the_size_of_latents_is_read_from_the_autoencoder_of_each_class(tmp_path, configs, size, finest):
    assert next(iter(chart(saved(tmp_path, **configs), 4, size)[0]["share"])) == finest


@pytest.mark.parametrize(
    ("configs", "size", "words"),
    [
        ({"scheduler": LATENT, "unet": {"sample_size": None}}, None, "size must be given"),
        (
            {"scheduler": LATENT, "unet": {"sample_size": [64, 96]}, "vae": {"block_out_channels": [8] * 4}},
            None,
            "size",
        ),
        ({"scheduler": FLOW, "vae": {"_class_name": "AutoencoderOobleck"}}, 512, "latent_factor must be given"),
        (
            {
                "scheduler": LATENT,
                "unet": {"in_channels": 4},
                "vae": {"_class_name": "AutoencoderRAE"},
                "model_index": SD,
            },
            512,
            "latent_factor must be given: the pixels that a latent of its autoencoder, AutoencoderRAE, spans",
        ),
        (
            {"scheduler": LATENT, "unet": {"in_channels": 3}, "model_index": {"vqvae": ["diffusers", "VQModel"]}},
            512,
            "latent_factor must be given: the pixels that a latent of its autoencoder, VQModel, spans",
        ),
        *(
            ({"scheduler": FLOW, "vae": {"_class_name": kind, key: value}}, 512, f"{kind} lacks or garbles .*{words}")
            for kind, key, value, words in GARBLED
        ),
        (
            {"scheduler": FLOW, "vae": {"_class_name": "AutoencoderDC"}},
            512,
            "AutoencoderDC lacks or garbles .encoder_block_out_channels.: use the file as it was saved",
        ),
        ({"scheduler": FLOW, "vae": {"_class_name": "AutoencoderKLLTXVideo", "patch_size": [4, 4]}}, 512, "garbles"),
        ({"unet": {"sample_size": 64}}, 512, "scheduler must be a folder that holds scheduler/scheduler_config.json"),
    ],
)
def test_a_size_that_is_not_known_is_asked_for(tmp_path, configs, size, words):
    with pytest.raises(ValueError, match=words):
        chart(saved(tmp_path, **configs), 4, size)


def test_a_bare_configuration_of_latents_needs_the_latent_factor():
    for config in (FLUX, FLOW, {"_class_name": "UniPCMultistepScheduler", "use_flow_sigmas": True}):
        with pytest.raises(ValueError, match="latent_factor must be given, or the pipeline's class"):
            chart(config, 4, 1024)
    assert len(chart(FLUX, 4, 1024, pipeline="FluxPipeline")[0]["share"]) == 8  # 128 x 128 latents
    # the steps of a table of betas do not depend on the size: they are charted, and the note says of what
    assert "--latent-factor" in chart(LATENT, 4, 512).notes[0] and chart(LATENT, 4, 512, 8).notes == ()


def test_the_steps_are_those_of_the_pipeline_not_of_its_scheduler(tmp_path):
    index = {"_class_name": "ZImagePipeline", "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"]}
    folder = saved(tmp_path, scheduler=FLOW, model_index=index, vae={"block_out_channels": [8] * 4})
    sigmas = 1 - np.arange(8) / 8  # from 1 to 1/8, then shifted by 3
    expected = 1000 * 3 * sigmas / (1 + 2 * sigmas)
    for rows in (chart(folder, 8, 1024), chart(FLOW, 8, 1024, pipeline="ZImagePipeline")):
        np.testing.assert_allclose([row["timestep"] for row in rows], expected, rtol=1e-6)
        assert rows.notes == ()
    alone = chart(FLOW, 8, 1024, 8)
    assert alone[-1]["timestep"] < expected[-1] / 2 and "--pipeline" in alone.notes[0]


def test_steps_of_one_s_own_are_charted(capsys):
    rows = chart("sd3", sigmas=[1.0, 0.5, 0.25])
    np.testing.assert_allclose([row["timestep"] for row in rows], [1000, 750, 500])  # shifted by 3
    main(["sdxl", "--timesteps", "999", "500", "1", "--json"])
    assert [row["timestep"] for row in json.loads(capsys.readouterr().out)] == [999, 500, 1]
    for options in (["--timesteps", "1", "500"], ["--sigmas", "nan"], ["--steps", "3", "--sigmas", "1", "0.5", "0.2"]):
        with pytest.raises(SystemExit) as stopped:
            main(["sdxl", *options])
        assert stopped.value.code == 2


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("flux-dev", {"timesteps": [1000, 500]}, "FluxPipeline takes no timesteps from its caller: pass sigmas"),
        ("cogvideox-5b", {"sigmas": [1.0, 0.5]}, "CogVideoXPipeline takes no sigmas from its caller: pass timesteps"),
        ("wan22", {"sigmas": [1.0, 0.5]}, "WanPipeline takes no sigmas from its caller: chart its scheduler without"),
        ("ltx", {"timesteps": [1000, 500]}, "LTXPipeline takes no timesteps from its caller"),
        ("sdxl", {"sigmas": [9.0, 1.0], "timesteps": [900, 500]}, "timesteps must be left out where sigmas are given"),
        (
            "flux-dev",
            {"size": 1080, "width": 1920},
            r"size must be a multiple of 16 \(8 pixels per latent, 2 .*got 1080",
        ),
        ("sd3", {"size": 1024, "width": 1000}, "width must be a multiple of 16 .*got 1000"),
        ("flux-dev", {"sigmas": [1.5, 0.5]}, r"sigmas must be within \(0, 1\] for a flow; got \[1.5, 0.5\]"),
        ("flux-dev", {"sigmas": [1.0, 0.5, 0.0]}, r"sigmas must be within \(0, 1\] for a flow; got"),
        ("auraflow", {"sigmas": [14.6, 0.5]}, r"sigmas must be within \(0, 1\] for a flow; got"),
    ],
)
def test_what_no_run_of_the_pipeline_can_do_is_not_charted(name, options, words):
    with pytest.raises(ValueError, match=words):
        chart(name, **options)


def test_sizes_of_whole_patches_are_charted():
    for name, size, width in (("flux-dev", 1072, 1920), ("sd15", 520, None), ("sd3", 1024, 1360)):
        assert chart(name, 4, size, width=width).notes == ()

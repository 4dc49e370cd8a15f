"""The nodes for ComfyUI agree with the formulas of its sampling code and with the answers of this package."""

import json
from math import exp
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from chroma import ask, comfyui
from chroma.comfyui import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS, percent_at, split_at

WORKFLOW = json.loads((Path(comfyui.__file__).parent / "workflow.json").read_text(encoding="utf-8"))
# what the nodes of ComfyUI that the workflow uses return
RETURNS = {
    "CheckpointLoaderSimple": ("MODEL", "CLIP", "VAE"),
    "CLIPTextEncode": ("CONDITIONING",),
    "EmptyLatentImage": ("LATENT",),
    "BasicScheduler": ("SIGMAS",),
    "KSamplerSelect": ("SAMPLER",),
    "SamplerCustom": ("LATENT", "LATENT"),
    "VAEDecode": ("IMAGE",),
    "SaveImage": (),
}


class CONST:
    """The name by which ComfyUI's flows are known."""


class DiscreteFlow(CONST):
    """`percent_to_sigma` as ComfyUI's ModelSamplingDiscreteFlow documents it."""

    def __init__(self, shift):
        self.shift = shift

    def percent_to_sigma(self, percent):
        if percent <= 0 or percent >= 1:
            return 1.0 if percent <= 0 else 0.0
        t = 1 - percent
        return self.shift * t / (1 + (self.shift - 1) * t)


class Discrete:
    """`percent_to_sigma` as ComfyUI's ModelSamplingDiscrete documents it, with the betas of Stable Diffusion."""

    sigma_data = 1.0

    def percent_to_sigma(self, percent):
        if percent <= 0 or percent >= 1:
            return 999999999.9 if percent <= 0 else 0.0
        alphas = np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2)
        return exp(np.interp((1 - percent) * 999, np.arange(1000), 0.5 * np.log((1 - alphas) / alphas)))


def run(node, sampling, shape, **inputs):
    kind = NODE_CLASS_MAPPINGS[node]
    model = SimpleNamespace(get_model_object=lambda name: {"model_sampling": sampling}[name])
    latent = {"samples": np.zeros(shape)}
    return getattr(kind(), kind.FUNCTION)(model=model, latent=latent, **inputs)


@pytest.mark.parametrize(
    ("name", "sampling", "shape"),
    [
        ("sdxl", Discrete(), (1, 4, 128, 128)),
        ("sd3", DiscreteFlow(3.0), (1, 16, 128, 128)),
        ("wan22", DiscreteFlow(3.0), (1, 16, 21, 90, 160)),
    ],
)
@pytest.mark.parametrize("resolution", [16, 32])
def test_a_node_gives_the_sigma_and_the_percent_that_the_command_line_gives(name, sampling, shape, resolution):
    model = ask.find_model(name)
    level = model.level(model.half_done(resolution))
    (sigma,) = run("ResolutionToSigma", sampling, shape, resolution=resolution, fraction=0.5)
    (percent,) = run("ResolutionToPercent", sampling, shape, resolution=resolution, fraction=0.5)
    assert sigma == pytest.approx(level.sigma)
    assert percent == pytest.approx(level.comfyui_percent, abs=1e-5)
    assert sampling.percent_to_sigma(percent) == pytest.approx(sigma)


def test_edm_latents_have_the_deviation_that_their_model_says():
    edm = SimpleNamespace(sigma_data=0.5)
    (sigma,) = run("ResolutionToSigma", edm, (1, 4, 64, 64), resolution=16, fraction=0.8)
    assert sigma == pytest.approx(0.5 * 4 * 0.5)  # 0.8 : 0.2 is 4, of which sigma has the inverse root


def test_sigmas_are_split_at_the_step_of_the_command_line():
    sampling = DiscreteFlow(3.0)
    sigmas = np.array([3 * t / (1 + 2 * t) for t in np.linspace(1, 0, 29)])
    high, low = run("SplitSigmasAtResolution", sampling, (1, 16, 128, 128), sigmas=sigmas, resolution=16, fraction=0.5)
    np.testing.assert_array_equal(np.concatenate([high, low[1:]]), sigmas)
    assert high[-1] == low[0] <= 128 / (128 + 16) < high[-2]


def test_a_part_without_a_step_is_refused():
    with pytest.raises(ValueError, match="use another resolution"):
        split_at([1.0, 0.5, 0.0], 2.0)
    with pytest.raises(ValueError, match="resolution must be from 1 to 64"):
        run("ResolutionToSigma", Discrete(), (1, 4, 64, 96), resolution=96, fraction=0.5)
    assert percent_at(DiscreteFlow(1.0), 2.0) == pytest.approx(0.0)


def test_the_workflow_connects_outputs_with_inputs_of_their_type():
    for node in WORKFLOW.values():
        own = NODE_CLASS_MAPPINGS.get(node["class_type"])
        assert own or node["class_type"] in RETURNS
        wanted = own.INPUT_TYPES()["required"] if own else {}
        assert not own or node["inputs"].keys() == wanted.keys()
        for name, value in node["inputs"].items():
            if isinstance(value, list):
                source = WORKFLOW[value[0]]["class_type"]
                returned = (RETURNS.get(source) or NODE_CLASS_MAPPINGS[source].RETURN_TYPES)[value[1]]
                assert name not in wanted or wanted[name][0] == returned
    assert NODE_DISPLAY_NAME_MAPPINGS.keys() == NODE_CLASS_MAPPINGS.keys()


def test_the_workflow_gives_the_first_prompt_what_is_coarser_than_32x32():
    split = next(node for node in WORKFLOW.values() if node["class_type"] == "SplitSigmasAtResolution")
    first, second = (node["inputs"] for node in WORKFLOW.values() if node["class_type"] == "SamplerCustom")
    assert split["inputs"]["resolution"] == 32 and first["sigmas"][1] == 0 and second["sigmas"][1] == 1
    assert first["add_noise"] and not second["add_noise"]

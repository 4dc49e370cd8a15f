"""The live view samples as Python does, with each of its three denoisers."""

from __future__ import annotations

import hashlib
import json
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import export_onnx
import numpy as np
import pytest
import torch

from chroma import models
from chroma.exact import EmpiricalPredictor, GaussianPredictor
from chroma.explorer import default_parameters, denoisers
from chroma.predictors import Guided, UNetPredictor
from chroma.prompts import encode
from chroma.pyramid import band_energy, bands, upsample
from chroma.sampling import ddim
from chroma.schedulers.config import from_scheduler
from chroma.schedules import Cosine

ROOT = Path(__file__).parents[1]
STEPS = 25
RECORD = json.loads(denoisers.RECORD.read_text(encoding="utf-8"))
PROMPTS = ("a pencil drawing of a bee", "an oil painting of a windmill")
SCALE, SWITCH = 3.0, 0.0


class Files(SimpleHTTPRequestHandler):
    """The explorer's scripts under /explorer, and the folders that the site has under _static."""

    def translate_path(self, path):
        name = path.partition("?")[0].lstrip("/")
        folders = {"explorer": "chroma/explorer", "network": "book/_assets/network", "onnxruntime": "book/_vendor"}
        folder = folders.get(name.partition("/")[0])
        if folder is None:
            return str(ROOT / "nowhere")
        return str(ROOT / folder / (name if folder == "book/_vendor" else name.partition("/")[2]))

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def address():
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=ROOT))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def page(browser, address):
    """A page with the exports of sampler.js, draw.js and live.js in `m`."""
    page = browser.new_page()
    page.goto(f"{address}/explorer/network.json")
    page.evaluate(
        """async () => {
            const modules = ["sampler", "draw", "live"].map((name) => import(`/explorer/${name}.js`));
            window.m = Object.assign({}, ...(await Promise.all(modules)));
            window.trace = async (denoise, noise, logSnrs, data) => {
                const steps = [];
                const measure = m.changeMeter(data, 32);
                for await (const step of m.sample(denoise, noise, logSnrs)) {
                    const x = steps.length ? [] : Array.from(step.x);
                    steps.push({ x, x0: Array.from(step.x0), shares: measure(step) });
                }
                return steps;
            };
        }"""
    )
    yield page
    page.close()


@pytest.fixture(scope="module")
def exact():
    mean, covariances = denoisers.photograph_powers()
    gaussian = GaussianPredictor(torch.from_numpy(mean).view(3, 1, 1).expand(3, 32, 32), covariances)
    return {"gaussian": gaussian, "memory": EmpiricalPredictor(torch.from_numpy(denoisers.remembered_images().copy()))}


def pictures(steps, name):
    return torch.tensor([step[name] for step in steps], dtype=torch.float64).view(-1, 1, 3, 32, 32)


def shares_in_python(states, mean, covariances):
    """The shares that the live view draws, from the package's own bands."""
    before = torch.from_numpy(mean).view(1, 3, 1, 1)
    power = torch.from_numpy(np.trace(covariances, axis1=1, axis2=2) / 3)
    start = band_energy(states[0].x)
    for state in states:
        energy = (band_energy(state.x0 - before) / (power * start)).mean(0)
        before = state.x0
        yield (energy / energy.sum()).numpy() if energy.sum() > 1e-9 else None


@pytest.mark.parametrize("kind", ["gaussian", "memory"])
def test_the_exact_denoisers_predict_what_python_predicts_at_each_step(page, exact, kind):
    view, log_snrs = denoisers.live(), Cosine().uniform_log_snrs(STEPS)
    steps = page.evaluate(
        """async ([kind, data, sheet, logSnrs]) => {
            const noise = Float64Array.from(m.gaussian(3072, 3));
            const denoise = kind == "gaussian" ? m.gaussianDenoiser(data, 32)
                : m.memoryDenoiser(await m.decodeSheet(sheet, 32), 32);
            return trace(denoise, noise, logSnrs, data);
        }""",
        [kind, view.gaussian, view.sheet, log_snrs.tolist()],
    )
    x0 = pictures(steps, "x0")
    states = list(ddim(exact[kind], pictures(steps[:1], "x")[0], log_snrs))
    # both compute in double precision; images of the finite set are kept in single precision
    assert max(float((state.x0 - shown).abs().max()) for state, shown in zip(states, x0, strict=True)) < 1e-4
    for expected, step in zip(shares_in_python(states, *denoisers.photograph_powers()), steps, strict=True):
        if expected is None:
            assert step["shares"] is None
        elif step["shares"]:
            np.testing.assert_allclose(step["shares"], expected, atol=1e-3)


def test_for_gaussian_data_the_measured_shares_are_the_predicted_ones(page, exact):
    mean, covariances = denoisers.photograph_powers()
    log_snrs = Cosine().uniform_log_snrs(STEPS)
    arguments = [log_snrs.tolist(), denoisers.live().gaussian["values"]]
    predicted = np.array(page.evaluate("([z, values]) => m.predictedShares(z, values)", arguments))
    noise = torch.randn(200, 3, 32, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    states = list(ddim(exact["gaussian"], noise, log_snrs))
    measured = np.array(list(shares_in_python(states, mean, covariances)))
    # the mean colour has 3 coefficients and 2 x 2 pixels 9, of which brightness holds nearly all
    assert (np.abs(measured - predicted).sum(1) / 2).mean() < 0.05


def test_the_schedules_have_the_log_snrs_of_python(page):
    for kind in denoisers.SCHEDULES:
        arguments = [kind.__name__, default_parameters(kind), STEPS]
        shown = page.evaluate("([kind, parameters, count]) => m.stepLogSnrs(kind, parameters, count)", arguments)
        np.testing.assert_allclose(shown, kind().uniform_log_snrs(STEPS), rtol=1e-9, atol=1e-9)


def test_bands_are_those_of_the_package(page):
    image = torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    in_page = "(x) => m.splitBands(Float64Array.from(x), 32).map((band) => Array.from(band))"
    split = page.evaluate(in_page, image.flatten().tolist())
    for level, (shown, expected) in enumerate(zip(split, bands(image[None]), strict=True)):
        side = 32 >> level
        np.testing.assert_allclose(upsample(np.array(shown).reshape(1, 3, side, side), level), expected, atol=1e-12)


def test_the_sheet_becomes_the_remembered_images(page):
    digest = page.evaluate(
        """async (sheet) => {
            const bytes = await crypto.subtle.digest("SHA-256", await m.decodeSheet(sheet, 32));
            return Array.from(new Uint8Array(bytes));
        }""",
        denoisers.live().sheet,
    )
    assert bytes(digest) == hashlib.sha256(denoisers.remembered_images().tobytes()).digest()


# The network


def rounded(pipe):
    """The pipeline with its weights as the network's file stores them."""
    for module in (pipe.unet, pipe.text_encoder):
        for weight in module.parameters():
            if weight.ndim >= 2 and weight.numel() >= export_onnx.SMALLEST:
                stored, scale = export_onnx.as_bytes(weight.detach().float().numpy())
                weight.data = torch.from_numpy(stored * scale)
    return pipe


def test_the_file_of_the_network_is_the_one_on_record():
    data = export_onnx.NETWORK.read_bytes()
    assert (len(data), hashlib.sha256(data).hexdigest()) == (RECORD["bytes"], RECORD["sha256"])
    assert len(data) < 12e6
    runtime = ROOT / "book/_vendor/onnxruntime/ort-wasm-simd-threaded.wasm"
    assert runtime.stat().st_size == denoisers.RUNTIME_BYTES < 15e6


def test_eight_bits_change_the_held_out_error_of_the_network_by_less_than_a_hundredth():
    errors = RECORD["held_out_error"]
    assert np.abs(np.array(errors["bytes"]) / np.array(errors["float32"]) - 1).max() < 0.01
    assert len(errors["log_snr"]) == len(errors["bytes"]) >= 5


def test_the_network_of_the_page_is_the_bundled_one():
    pipe = models.load(export_onnx.NAME)
    assert RECORD["weights"] == models.Pipeline(pipe).fingerprint, "run book/_tools/export_onnx.py"
    for prompt in PROMPTS:
        ids = export_onnx.token_ids(pipe, [prompt])[0]
        assert RECORD["ids"][prompt] == ids[ids != 0].tolist()
    assert RECORD["ids"][""] == [1]
    schedule = from_scheduler(pipe.scheduler)
    np.testing.assert_allclose(RECORD["log_snrs"], schedule.log_snr(np.arange(1000)), atol=1e-6)


def test_the_network_predicts_what_python_predicts_at_each_step(page, address):
    """With the same eight bits; in full precision the two runs differ by the rounding of weights, which adds up."""
    log_snrs = Cosine().uniform_log_snrs(STEPS)
    steps = page.evaluate(
        """async ([address, data, table, ids, logSnrs, scale, switchAt]) => {
            const ort = await import("/onnxruntime/ort.wasm.min.mjs");
            ort.env.wasm.numThreads = 1;
            ort.env.wasm.wasmPaths = `${address}/onnxruntime/`;
            const session = await ort.InferenceSession.create(`${address}/network/photos-32.onnx`);
            const velocities = async (x, time, ids) => (await session.run({
                x: new ort.Tensor("float32", x, [2, 3, 32, 32]),
                time: new ort.Tensor("float32", time, [2]),
                ids: new ort.Tensor("int64", ids, [2, 77]),
            })).velocity.data;
            const denoise = m.networkDenoiser(velocities, table, (z) => ids[z < switchAt ? 0 : 1], scale);
            return trace(denoise, Float64Array.from(m.gaussian(3072, 5)), logSnrs, data);
        }""",
        [
            address,
            denoisers.live().gaussian,
            RECORD["log_snrs"],
            [RECORD["ids"][prompt] for prompt in PROMPTS],
            log_snrs.tolist(),
            SCALE,
            SWITCH,
        ],
    )
    pipe = rounded(models.load(export_onnx.NAME))
    schedule = from_scheduler(pipe.scheduler)
    first, second, nothing = (
        UNetPredictor(pipe.unet, schedule, encode(pipe, prompt), "v_prediction") for prompt in (*PROMPTS, "")
    )
    guided = [Guided(predictor, nothing, SCALE) for predictor in (first, second)]
    x0, noise = pictures(steps, "x0"), pictures(steps[:1], "x")[0]
    states = list(ddim(lambda images, z: guided[z >= SWITCH](images, z), noise, log_snrs))
    assert max(float((state.x0 - shown).abs().max()) for state, shown in zip(states, x0, strict=True)) < 1e-2

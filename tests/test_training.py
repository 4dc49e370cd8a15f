"""The losses have the optima that the theory gives them; the trainer reaches them, resumes, shares, saves."""

import dataclasses
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch.nn.functional import avg_pool2d, interpolate

from chroma import data, from_scheduler, models, training
from chroma._fingerprint import identify
from chroma.data import checksum
from chroma.exact import EmpiricalPredictor, GaussianPredictor
from chroma.losses import level_loss, low_loss, noise_loss, residual_loss
from chroma.networks import build_pipeline
from chroma.predictors import from_pipeline, residual_part
from chroma.process import add_noise, scales
from chroma.recipes import RECIPES, Recipe
from chroma.schedules import Cosine, Linear, Natural

TINY = Recipe(
    size=8,
    block_out_channels=(16, 32),
    layers_per_block=(1, 1),
    batch_size=8,
    num_samples=8 * 12,
    lr_warmup_steps=2,
    mixed_precision="no",
)
PROMPT = "a drawing of something"
CONTENTS = ["broccoli", "butterfly", "lion", "scarf"]
CHECKPOINT = "checkpoint.safetensors"
UNET = "unet/diffusion_pytorch_model.safetensors"


def pictures(size):
    return data.drawings(size, styles="fluent_3d", contents=CONTENTS).images


def standard(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def finer_part(noise):
    """I - UD by PyTorch's own pooling."""
    return noise - interpolate(avg_pool2d(noise, 2), scale_factor=2, mode="nearest")


def zero(x, log_snr):
    return torch.zeros_like(x)


def uneven(x, log_snr):
    """Any predictor that depends on the image and on its log-SNR."""
    return torch.tanh(x) * log_snr[:, None, None, None]


# ---- the losses


def test_a_perfect_oracle_has_no_loss():
    x0, noise, log_snr = standard(4, 3, 8, 8), standard(4, 3, 8, 8, seed=1), torch.linspace(-8, 8, 4)
    assert noise_loss(lambda x, z: noise, x0, noise, log_snr).tolist() == [0] * 4
    loss = residual_loss(lambda x, z: finer_part(noise), x0, noise, log_snr)
    torch.testing.assert_close(loss, torch.zeros(4), atol=1e-12, rtol=0)  # two orders of the same float32 sums


def test_a_predictor_of_zero_loses_the_energy_of_the_noise_and_three_quarters_of_it_for_residuals():
    x0, noise, log_snr = standard(64, 3, 16, 16), standard(64, 3, 16, 16, seed=1), torch.zeros(64)
    count = noise.numel()
    for loss, energy in ((noise_loss, 1.0), (residual_loss, 0.75)):
        found = loss(zero, x0, noise, log_snr)
        assert found.shape == (64,)
        error = (2 * energy / count) ** 0.5  # of the mean of `energy` x `count` squares of unit normals
        assert abs(found.mean().item() - energy) < 4 * error


def test_noising_is_that_of_diffusers_for_each_image_at_its_own_time():
    from diffusers import DDPMScheduler

    scheduler = DDPMScheduler(beta_schedule="squaredcos_cap_v2")
    times = torch.tensor([0, 100, 500, 900])
    log_snr = torch.from_numpy(from_scheduler(scheduler).log_snr(times.numpy())).float()
    x0, noise = standard(4, 3, 8, 8), standard(4, 3, 8, 8, seed=1)
    # float32: six digits
    torch.testing.assert_close(add_noise(x0, noise, log_snr), scheduler.add_noise(x0, noise, times))


@pytest.mark.parametrize("loss", [noise_loss, residual_loss, low_loss])
def test_the_loss_of_an_image_is_its_own_at_its_own_log_snr(loss):
    size = 4 if loss is low_loss else 8
    x0, noise, log_snr = standard(3, 3, 8, 8), standard(3, 3, size, size, seed=1), torch.tensor([-3.0, 0.0, 3.0])
    joint = loss(uneven, x0, noise, log_snr)
    alone = [loss(uneven, x0[i : i + 1], noise[i : i + 1], log_snr[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(joint, torch.cat(alone))
    assert joint.unique().numel() == 3


def test_the_low_loss_is_the_noise_loss_of_mean_pooled_images():
    x0, noise, log_snr = standard(3, 3, 8, 8), standard(3, 3, 4, 4, seed=1), torch.tensor([-3.0, 0.0, 3.0])
    pooled = noise_loss(uneven, avg_pool2d(x0, 2), noise, log_snr)
    torch.testing.assert_close(low_loss(uneven, x0, noise, log_snr), pooled)


def test_all_levels_but_the_last_lose_residuals_and_the_last_all_of_its_noise():
    x0, log_snr = standard(3, 3, 8, 8), torch.tensor([-3.0, 0.0, 3.0])
    for level in range(3):
        noise = standard(3, 3, 8 >> level, 8 >> level, seed=1)
        pooled = avg_pool2d(x0, 2**level)
        error = (noise if level == 2 else finer_part(noise)) - uneven(add_noise(pooled, noise, log_snr), log_snr)
        loss = level_loss(uneven, x0, noise, log_snr, level, levels=3)
        torch.testing.assert_close(loss, error.square().mean((1, 2, 3)))


@pytest.mark.parametrize("known", ["normal", "four pictures"])
def test_nothing_beats_the_residual_part_of_the_exact_noise(known):
    """Eq 21's optimum is (I - UD) E[eps | x_t]: every other prediction costs its square distance more."""
    log_snr = torch.tensor([-2.0, 0.0, 2.0]).repeat_interleave(256)
    if known == "normal":
        exact = GaussianPredictor(torch.zeros(3, 8, 8), [0.2, 0.5, 1.0, 2.0])
        x0 = exact.sample(len(log_snr), torch.Generator().manual_seed(0))
    else:
        images = torch.from_numpy(pictures(8))
        exact, x0 = EmpiricalPredictor(images), images.repeat(len(log_snr) // 4, 1, 1, 1)
    noise = standard(*x0.shape, seed=1)
    best = residual_part(exact)
    others = {
        "too small": lambda x, z: 0.9 * best(x, z),
        "too large": lambda x, z: 1.1 * best(x, z),
        "late": lambda x, z: best(x, z + 0.5),
        "early": lambda x, z: best(x, z - 0.5),
        "of a smaller image": lambda x, z: best(0.9 * x, z),
        "with what is coarse": exact,
    }
    floor = residual_loss(best, x0, noise, log_snr)
    x = add_noise(x0, noise, log_snr)
    for other in others.values():
        excess = residual_loss(other, x0, noise, log_snr) - floor
        distance = (other(x, log_snr) - best(x, log_snr)).square().mean()
        # their difference is a mean of products with the error of the optimum: zero, but for chance
        assert excess.mean() > 0
        assert abs(excess.mean() - distance) < 4 * excess.std() / len(excess) ** 0.5


# ---- training


@pytest.fixture(scope="module")
def low(tmp_path_factory):
    """The folder of a model of four drawings, halved from 16 to 8 pixels (Eq 20)."""
    folder = tmp_path_factory.mktemp("trained") / "low"
    overfit(folder, avg_pool2d(torch.from_numpy(pictures(16)), 2).numpy())
    return folder


def overfit(folder, images, residual=False):
    recipe = dataclasses.replace(
        TINY,
        residual=residual,
        batch_size=16,
        num_samples=16 * 300,
        learning_rate=3e-3,
        lr_warmup_steps=20,
        ema_decay=0.98,
    )
    training.train(recipe, images, [PROMPT] * len(images), folder)


def motionless(x, log_snr):
    """The noise that stands for a velocity of 0."""
    return scales(log_snr)[1] * x


def velocity_losses(loss, folder, x0, known, part=lambda predictor: predictor):
    """Of the saved model, the exact predictor and `motionless`: at the same times, with the same noise."""
    pipe, rows = models.load(folder), 16
    log_snr = from_scheduler(pipe.scheduler).log_snr(np.linspace(0, 999, 32))
    log_snr = torch.from_numpy(log_snr).float().repeat_interleave(rows)
    x0, noise = x0.repeat(len(log_snr) // len(x0), 1, 1, 1), standard(len(log_snr), 3, 8, 8, seed=1)
    return [
        (loss(part(predictor), x0, noise, log_snr) / torch.sigmoid(log_snr)).mean().item()
        for predictor in (from_pipeline(pipe, PROMPT), EmpiricalPredictor(known), motionless)
    ]


# Most of what is left is at t = 0: the velocity there is the noise of an almost clean picture, which takes longer.
LEFT = 0.2  # of what `motionless` has above the floor; 0.14 and 0.11 were measured


def test_four_pictures_are_learnt_at_the_lower_size_almost_as_well_as_they_can_be(low):
    x0 = torch.from_numpy(pictures(16))
    halves = avg_pool2d(x0, 2)
    model, floor, start = velocity_losses(low_loss, low, x0, halves)
    assert floor < model < floor + LEFT * (start - floor)
    # Eq 20 is Eq 3 for the smaller pictures
    assert velocity_losses(noise_loss, low, halves, halves) == pytest.approx([model, floor, start], rel=1e-5)


def test_the_residual_noise_of_four_pictures_is_learnt_almost_as_well_as_it_can_be(tmp_path):
    overfit(tmp_path, pictures(8), residual=True)
    x0 = torch.from_numpy(pictures(8))
    model, floor, start = velocity_losses(residual_loss, tmp_path, x0, x0, residual_part)
    assert floor < model < floor + LEFT * (start - floor)


@pytest.mark.parametrize(
    ("schedule", "prediction_type", "residual"),
    [
        ("cosine", "v_prediction", False),
        ("linear", "epsilon", False),
        ("natural", "v_prediction", True),
        ("cosine", "epsilon", True),
    ],
)
def test_the_monitored_loss_is_that_of_the_saved_model_whatever_it_predicts_in_which_time(
    tmp_path, schedule, prediction_type, residual
):
    recipe = dataclasses.replace(
        TINY,
        schedule=schedule,
        prediction_type=prediction_type,
        residual=residual,
        num_samples=TINY.batch_size,
        learning_rate=0.0,
    )
    some = pictures(8), [PROMPT] * 4
    training.train(recipe, *some, tmp_path, monitor=training.Monitor(some, some, points=1))
    pipe = models.load(tmp_path)
    ((_, monitored, _),) = json.loads((tmp_path / "card.json").read_text())["losses"]
    times = np.floor(1000 * (np.arange(4) * 0.6180339887 % 1))
    log_snr = torch.from_numpy(from_scheduler(pipe.scheduler).log_snr(times)).float()
    noise = torch.randn((4, 3, 8, 8), generator=torch.Generator().manual_seed(recipe.seed))
    predictor = from_pipeline(pipe, PROMPT)
    loss = residual_loss if residual else noise_loss
    losses = loss(residual_part(predictor) if residual else predictor, torch.from_numpy(some[0]), noise, log_snr)
    if prediction_type == "v_prediction":
        losses = losses / torch.sigmoid(log_snr)
    assert losses.mean().item() == pytest.approx(monitored, rel=0.01)  # weights are saved in half precision


def test_schedules_of_recipes_are_those_of_the_paper():
    times = np.arange(1, 1000)  # by their end, after this many steps of 1000
    schedules = {"cosine": Cosine().log_snr(times / 1000), "linear": Linear().log_snr(times / 1000)}
    schedules["natural"] = Natural().log_snr(-times * np.log(0.99))
    for name, expected in schedules.items():
        pipe = build_pipeline(dataclasses.replace(TINY, schedule=name), ["a"])
        found = from_scheduler(pipe.scheduler).log_snr(times - 1)
        # diffusers' sums of betas against integrals: they differ most at the first steps, and at the last of cosine
        np.testing.assert_allclose(found[20:980], expected[20:980], atol=0.11)


# ---- what a step sees


def test_a_batch_follows_from_the_seed_and_the_step_alone():
    first = training.training_batch(TINY, 7, 20)
    torch.manual_seed(1), np.random.seed(1)
    again = training.training_batch(TINY, 7, 20)
    for field in dataclasses.fields(first):
        assert torch.equal(*(torch.as_tensor(getattr(now, field.name)) for now in (first, again)))
    for other in (
        training.training_batch(TINY, 8, 20),
        training.training_batch(dataclasses.replace(TINY, seed=1), 7, 20),
    ):
        assert not torch.equal(first.noise, other.noise)
        assert not torch.equal(first.times, other.times)
        assert not np.array_equal(first.rows, other.rows)


def test_each_pass_over_the_data_is_another_order_of_it():
    rows = np.concatenate([training.training_batch(TINY, step, 20).rows for step in range(5)]).reshape(
        2, 20
    )  # 5 x 8 = 2 x 20
    assert np.array_equal(np.sort(rows), np.tile(np.arange(20), (2, 1)))
    assert not np.array_equal(*rows)


def test_times_are_uniform_noise_is_white_and_a_tenth_of_the_prompts_are_dropped():
    batches = [training.training_batch(dataclasses.replace(TINY, batch_size=100), step, 50) for step in range(40)]
    times = torch.cat([now.times for now in batches])
    counts = torch.bincount(times // 100, minlength=10)
    assert counts.sum() == 4000 and len(counts) == 10
    assert (counts - 400).abs().max() < 4 * (4000 * 0.1 * 0.9) ** 0.5  # binomial
    assert abs(np.concatenate([now.drop_cond for now in batches]).sum() - 400) < 4 * (4000 * 0.1 * 0.9) ** 0.5
    noise = torch.cat([now.noise for now in batches])
    assert abs(noise.mean()) < 4 / noise.numel() ** 0.5
    assert abs(noise.square().mean() - 1) < 4 * (2 / noise.numel()) ** 0.5


def test_a_share_of_the_images_is_taken_from_the_noisiest_times_and_nothing_else_changes():
    recipe = dataclasses.replace(TINY, batch_size=2000)
    plain, mixed, late = (
        training.training_batch(dataclasses.replace(recipe, high_noise_fraction=share), 0, 20)
        for share in (0.0, 0.5, 1.0)
    )
    assert 700 <= late.times.min() < 710 and 990 <= late.times.max() < 1000
    share = 0.5 + 0.5 * 0.3  # of all times: the noisy half, and three tenths of the other
    assert abs((mixed.times >= 700).float().mean() - share) < 4 * (share * (1 - share) / 2000) ** 0.5  # binomial
    for other in (mixed, late):
        assert torch.equal(other.noise, plain.noise)
        assert np.array_equal(other.rows, plain.rows) and np.array_equal(other.drop_cond, plain.drop_cond)


def test_the_learning_rate_warms_up_and_ends_at_zero():
    recipe = dataclasses.replace(TINY, num_samples=TINY.batch_size * 1000, lr_warmup_steps=50)
    rates = np.array([training.learning_rate(recipe, step) for step in range(1001)])
    assert rates[0] == pytest.approx(recipe.learning_rate / 50)
    assert rates.argmax() in (48, 49) and rates.max() == pytest.approx(recipe.learning_rate, rel=0.01)
    assert (np.diff(rates)[:48] > 0).all() and (np.diff(rates)[49:] < 0).all()
    assert rates[1000] == 0
    assert training.learning_rate(dataclasses.replace(recipe, lr_warmup_steps=0), 0) == recipe.learning_rate


# ---- what is left of a run that was killed


def checkpoint_step(folder):
    from safetensors import safe_open

    with safe_open(folder / CHECKPOINT, "pt") as file:
        return json.loads(file.metadata()["record"])["step"]


def assert_same(one, other):
    """Weights, moving average and Adam's moments, in float32, and what is saved of them: bit for bit."""
    for file in (CHECKPOINT, "unet/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors"):
        ours, theirs = load_file(one / file), load_file(other / file)
        assert ours.keys() == theirs.keys()
        assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []


@pytest.fixture
def steps(monkeypatch):
    """The steps that `train` does from here on."""
    seen, batch = [], training.training_batch

    def noted(recipe, step, count):
        seen.append(step)
        return batch(recipe, step, count)

    monkeypatch.setattr(training, "training_batch", noted)
    return seen


def test_a_run_killed_at_any_moment_goes_on_to_the_same_weights_bit_for_bit(tmp_path, steps):
    def arguments(folder):
        fields = (
            "--block-out-channels 16 32 --layers-per-block 1 1 --num-samples 320 --batch-size 8 --lr-warmup-steps 5 "
            "--mixed-precision no --checkpoint-every 4"
        )
        return ["emoji-8", "--out", str(tmp_path / folder), *fields.split()]

    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}  # sums depend on it
    command = [sys.executable, "-m", "chroma.training", *arguments("killed")]
    with open(tmp_path / "log", "w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        while not (tmp_path / "killed" / CHECKPOINT).is_file():
            assert process.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.01)
        process.kill()
        assert process.wait() == -9
    done = checkpoint_step(tmp_path / "killed")
    assert 0 < done < 40

    training.main(arguments("killed"))
    assert steps == list(range(done, 40))
    training.main(arguments("whole"))
    assert_same(tmp_path / "killed", tmp_path / "whole")


def test_a_kill_while_a_checkpoint_is_written_leaves_the_one_before(tmp_path, monkeypatch, steps):
    run = (TINY, pictures(8), CONTENTS)
    with monkeypatch.context() as patch:
        synced, sync = [], os.fsync

        def killed(file):
            synced.append(file)
            if len(synced) == 2:
                raise KeyboardInterrupt
            sync(file)

        patch.setattr(os, "fsync", killed)
        with pytest.raises(KeyboardInterrupt):
            training.train(*run, tmp_path / "killed", checkpoint_every=4)
    assert checkpoint_step(tmp_path / "killed") == 4
    leftover = tmp_path / "killed" / f"{CHECKPOINT}.{'0' * 32}.partial"
    leftover.write_bytes((tmp_path / "killed" / CHECKPOINT).read_bytes()[:1000])  # cut short, as a kill would

    steps.clear()
    training.train(*run, tmp_path / "killed", checkpoint_every=4)
    assert steps == list(range(4, 12))
    training.train(*run, tmp_path / "whole")
    assert_same(tmp_path / "killed", tmp_path / "whole")


@pytest.fixture
def finished(low, tmp_path):
    """The checkpoint of a finished run, and the arguments of that run."""
    shutil.copy(low / CHECKPOINT, tmp_path)
    recipe = json.loads((low / "card.json").read_text())["recipe"]
    recipe = Recipe(**{key: tuple(value) if isinstance(value, list) else value for key, value in recipe.items()})
    images = avg_pool2d(torch.from_numpy(pictures(16)), 2).numpy()
    return {"recipe": recipe, "images": images, "prompts": [PROMPT] * 4, "folder": tmp_path}


def test_a_finished_run_is_not_run_again(finished, low, steps):
    training.train(**finished)
    assert steps == []
    assert_same(finished["folder"], low)


def test_a_truncated_checkpoint_is_refused_by_name(finished):
    path = finished["folder"] / CHECKPOINT
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=re.escape(f"the checkpoint {path} is corrupt")):
        training.train(**finished)


def broken(path, change):
    """Change the tensors or the metadata of a checkpoint by hand."""
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    tensors, record = load_file(path), json.loads(metadata["record"])
    name = next(name for name in tensors if name.startswith("model.unet."))
    wrong = {
        "missing": lambda: tensors.pop(name),
        "missing average": lambda: tensors.pop("ema.0"),
        "missing moment": lambda: tensors.pop("optimizer.3.exp_avg_sq"),
        "shape": lambda: tensors.update({name: torch.zeros(3)}),
        "type": lambda: tensors.update({name: tensors[name].half()}),
        "nan": lambda: tensors.update({name: torch.full_like(tensors[name], float("nan"))}),
        "unknown": lambda: tensors.update({"optimizer.x.step": torch.zeros(())}),
        "step": lambda: record.update(step="two"),
        "steps": lambda: record.update(step=10**6),
        "seconds": lambda: record.pop("seconds"),
    }
    wrong.get(change, lambda: None)()
    metadata["record"] = "{" if change == "record" else json.dumps(record)
    metadata["run"] = {"run": "[]", "recipe": "{}"}.get(change, metadata["run"])
    save_file(tensors, path, metadata)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("missing", "the tensor model.unet.* is missing"),
        ("missing average", "the tensor ema.0 is missing"),
        ("missing moment", "the tensor optimizer.3.exp_avg_sq is missing"),
        ("shape", r"the tensor model.unet.* is torch.float32 of shape \(3,\), and must be torch.float32 of shape"),
        ("type", "the tensor model.unet.* is torch.float16 of shape .*, and must be torch.float32"),
        ("nan", "the tensor model.unet.* has NaN or infinity"),
        ("unknown", "the tensor optimizer.x.step is none of this model's"),
        ("step", "its 'step' is 'two'"),
        ("steps", "its 'step' is 1000000"),
        ("seconds", "its 'seconds' is None"),
        ("record", "its metadata 'record' is not a JSON object"),
        ("run", "its metadata 'run' is not a JSON object"),
        ("recipe", "its metadata has no recipe"),
    ],
)
def test_a_checkpoint_that_was_changed_by_hand_is_refused_by_the_name_of_what_is_wrong(finished, change, words):
    path = finished["folder"] / CHECKPOINT
    broken(path, change)
    with pytest.raises(ValueError, match=rf"the checkpoint {re.escape(str(path))} is corrupt \({words}.*delete it"):
        training.train(**finished)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("recipe", "learning_rate: 0.003 there, 0.001 now"),
        ("images", "images or prompts: "),
        ("prompts", "images or prompts: "),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(finished, change, words):
    other = {
        "recipe": dataclasses.replace(finished["recipe"], learning_rate=1e-3),
        "images": finished["images"][::-1],
        "prompts": [*finished["prompts"][:3], "something of a drawing"],
    }
    with pytest.raises(ValueError, match=rf"holds another run \(.*{words}.*choose another folder"):
        training.train(**{**finished, change: other[change]})


# ---- several processes


def test_two_processes_follow_the_gradient_of_one(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\n"
        "from chroma import data, training\n"
        "from chroma.recipes import Recipe\n"
        f"images = data.drawings(8, styles='fluent_3d', contents={CONTENTS}).images\n"
        f"training.train({dataclasses.replace(TINY, num_samples=24)}, images, {CONTENTS}, sys.argv[1])\n"
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_machines", "1"]
    launch += ["--num_processes", "2", "--mixed_precision", "no", "--dynamo_backend", "no"]
    launch += ["--main_process_ip", "127.0.0.1", "--main_process_port", str(port)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(
        [*launch, str(program), str(tmp_path / "two")], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "two/card.json").read_text())["machine"].startswith("2 x cpu")

    training.train(dataclasses.replace(TINY, num_samples=24), pictures(8), CONTENTS, tmp_path / "one")
    one, two = (load_file(tmp_path / name / CHECKPOINT) for name in ("one", "two"))
    assert one.keys() == two.keys()
    for name in one:
        if name.endswith("exp_avg"):  # Adam's mean of the gradients of three steps: float32 sums in another order
            assert (one[name] - two[name]).norm() <= 1e-4 * one[name].norm() + 1e-9
        elif name.startswith("model."):  # Adam divides by the gradient's size, small ones too: a tenth of a step
            torch.testing.assert_close(two[name], one[name], atol=TINY.learning_rate / 10, rtol=0)


def test_processes_that_do_not_know_of_each_other_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(
        ValueError,
        match=r"the 2 processes are not connected to one another; without GPUs, set .*ACCELERATE_USE_CPU=true",
    ):
        training.train(TINY, pictures(8), CONTENTS, tmp_path)


# ---- what is saved


def test_a_run_that_starts_from_another_begins_with_its_weights_and_keeps_its_card(low, tmp_path):
    again = dataclasses.replace(TINY, num_samples=8, learning_rate=0.0, init_from=str(low))
    before = load_file(low / UNET)
    training.train(again, pictures(8), [PROMPT] * 4, tmp_path)
    after = load_file(tmp_path / UNET)
    assert all(torch.equal(before[name], after[name]) for name in before)
    card = json.loads((tmp_path / "card.json").read_text())
    assert card["init_from"] == json.loads((low / "card.json").read_text())
    assert card["start"] == identify(models.load(low)) and all(len(digits) == 64 for digits in card["start"].values())


def test_the_start_of_a_run_is_the_model_not_the_folder_that_it_is_in(low, tmp_path):
    start, moved = (Path(shutil.copytree(low, tmp_path / name)) for name in ("start", "moved"))
    again = dataclasses.replace(TINY, num_samples=8, init_from=str(start))
    training.train(again, pictures(8), [PROMPT] * 4, tmp_path / "run")
    (tmp_path / "run" / "card.json").unlink()  # as if it had been killed before the end
    training.train(dataclasses.replace(again, init_from=str(moved)), pictures(8), [PROMPT] * 4, tmp_path / "run")
    weights = load_file(start / UNET)
    save_file({name: 2 * weight for name, weight in weights.items()}, start / UNET)
    with pytest.raises(ValueError, match=r"holds another run \(unet of init_from: .* there, .* now\): choose another"):
        training.train(again, pictures(8), [PROMPT] * 4, tmp_path / "run")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"init_from": "nowhere"}, "init_from must be the folder of a finished run, with its card.json; got nowhere"),
        (
            {"block_out_channels": (32, 64)},
            r"init_from must be a network of the recipe's architecture; got block_out_channels: \[16, 32\] there, ",
        ),
        (
            {"layers_per_block": (2, 1)},
            r"init_from must be .* architecture; got layers_per_block: \[1, 1\] there, .* now",
        ),
        ({"residual": True}, "init_from must be .* the recipe's loss; got residual False there, True now"),
        ({"schedule": "linear"}, "init_from must be .* the recipe's loss; got schedule cosine there, linear now"),
        ({"prediction_type": "epsilon"}, "the recipe's loss; got prediction_type v_prediction there, epsilon now"),
        (
            {"prompts": ["a drawing of something else"] * 4},
            "init_from must be .* every word of the prompts; got a model without 1 of their words: else",
        ),
    ],
)
def test_a_start_that_is_no_run_or_another_network_is_refused(low, tmp_path, change, words):
    prompts = change.get("prompts", [PROMPT] * 4)
    fields = {"init_from": str(low), **{name: value for name, value in change.items() if name != "prompts"}}
    with pytest.raises(ValueError, match=words):
        training.train(dataclasses.replace(TINY, **fields), pictures(8), prompts, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_the_mean_of_the_weights_is_saved_and_not_the_last_ones(tmp_path, monkeypatch):
    """So early that the decay of the moving average is not reached, it is the plain mean over the steps."""
    seen, write = [], training._Trainer.checkpoint

    def noted(trainer):
        seen.append([weight.detach().clone() for weight in trainer.weights])
        write(trainer)

    monkeypatch.setattr(training._Trainer, "checkpoint", noted)
    pipe = training.train(
        dataclasses.replace(TINY, num_samples=32), pictures(8), CONTENTS, tmp_path, checkpoint_every=1
    )
    saved = training.ConditionedUNet(pipe.unet, pipe.text_encoder).parameters()
    assert len(seen) == 4
    moved = 0
    for weight, *path in zip(saved, *seen, strict=True):
        torch.testing.assert_close(weight, torch.stack(path).mean(0).half(), atol=1e-6, rtol=1e-3)  # 2^-11, in float16
        moved += not torch.equal(weight, path[-1].half())
    assert moved > len(seen[0]) / 2


def test_capitals_in_a_prompt_are_trained_as_the_pipeline_will_read_them():
    """IFPipeline lower-cases prompts: a vocabulary with "HD" would spell it letter by letter."""
    prompts = ["an HD photo of the Eiffel Tower", "a tower"]
    pipe = training.build_pipeline(TINY, prompts)
    pipe.text_encoder.eval()
    tokens = pipe.tokenizer.tokenize(prompts[0].lower())
    assert tokens == [f"▁{word}" for word in prompts[0].lower().split()]
    embeds = [
        from_pipeline(pipe, prompt).conditioning["encoder_hidden_states"] for prompt in (prompts[0], prompts[0].lower())
    ]
    assert torch.equal(*embeds)


def test_it_is_saved_in_half_precision_without_pickles(low):
    files = [file for file in low.rglob("*") if file.is_file()]
    assert not [file for file in files if file.suffix in (".bin", ".pt", ".pkl", ".ckpt", ".partial")]
    weights = [file for file in files if file.suffix == ".safetensors" and file.name != CHECKPOINT]
    assert len(weights) == 2  # text encoder, UNet
    assert {tensor.dtype for file in weights for tensor in load_file(file).values()} == {torch.float16}


def test_the_run_card_says_what_was_trained_on_what_and_with_what(low):
    card = json.loads((low / "card.json").read_text())
    images = avg_pool2d(torch.from_numpy(pictures(16)), 2).numpy()
    assert card["recipe"] == {**dataclasses.asdict(TINY), **card["recipe"]}
    assert card["recipe"]["block_out_channels"] == [16, 32] and card["recipe"]["learning_rate"] == 3e-3
    assert card["data"] == checksum(images, [PROMPT] * 4)
    assert card["data"] != checksum(images + np.float32(1e-6), [PROMPT] * 4)
    assert card["images_seen"] == 16 * 300
    assert 0 < card["minutes"] < 60
    assert card["machine"].startswith("1 x cpu")
    assert card["versions"]["torch"] == torch.__version__
    assert card["commit"] is None or re.fullmatch("[0-9a-f]{40}", card["commit"])


def test_it_reloads_in_stock_diffusers_where_this_project_is_not(low):
    program = f"""
import sys, torch
sys.modules["chroma"] = None
from diffusers import IFPipeline
none = dict(safety_checker=None, feature_extractor=None, watermarker=None, requires_safety_checker=False)
pipe = IFPipeline.from_pretrained({str(low)!r}, dtype=torch.float32, **none)
pipe.set_progress_bar_config(disable=True)
made = pipe({PROMPT!r}, guidance_scale=1.0, num_inference_steps=20, num_images_per_prompt=8, output_type="pt",
            generator=torch.Generator().manual_seed(0)).images
torch.save(made, "made.pt")
"""
    subprocess.run([sys.executable, "-c", program], cwd=low.parent, capture_output=True, text=True, check=True)
    made = torch.load(low.parent / "made.pt")
    assert made.shape == (8, 3, 8, 8)
    known = avg_pool2d(torch.from_numpy(pictures(16)), 2)
    apart = (made[:, None] - known).square().mean((2, 3, 4))
    typical = (known[:, None] - known).square().mean((2, 3, 4)).sum() / 12  # between two of the four
    assert apart.min(1).values.mean() < typical / 3  # each is one of the four, in the pipeline's own hands


# ---- the command line, and what is refused


@pytest.fixture
def asked(monkeypatch):
    """What the command line asks `train` for, in place of training."""
    calls = []
    monkeypatch.setattr(training, "train", lambda *arguments: calls.append(arguments))
    return calls


def test_help_lists_the_recipes_and_an_option_for_each_field(capsys):
    with pytest.raises(SystemExit, match="0"):
        training.main(["--help"])
    help_text = capsys.readouterr().out
    for name in RECIPES:
        assert name in help_text
    for field in dataclasses.fields(Recipe):
        assert f"--{field.name.replace('_', '-')}" in help_text


def test_an_option_changes_one_field_of_the_recipe(asked, tmp_path):
    run, options = (
        ["emoji-8", "--out", str(tmp_path / "out")],
        "--learning-rate 0.01 --block-out-channels 32 64 --layers-per-block 1 2 --residual",
    )
    training.main(run)
    training.main([*run, *options.split(), "--checkpoint-every", "7"])
    (plain, images, prompts, *_), (changed, *_, every, _) = asked
    assert plain == RECIPES["emoji-8"]
    assert changed == dataclasses.replace(
        plain, learning_rate=0.01, block_out_channels=(32, 64), layers_per_block=(1, 2), residual=True
    )
    assert every == 7
    assert images.shape == (512, 3, 8, 8) and len(set(prompts)) == 512


def test_a_folder_of_images_is_data_without_words(asked, tmp_path, caplog):
    for i, image in enumerate(pictures(16)):
        pixels = ((image + 1) * 127.5).round().astype(np.uint8).transpose(1, 2, 0)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    (tmp_path / "4.png").write_bytes(b"not a picture")
    training.main(["emoji-8", "--out", str(tmp_path / "out"), "--data", str(tmp_path)])
    ((_, images, prompts, *_),) = asked
    assert np.abs(images - avg_pool2d(torch.from_numpy(pictures(16)), 2).numpy()).max() < 0.01  # of a byte's 2/255
    assert prompts == [""] * 4
    assert "4.png" in caplog.text


def test_it_trains_on_half_precision_images_without_words(tmp_path):
    recipe = dataclasses.replace(TINY, num_samples=16)
    pipe = training.train(recipe, pictures(8).astype(np.float16), [""] * 4, tmp_path)
    assert all(torch.isfinite(weight).all() for weight in pipe.unet.parameters())


@pytest.mark.parametrize("size", [4, 16])
def test_images_of_another_size_are_refused(tmp_path, size):
    must = rf"images must be floats of shape \(N, 3, 8, 8\), N >= 1; got float32 of shape \(4, 3, {size}, {size}\)"
    with pytest.raises(ValueError, match=must):
        training.train(TINY, pictures(size), CONTENTS, tmp_path)


def test_bytes_no_images_and_a_missing_prompt_are_refused(tmp_path):
    images = pictures(8)
    with pytest.raises(ValueError, match=r"images must be floats of shape .* got uint8"):
        training.train(TINY, images.astype(np.uint8), CONTENTS, tmp_path)
    with pytest.raises(ValueError, match=r"images must be floats of shape .* N >= 1; got"):
        training.train(TINY, images[:0], [], tmp_path)
    with pytest.raises(ValueError, match="prompts must be one for each of the 4 images; got 3 prompts"):
        training.train(TINY, images, CONTENTS[:3], tmp_path)


def test_a_batch_that_the_processes_cannot_share_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("accelerate.Accelerator.num_processes", 3)
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(ValueError, match="batch_size must be a multiple of the 3 processes; got 8"):
        training.train(TINY, pictures(8), CONTENTS, tmp_path)


@pytest.mark.parametrize(
    "change, must",
    [
        (
            {"block_out_channels": (16, 32, 32, 32, 32), "layers_per_block": (1,) * 5},
            "at most 4 numbers, and as many as",
        ),
        ({"size": 12, "block_out_channels": (16, 32, 32, 32), "layers_per_block": (1,) * 4}, "at most 3 numbers"),
        ({"layers_per_block": (1,)}, "at most 4 numbers, and as many as layers_per_block"),
        ({"block_out_channels": (18, 32)}, "multiples of 4, and >= 32 at 4 pixels and at the last"),
        ({"block_out_channels": (16, 16)}, "multiples of 4, and >= 32 at 4 pixels and at the last"),
    ],
)
def test_channels_that_do_not_fit_the_size_are_refused(change, must):
    with pytest.raises(ValueError, match=f"block_out_channels must be {must}"):
        training.build_pipeline(dataclasses.replace(TINY, **change), CONTENTS)

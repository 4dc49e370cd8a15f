"""The identity of a pipeline is of all that its numbers depend on, and of nothing else."""

import os
import shutil

import pytest
import torch
from tiny import clip_tokenizer, tiny

from chroma import models
from chroma._fingerprint import fingerprint, identify, known_identity, loaded_identity


def differing(one, other):
    return {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}


@pytest.fixture
def pipe():
    return tiny("StableDiffusionPipeline")


def negate(module):
    with torch.no_grad():
        for weight in module.parameters():
            weight.mul_(-1)


def flip(module):
    with torch.no_grad():
        module.weight.copy_(module.weight.flip(0))


def smallest_step(module):
    with torch.no_grad():
        weight = module.weight.view(-1)
        weight[0] = torch.nextafter(weight[0], torch.tensor(10.0))


def without_a_word(pipe):
    vocab = {"<|startoftext|>": 0, "<|endoftext|>": 1, "b</w>": 2, "a</w>": 3}
    pipe.tokenizer = type(clip_tokenizer())(vocab=vocab, merges=[], model_max_length=77)


CHANGES = {
    "the sign of the text encoder": (lambda pipe: negate(pipe.text_encoder), "text_encoder"),
    "the order of the output's colours": (lambda pipe: flip(pipe.unet.conv_out), "unet"),
    "one weight by its last bit": (lambda pipe: smallest_step(pipe.unet.conv_in), "unet"),
    "the VAE": (lambda pipe: negate(pipe.vae), "vae"),
    "the scale of the latents": (lambda pipe: pipe.vae.register_to_config(scaling_factor=0.13), "vae"),
    "the precision": (lambda pipe: pipe.unet.half(), "unet"),
    "what the network predicts": (
        lambda pipe: pipe.scheduler.register_to_config(prediction_type="sample"),
        "scheduler",
    ),
    "the numbers of two words": (without_a_word, "tokenizer"),
    "the longest prompt": (lambda pipe: setattr(pipe.tokenizer, "model_max_length", 9), "tokenizer"),
    "a new word, as textual inversion adds": (lambda pipe: pipe.tokenizer.add_tokens(["<cat-toy>"]), "tokenizer"),
    "FreeU": (lambda pipe: pipe.enable_freeu(s1=0.9, s2=0.2, b1=1.2, b2=1.4), "unet"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_seen_in_its_component(pipe, what):
    change, component = CHANGES[what]
    before, name = identify(pipe), fingerprint(pipe)
    change(pipe)
    assert differing(before, identify(pipe)) == {component}
    assert fingerprint(pipe) != name


def test_a_setting_of_the_pipeline_itself_is_seen():
    sdxl = tiny("StableDiffusionXLPipeline")
    before = identify(sdxl)
    sdxl.register_to_config(force_zeros_for_empty_prompt=False)
    assert differing(before, identify(sdxl)) == {"pipeline"}


def test_use_layout_and_another_copy_of_it_change_nothing(pipe, tmp_path):
    before = identify(pipe)
    pipe("a b", num_inference_steps=1, output_type="latent")  # which pads and cuts the prompt
    pipe.unet.to(memory_format=torch.channels_last)
    pipe.unet.set_attn_processor(pipe.unet.attn_processors)
    pipe.unet.compile()
    assert identify(pipe) == before
    pipe.save_pretrained(tmp_path / "here")
    assert identify(models.load(tmp_path / "here")) == before
    assert all(len(value) == 64 and set(value) <= set("0123456789abcdef") for value in before.values())


def test_a_safety_checker_which_looks_at_finished_images_does_not_count(pipe):
    before = identify(pipe)
    pipe.register_to_config(requires_safety_checker=True)
    assert identify(pipe) == before


def test_offloaded_weights_count_as_if_they_were_in_memory(pipe):
    from accelerate import cpu_offload

    before = identify(pipe)
    cpu_offload(pipe.unet, execution_device="cpu")
    assert next(pipe.unet.parameters()).is_meta
    assert identify(pipe) == before


@pytest.fixture
def saved(pipe, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    pipe.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_the_identity_of_a_folder_is_computed_once_until_a_file_changes(saved, monkeypatch):
    assert known_identity(saved, "float32") is None
    first = loaded_identity(models.load(saved), saved, "float32")
    assert first == identify(models.load(saved)) == known_identity(saved, "float32")
    assert known_identity(saved, "float16") is None
    monkeypatch.chdir(saved.parent)
    assert known_identity(saved.relative_to(saved.parent), "float32") == first  # another path to the same folder
    config = saved / "scheduler" / "scheduler_config.json"
    os.utime(config, ns=(0, 0))
    assert known_identity(saved, "float32") is None


def test_a_copy_of_a_folder_has_the_same_identity(saved, tmp_path):
    shutil.copytree(saved, tmp_path / "copy")
    assert identify(models.load(tmp_path / "copy")) == identify(models.load(saved))


def test_a_damaged_cache_or_one_that_cannot_be_written_is_no_fault(saved, tmp_path, monkeypatch):
    pipe = models.load(saved)
    first = loaded_identity(pipe, saved, "float32")
    (record,) = (tmp_path / "cache").rglob("*.json")
    for content in (b"", b"[]", b"\xff", b'{"unet": 3}'):
        record.write_bytes(content)
        assert known_identity(saved, "float32") is None
        assert loaded_identity(pipe, saved, "float32") == first
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert loaded_identity(pipe, saved, "float32") == first

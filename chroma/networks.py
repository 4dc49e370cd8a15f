"""The untrained networks of a recipe: a DeepFloyd IF pipeline of the recipe's size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from chroma._check import invalid_argument
from chroma.pyramid import depth
from chroma.recipes import Recipe

TEXT_WIDTH = 128  # of the embedding of a token
# the settings of diffusers for each schedule of a recipe; the last two end at nearly the same noise, alpha = 4e-5
BETAS: dict[str, dict[str, Any]] = {
    "cosine": {"beta_schedule": "squaredcos_cap_v2"},
    "linear": {"beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02},
    "natural": {"beta_schedule": "linear", "beta_start": 0.01, "beta_end": 0.01},
}


def build_pipeline(recipe: Recipe, prompts: Sequence[str]) -> Any:
    """Build an untrained ``diffusers.IFPipeline`` of a recipe's size.

    Args:
        recipe: of the model.
        prompts: the prompts to be trained on, whose words are the tokenizer's vocabulary.

    Returns:
        The pipeline, with random weights.

    Raises:
        ValueError: for block_out_channels that the image or the attention does not allow.

    >>> from chroma.recipes import RECIPES
    >>> pipe = build_pipeline(RECIPES["emoji-8"], ["a flat drawing of owl"])
    >>> type(pipe).__name__, pipe.unet.config.sample_size, pipe.tokenizer.tokenize("drawing of owl")
    ('IFPipeline', 8, ['▁drawing', '▁of', '▁owl'])
    """
    from diffusers import DDPMScheduler, IFPipeline, UNet2DConditionModel

    settings = unet_settings(recipe)
    torch.manual_seed(recipe.seed)
    tokenizer, text_encoder = _text(prompts)
    unet = UNet2DConditionModel(**settings)
    scheduler = DDPMScheduler(**scheduler_settings(recipe))
    return IFPipeline(
        tokenizer=tokenizer,
        text_encoder=text_encoder,
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        watermarker=None,
        requires_safety_checker=False,
    )


def unet_settings(recipe: Recipe) -> dict[str, Any]:
    """Choose the settings of a recipe's UNet.

    Args:
        recipe: of the model.

    Returns:
        The arguments of ``diffusers.UNet2DConditionModel``.

    Raises:
        ValueError: for block_out_channels that the image or the attention does not allow.

    >>> from chroma.recipes import RECIPES
    >>> unet_settings(RECIPES["emoji-8"])["layers_per_block"]
    (1, 1, 1)
    """
    channels, levels = recipe.block_out_channels, depth((recipe.size, recipe.size)) + 1
    if not 1 <= len(channels) <= levels or len(recipe.layers_per_block) != len(channels):
        must = f"at most {levels} numbers, and as many as layers_per_block"
        raise invalid_argument("block_out_channels", channels, must)
    # cross-attention acts where the image is 4 pixels wide, or smallest, and in the middle
    attention = _attention_blocks(recipe.size, len(channels))
    if any(n % 4 for n in channels) or min(channels[attention.index(True)], channels[-1]) < 32:
        must = "multiples of 4, and >= 32 at 4 pixels and at the last"
        raise invalid_argument("block_out_channels", channels, must)
    return {
        "sample_size": recipe.size,
        "in_channels": 3,
        "out_channels": 6,  # the second half is IF's learned variance, unused
        "block_out_channels": channels,
        "layers_per_block": recipe.layers_per_block,
        "down_block_types": ["SimpleCrossAttnDownBlock2D" if attends else "DownBlock2D" for attends in attention],
        "mid_block_type": "UNetMidBlock2DSimpleCrossAttn",
        "up_block_types": ["SimpleCrossAttnUpBlock2D" if attends else "UpBlock2D" for attends in reversed(attention)],
        "cross_attention_dim": TEXT_WIDTH,
        "encoder_hid_dim": TEXT_WIDTH,
        "encoder_hid_dim_type": "text_proj",
        "attention_head_dim": 32,
        "addition_embed_type": "text",
        "addition_embed_type_num_heads": 4,
        "norm_num_groups": 4,
        "resnet_time_scale_shift": "scale_shift",
        "act_fn": "silu",
        "time_embedding_dim": 256,
    }


def scheduler_settings(recipe: Recipe) -> dict[str, Any]:
    """Choose the settings of a recipe's scheduler.

    Args:
        recipe: of the model.

    Returns:
        The arguments of ``diffusers.DDPMScheduler``.

    >>> scheduler_settings(Recipe(schedule="natural"))["beta_start"]
    0.01
    """
    return {
        "num_train_timesteps": 1000,
        **BETAS[recipe.schedule],
        "prediction_type": recipe.prediction_type,
        "variance_type": "fixed_small",
        "clip_sample": False,
    }


def words_of(prompts: Sequence[str]) -> list[str]:
    """List the different words of prompts, in lower case: IFPipeline lower-cases a prompt before it is tokenized.

    Args:
        prompts: any number.

    Returns:
        The words, sorted.

    >>> words_of(["a flat drawing of owl", "A line drawing of ox"])
    ['a', 'drawing', 'flat', 'line', 'of', 'owl', 'ox']
    """
    return sorted({word for prompt in prompts for word in prompt.lower().split()})


def _attention_blocks(size: int, count: int) -> list[bool]:
    """Choose the block that has cross-attention, finest first: the first one whose image is 4 pixels wide, or smallest.

    Blocks whose image would be narrower than 4 pixels count as 4 pixels wide.
    """
    smallest = size >> (count - 1)
    candidates = [max(size >> i, 4) == max(smallest, 4) for i in range(count)]
    return [candidate and not any(candidates[:i]) for i, candidate in enumerate(candidates)]


def _text(prompts: Sequence[str]) -> tuple[Any, Any]:
    """Build the tokenizer and the untrained T5 text encoder for the words of the prompts."""
    from transformers import T5Config, T5EncoderModel, T5Tokenizer

    words = words_of(prompts)
    letters = sorted({letter for word in words for letter in word})
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -20.0)]
    pieces = [(f"▁{word}", -5.0) for word in words] + [("▁", -8.0)] + [(letter, -10.0) for letter in letters]
    tokenizer = T5Tokenizer(vocab=list(dict(special + pieces).items()), extra_ids=0, model_max_length=77)
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=TEXT_WIDTH,
        d_kv=32,
        d_ff=256,
        num_layers=1,
        num_heads=4,
        dropout_rate=0.0,
        is_encoder_decoder=False,
        use_cache=False,
        pad_token_id=0,
        eos_token_id=1,
    )
    return tokenizer, T5EncoderModel(config)

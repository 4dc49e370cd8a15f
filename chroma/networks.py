"""The networks that a recipe asks for, before any training: an IF pipeline of the recipe's size."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from chroma._check import refuse
from chroma.pyramid import depth
from chroma.recipes import Recipe


def untrained(recipe: Recipe, prompts: Sequence[str]):
    """A new ``diffusers.IFPipeline`` of the recipe's size, whose tokenizer knows the words of the prompts.

    >>> from chroma.recipes import RECIPES
    >>> pipe = untrained(RECIPES["emoji-8"], ["a flat drawing of owl"])
    >>> type(pipe).__name__, pipe.unet.config.sample_size, pipe.tokenizer.tokenize("drawing of owl")
    ('IFPipeline', 8, ['▁drawing', '▁of', '▁owl'])
    """
    from diffusers import DDPMScheduler, IFPipeline, UNet2DConditionModel

    most = depth((recipe.size, recipe.size)) + 1
    if not 1 <= len(recipe.channels) <= most or len(recipe.layers) != len(recipe.channels):
        raise refuse("channels", recipe.channels, f"at most {most}, and as many as layers")
    smallest = recipe.size >> (len(recipe.channels) - 1)
    # the words act where the image is 4 pixels wide, or smallest, and in the middle
    words = [max(recipe.size >> i, 4) == max(smallest, 4) for i in range(len(recipe.channels))]
    words = [word and not any(words[:i]) for i, word in enumerate(words)]
    if any(n % 4 for n in recipe.channels) or min(recipe.channels[words.index(True)], recipe.channels[-1]) < 32:
        raise refuse("channels", recipe.channels, "multiples of 4, and >= 32 at 4 pixels and at the last")
    torch.manual_seed(recipe.seed)
    tokenizer, text_encoder = _text(prompts)
    unet = UNet2DConditionModel(
        sample_size=recipe.size,
        in_channels=3,
        out_channels=6,  # the second half is IF's learned variance, unused
        block_out_channels=recipe.channels,
        layers_per_block=recipe.layers,
        down_block_types=["SimpleCrossAttnDownBlock2D" if word else "DownBlock2D" for word in words],
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        up_block_types=["SimpleCrossAttnUpBlock2D" if word else "UpBlock2D" for word in reversed(words)],
        cross_attention_dim=text_encoder.config.d_model,
        encoder_hid_dim=text_encoder.config.d_model,
        encoder_hid_dim_type="text_proj",
        attention_head_dim=32,
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
        norm_num_groups=4,
        resnet_time_scale_shift="scale_shift",
        act_fn="silu",
        time_embedding_dim=256,
    )
    scheduler = DDPMScheduler(
        num_train_timesteps=1000,
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
        variance_type="fixed_small",
        clip_sample=False,
    )
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


def _text(prompts: Sequence[str]):
    from transformers import T5Config, T5EncoderModel, T5Tokenizer

    words = sorted({word for prompt in prompts for word in prompt.split()})
    letters = sorted({letter for word in words for letter in word})
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -20.0)]
    pieces = [(f"▁{word}", -5.0) for word in words] + [("▁", -8.0)] + [(letter, -10.0) for letter in letters]
    tokenizer = T5Tokenizer(vocab=list(dict(special + pieces).items()), extra_ids=0, model_max_length=77)
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=128,
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

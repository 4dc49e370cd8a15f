"""What a prompt is to a pipeline and to its network: tensors, one dictionary for each class of diffusers pipeline.

::

    conditioning = encode(pipe, ["a red bus", "an owl"])
    safetensors.torch.save_file(conditioning, "prompts.safetensors")  # text encoders are large: encode once, then drop

Every prompt of this package is encoded by the pipeline's own ``encode_prompt``, in `pipeline_embeddings`.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from chroma._check import invalid_argument
from chroma.models import DiffusersPipeline, Pipeline

CLIP_TOKENS = 77  # the fewest tokens that a text encoder of these pipelines takes
WORD_START = "\u2581"  # the mark of a new word in sentencepiece vocabularies
NEGATIVE = ("negative_prompt", "negative_prompt_2", "negative_prompt_3")


@torch.no_grad()
def pipeline_embeddings(
    pipe: DiffusersPipeline, prompt: str | Sequence[str], **options: Any
) -> dict[str, torch.Tensor]:
    """Encode prompts as a call of the pipeline would, to be passed to that call in place of the prompts.

    Args:
        pipe: a diffusers pipeline with prompts.
        prompt: one, or a list, (B,).
        options: of the pipeline's ``encode_prompt`` that change its result: prompt_2, prompt_3, negative_prompt,
            negative_prompt_2, negative_prompt_3, clip_skip, max_sequence_length, lora_scale.

    Returns:
        Name -> tensor, (B, ...), named as the arguments of the call. All pipelines have prompt_embeds, SDXL, SD3 and
        Flux also pooled_prompt_embeds; with a negative prompt, negative_prompt_embeds and negative_pooled_prompt_embeds
        likewise.

    Raises:
        ValueError: for an empty list, and for an option that the pipeline does not have.

    >>> from chroma import models
    >>> embeddings = pipeline_embeddings(models.load("emoji-8"), "a flat drawing of owl", negative_prompt="")
    >>> {name: tuple(tensor.shape) for name, tensor in embeddings.items()}
    {'prompt_embeds': (1, 77, 128), 'negative_prompt_embeds': (1, 77, 128)}
    """
    prompts = _checked(prompt)
    taken = inspect.signature(pipe.encode_prompt).parameters
    flux = Pipeline(pipe).family == "flux"  # its pipeline encodes the negative prompt by a second call
    for name in options:
        if name not in taken and not (flux and name in NEGATIVE[:2]):
            raise invalid_argument(name, options[name], f"left out: prompts of a {type(pipe).__name__} do not have it")
    guided = any(options.get(name) is not None for name in NEGATIVE)
    arguments = {
        "device": Pipeline(pipe).device,
        "num_images_per_prompt": 1,
        "do_classifier_free_guidance": guided,
        **dict.fromkeys(("prompt_2", "prompt_3")),
        **{name: [value] * len(prompts) if isinstance(value, str) else value for name, value in options.items()},
    }
    own = {name: value for name, value in arguments.items() if name in taken}
    encoded = _encoded(pipe, {**own, "prompt": prompts})
    if flux:
        embeddings = {"prompt_embeds": encoded[0], "pooled_prompt_embeds": encoded[1]}
        if options.get("negative_prompt") is not None:
            negative = {"prompt": arguments["negative_prompt"], "prompt_2": arguments.get("negative_prompt_2")}
            encoded = _encoded(pipe, {**own, **negative})
            embeddings |= {"negative_prompt_embeds": encoded[0], "negative_pooled_prompt_embeds": encoded[1]}
        return embeddings
    names = ("prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds")
    given = dict(zip(names, encoded, strict=False))
    return {name: given[name] for name in given if guided or not name.startswith("negative")}


def _encoded(pipe: Any, arguments: Mapping[str, Any]) -> Sequence[torch.Tensor]:
    try:
        return pipe.encode_prompt(**arguments)
    except Exception as error:  # whatever diffusers and its text encoders stumble over becomes one sentence
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        what = f"diffusers' {type(pipe).__name__} cannot encode a prompt with these options"
        raise ValueError(f"{what} ({reason}); its text encoders must be loaded, and the options be its own") from error


def _checked(prompt: str | Sequence[str]) -> list[str]:
    prompts = [prompt] if isinstance(prompt, str) else list(prompt)
    if not prompts or not all(isinstance(text, str) for text in prompts):
        raise invalid_argument("prompt", prompt, "words, or a list of at least one prompt")
    return prompts


def default_guidance(pipe: DiffusersPipeline) -> float:
    """Read the guidance scale that a call of the pipeline has unless it is given.

    Args:
        pipe: a diffusers pipeline.

    Returns:
        The default of its argument ``guidance_scale``.

    >>> from chroma import models
    >>> default_guidance(models.load("emoji-8"))
    7.0
    """
    return float(inspect.signature(type(pipe).__call__).parameters["guidance_scale"].default)


@torch.no_grad()
def encode(pipe: DiffusersPipeline, prompt: str | Sequence[str] = "") -> dict[str, torch.Tensor]:
    """Encode prompts as the tensors that condition the pipeline's network.

    A network that embeds the guidance scale (Flux dev, latent consistency models) is given that of `default_guidance`.

    Args:
        pipe: a diffusers pipeline of the classes of IF, Stable Diffusion 1 and 2, SDXL, SD3 or Flux, or one without
            prompts.
        prompt: one for all images, or one per image, (B,); "" is what the pipeline itself takes for no prompt.

    Returns:
        Name -> tensor, (1 or B, ...), the names being those of the network's ``forward``. IF and Stable Diffusion 1 and
        2 take encoder_hidden_states, (B, tokens, width), SDXL also text_embeds and time_ids, SD3 encoder_hidden_states
        and pooled_projections, Flux also guidance, latent consistency models also timestep_cond. A pipeline without
        text encoder takes nothing.

    Raises:
        ValueError: for an empty list, and for a pipeline whose network takes more than image, time and prompt.

    >>> from chroma import models
    >>> conditioning = encode(models.load("emoji-8"), ["a flat drawing of owl", "a line drawing of ox"])
    >>> {name: tuple(tensor.shape) for name, tensor in conditioning.items()}
    {'encoder_hidden_states': (2, 77, 128)}
    """
    prompts, view = _checked(prompt), Pipeline(pipe)
    view.check_inputs()
    if view.family == "unconditional":
        return {}
    embeddings = pipeline_embeddings(pipe, prompts)
    conditioning = {"encoder_hidden_states": embeddings["prompt_embeds"]}
    if view.family in ("sd3", "flux"):
        conditioning["pooled_projections"] = embeddings["pooled_prompt_embeds"]
    if view.family == "sdxl":
        conditioning = _sdxl(pipe, prompts, conditioning["encoder_hidden_states"], embeddings["pooled_prompt_embeds"])
    return conditioning | _guidance(pipe, conditioning["encoder_hidden_states"])


def conditioning_names(view: Pipeline) -> tuple[str, ...]:
    """List the tensors that `encode` makes for a pipeline.

    Args:
        view: of the pipeline.

    Returns:
        Their names.

    >>> from chroma import models
    >>> conditioning_names(Pipeline(models.load("emoji-8")))
    ('encoder_hidden_states',)
    """
    config = view.network.config
    guided: tuple[str, ...] = ("guidance",) if getattr(config, "guidance_embeds", False) else ()
    guided += ("timestep_cond",) if getattr(config, "time_cond_proj_dim", None) is not None else ()
    if view.family == "unconditional":
        return ()
    more = {"sdxl": ("text_embeds", "time_ids"), "sd3": ("pooled_projections",), "flux": ("pooled_projections",)}
    return ("encoder_hidden_states", *more.get(view.family, ()), *guided)


def _sdxl(pipe: Any, prompts: list[str], embeds: torch.Tensor, pooled: torch.Tensor) -> dict[str, torch.Tensor]:
    if pipe.config.force_zeros_for_empty_prompt:  # SDXL was trained with zeros in place of the embedding of ""
        not_empty = torch.tensor([bool(text) for text in prompts], device=embeds.device)
        embeds, pooled = embeds * not_empty[:, None, None], pooled * not_empty[:, None]
    height, width = (side * pipe.vae_scale_factor for side in Pipeline(pipe).shape[1:])
    # original size, crop, target size: an image that was neither scaled nor cropped
    sizes = torch.tensor([[height, width, 0, 0, height, width]], device=embeds.device, dtype=embeds.dtype)
    return {"encoder_hidden_states": embeds, "text_embeds": pooled, "time_ids": sizes.expand(len(prompts), -1)}


def _guidance(pipe: Any, embeds: torch.Tensor) -> dict[str, torch.Tensor]:
    """The guidance scale, for networks that embed it: Flux dev as a number, latent consistency models as sinusoids."""
    config, count = Pipeline(pipe).network.config, len(embeds)
    if getattr(config, "guidance_embeds", False):
        return {"guidance": torch.full((count,), default_guidance(pipe), device=embeds.device, dtype=embeds.dtype)}
    width = getattr(config, "time_cond_proj_dim", None)
    if width is None:
        return {}
    scales = torch.full((count,), default_guidance(pipe) - 1)
    return {"timestep_cond": pipe.get_guidance_scale_embedding(scales, embedding_dim=width).to(embeds)}


def check_distinguishable(pipe: DiffusersPipeline, prompts: Sequence[str]) -> list[str]:
    """Check that a model distinguishes prompts from one another and from no prompt, and list what it does not read.

    Guidance is the difference between two prompts, so prompts that are encoded alike have none. They are those that
    differ in words which the model does not know, or beyond the last token that it reads.

    Args:
        pipe: a diffusers pipeline.
        prompts: each is encoded once.

    Returns:
        One sentence for each prompt with unknown words or an end that is not read; empty if all is read.

    Raises:
        ValueError: for a pipeline without prompts, a prompt without a word that the model knows, two different prompts
            that the model encodes alike, and a prompt that it encodes like none.

    >>> from chroma import models
    >>> check_distinguishable(models.load("emoji-8"), ["a line drawing of owl", "a line drawing of striped owl"])
    ["the model does not know 'striped' in the prompt 'a line drawing of striped owl'"]
    """
    if Pipeline(pipe).family == "unconditional":
        must = "one that takes prompts: without them there is no guidance"
        raise invalid_argument("pipe", type(pipe).__name__, must)
    vocabularies = [_vocabulary(tokenizer) for tokenizer in _tokenizers(pipe)]
    first: dict[Any, str] = {_digest(pipe, ""): ""}
    notes = []
    for prompt in dict.fromkeys(prompts):
        words, short = _words(pipe, prompt), _shortened(prompt)
        unknown = [word for word in words if not any(knows(word) for knows in vocabularies)]
        if unknown and len(unknown) == len(words):
            raise invalid_argument("prompts", f"{short!r}, of which it knows no word", "texts that the model can read")
        digest = _digest(pipe, prompt)
        # what an unknown word is encoded as was never trained: it distinguishes nothing
        read = tuple(word for word in words if word not in unknown) if unknown else digest
        other = first.setdefault(read, prompt)
        if prompt == "" or other != prompt:
            like = f"{_shortened(other)!r}" if other else "no prompt"
            must = "texts that the model can distinguish"
            raise invalid_argument("prompts", f"{short!r}, which it cannot distinguish from {like}", must)
        if unknown:
            notes.append(f"the model does not know {', '.join(map(repr, unknown))} in the prompt {short!r}")
        if _may_be_cut(pipe, prompt) and _digest(pipe, prompt.rsplit(maxsplit=1)[0]) == digest:
            notes.append(f"the model does not read the end of the prompt {short!r}, which is too long for it")
    return notes


def _shortened(prompt: str, most: int = 80) -> str:
    return prompt if len(prompt) <= most else f"{prompt[:most]}..."


def _digest(pipe: Any, prompt: str) -> str:
    digest = hashlib.sha256()
    for tensor in encode(pipe, prompt).values():
        digest.update(tensor.cpu().float().numpy().tobytes())
    return digest.hexdigest()


def _words(pipe: Any, prompt: str) -> list[str]:
    text = prompt.lower() if Pipeline(pipe).family == "if" else prompt  # as its pipeline does
    return text.split()


def _tokenizers(pipe: Any) -> list[Any]:
    found = (getattr(pipe, f"tokenizer{which}", None) for which in ("", "_2", "_3"))
    return [tokenizer for tokenizer in found if tokenizer is not None]


def _vocabulary(tokenizer: Any) -> Callable[[str], bool]:
    """Tell whether a tokenizer knows a word."""
    pieces = set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens)
    if all(piece.startswith(WORD_START) or len(piece) == 1 for piece in pieces):
        # a vocabulary of whole words, as `chroma.networks` builds it, spells others by letters that no training used
        return lambda word: WORD_START + word in pieces
    unknown = tokenizer.unk_token_id
    if unknown in (None, tokenizer.eos_token_id):  # CLIP has tokens for all words
        return lambda word: True
    return lambda word: unknown not in tokenizer(word, add_special_tokens=False).input_ids


def _may_be_cut(pipe: Any, prompt: str) -> bool:
    return any(len(tokenizer(prompt).input_ids) > CLIP_TOKENS for tokenizer in _tokenizers(pipe))

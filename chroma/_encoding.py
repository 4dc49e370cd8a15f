"""The prompts of a switch, encoded with the options of the call that uses them.

A call is given the embeddings of its first prompt, and passes them on to the pipeline's own ``encode_prompt`` together
with its options: how many tokens, which layer, how many images. That is where these options are seen, and `follow_call`
has all prompts of the switch encoded again if the options are not those that they were encoded with.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from chroma.models import Pipeline
from chroma.prompts import pipeline_embeddings

READING = ("clip_skip", "max_sequence_length", "lora_scale")  # what a call hands to encode_prompt beside the texts


@dataclass
class Encoding:
    """Prompts with their embeddings, by the names of a call's arguments.

    Attributes:
        texts: for each prompt, its arguments of `chroma.prompts.pipeline_embeddings`.
        first: the index of the prompt that a call starts with.
        reading: the options with which they are encoded, by the names of `READING`.
        embeddings: one dictionary per prompt.
    """

    texts: list[dict[str, Any]]
    first: int
    reading: dict[str, Any]
    embeddings: list[dict[str, torch.Tensor]]

    def handed(self) -> dict[str, torch.Tensor]:
        """What a call is given: the embeddings of its first prompt, by which `follow_call` knows the call."""
        own = {name: tensor.clone() for name, tensor in self.embeddings[self.first].items()}
        for name in ("prompt_embeds", "negative_prompt_embeds"):
            if name in own:
                own[name].encoding = self, name.removesuffix("prompt_embeds")  # type: ignore[attr-defined]
        return own


def encode_texts(pipe: Any, texts: list[dict[str, Any]], reading: Mapping[str, Any]) -> list[dict[str, torch.Tensor]]:
    """Encode each prompt with its texts, all with the same options."""
    given = {name: value for name, value in reading.items() if value is not None}
    return [pipeline_embeddings(pipe, **own, **given) for own in texts]


class _EncodePrompt:
    """A pipeline's ``encode_prompt`` that follows the options of a call with the embeddings of an `Encoding`."""

    def __init__(self, pipe: Any):
        self.pipe = pipe  # an attribute, so that a copy of the pipeline has one of its own
        self.__signature__ = inspect.signature(pipe.encode_prompt)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        original = type(self.pipe).encode_prompt.__get__(self.pipe)
        given = self.__signature__.bind(*args, **kwargs).arguments
        encoding, role = getattr(given.get("prompt_embeds"), "encoding", (None, ""))
        return original(*args, **kwargs) if encoding is None else original(**_updated(self.pipe, encoding, role, given))


def follow_call(pipe: Any) -> None:
    """Have the ``encode_prompt`` of a pipeline follow the options of a call with the embeddings of an `Encoding`."""
    if not isinstance(pipe.encode_prompt, _EncodePrompt):
        pipe.encode_prompt = _EncodePrompt(pipe)


def _updated(pipe: Any, encoding: Encoding, role: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of ``encode_prompt``, with the embeddings that its options ask for."""
    reading = {name: given.get(name, encoding.reading.get(name)) for name in READING}
    if reading != encoding.reading:
        encoding.embeddings = encode_texts(pipe, encoding.texts, reading)
        encoding.reading = reading
    own, images = encoding.embeddings[encoding.first], given.get("num_images_per_prompt", 1)
    updated = {name: own[role + name] for name, value in given.items() if value is not None and role + name in own}
    if Pipeline(pipe).family in ("sd3", "flux"):  # they do not repeat embeddings for several images
        updated = {name: tensor.repeat_interleave(images, 0) for name, tensor in updated.items()}
        return {**given, **updated, "num_images_per_prompt": 1}
    return {**given, **updated}

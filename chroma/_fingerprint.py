"""What a pipeline's numbers depend on, component by component, as sha256 sums.

A component counts with its class, its configuration and every byte of its weights; a tokenizer with its vocabulary and
its rules; a scheduler with its configuration. The folder that a pipeline was loaded from, its device, its layout in
memory and the versions of the libraries that saved it do not count.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from chroma._atomic import write_atomically

# components that look at finished images alone
UNUSED = {"safety_checker", "feature_extractor", "watermarker"}
# what says where a configuration comes from, or in which precision it was saved: the tensors have their own
NO_SETTING = {"architectures", "dtype", "requires_safety_checker", "torch_dtype", "transformers_version"}
# attributes that change a network without changing its weights: FreeU's factors; the strength of adapters such as LoRA
SWITCHES = ("s1", "s2", "b1", "b2", "scaling", "active_adapter", "merged_adapters", "_disable_adapters")
TOKENIZER_SETTINGS = ("special_tokens_map", "model_max_length", "padding_side", "truncation_side", "chat_template")


def identify(pipe: Any) -> dict[str, str]:
    """Compute the sha256 of each component of a diffusers pipeline as it is in memory.

    Args:
        pipe: the ``diffusers`` pipeline.

    Returns:
        Component -> 64 hexadecimal digits, with the settings of the pipeline itself under "pipeline". Components that
        are None, and those that look at finished images alone, have none.
    """
    components = {
        name: component
        for name, component in pipe.components.items()
        if component is not None and name not in UNUSED and not isinstance(component, (bool, int, float, str))
    }
    settings = {key: value for key, value in dict(pipe.config).items() if key not in pipe.components}
    sums = {"pipeline": _sha256(type(pipe).__name__, _settings(settings))}
    return sums | {name: _component(component) for name, component in components.items()}


def fingerprint(pipe: Any) -> str:
    """Compute sixteen hexadecimal digits that name a pipeline: the start of the sha256 of all its components' sums.

    Args:
        pipe: the ``diffusers`` pipeline.

    Returns:
        The digits.
    """
    return shorten(identify(pipe))


def shorten(sums: Mapping[str, str]) -> str:
    """Compute the `fingerprint` of a pipeline from what `identify` found.

    Args:
        sums: component -> sha256.

    Returns:
        Sixteen hexadecimal digits.
    """
    return _sha256(sums)[:16]


def _sha256(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=_plain).encode()).hexdigest()


def _plain(value: Any) -> Any:
    """What JSON has no type for: arrays as lists, anything else by its name."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _settings(config: Any) -> Any:
    """A configuration without what does not change any number."""
    if isinstance(config, Mapping):
        kept = {str(key): value for key, value in config.items() if key not in NO_SETTING}
        return {key: _settings(value) for key, value in kept.items() if not key.startswith("_")}
    return [_settings(value) for value in config] if isinstance(config, (list, tuple)) else config


def _component(component: Any) -> str:
    component = getattr(component, "_orig_mod", component)  # what torch.compile wraps
    kind, config = type(component).__name__, getattr(component, "config", {})
    settings = _settings(config.to_dict() if hasattr(config, "to_dict") else config)
    if isinstance(component, torch.nn.Module):
        return _sha256(kind, settings, _weights(component), _switches(component))
    if hasattr(component, "get_vocab"):
        return _sha256(kind, _vocabulary(component))
    if hasattr(component, "to_dict"):  # a processor of images, perhaps with a tokenizer of its own
        tokenizer = getattr(component, "tokenizer", None)
        return _sha256(kind, _settings(component.to_dict()), None if tokenizer is None else _vocabulary(tokenizer))
    return _sha256(kind, settings)  # a scheduler


def _vocabulary(tokenizer: Any) -> list:
    """All that decides how text becomes tokens; not how the tokenizer padded and cut at its last call."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        rules = json.loads(backend.to_str())
        rules = {key: value for key, value in rules.items() if key not in ("padding", "truncation")}
    else:
        model = getattr(tokenizer, "sp_model", None)
        rules = hashlib.sha256(model.serialized_model_proto()).hexdigest() if model else tokenizer.get_vocab()
    return [rules, *(getattr(tokenizer, name, None) for name in TOKENIZER_SETTINGS)]


def _switches(module: torch.nn.Module) -> list:
    """The settings in `SWITCHES` that differ from none, with the part of the module that each belongs to."""
    simple = (bool, int, float, str, list, dict)
    return [
        (name, key, value)
        for name, part in module.named_modules()
        for key in SWITCHES
        if isinstance(value := vars(part).get(key), simple)
    ]


def _weights(module: torch.nn.Module) -> list[str]:
    """One sum per weight and buffer; several are computed at a time, since hashing leaves Python's lock free."""
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(lambda named: _tensor(*named), _tensors(module)))


def _tensors(module: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """The weights and buffers by name, also those that are offloaded, which are without values in the module."""
    for name, tensor in module.state_dict().items():
        if isinstance(tensor, torch.Tensor):
            yield name, _offloaded(module, name) if tensor.is_meta else tensor


def _offloaded(module: torch.nn.Module, name: str) -> torch.Tensor:
    """The weight that accelerate keeps elsewhere while its layer does not run."""
    owner, _, weight = name.rpartition(".")
    hook = getattr(module.get_submodule(owner), "_hf_hook", None)
    for one in getattr(hook, "hooks", [hook]):
        if getattr(one, "weights_map", None) is not None:
            return one.weights_map[weight]
    raise ValueError(f"the weights {name} have no values: load the pipeline again")


def _tensor(name: str, tensor: torch.Tensor) -> str:
    if hasattr(tensor, "__tensor_flatten__"):  # quantised weights, which consist of several tensors
        names, settings = tensor.__tensor_flatten__()
        return _sha256(name, str(settings), [_tensor(inner, getattr(tensor, inner)) for inner in names])
    dense = tensor.detach().cpu().contiguous()
    digest = hashlib.sha256(json.dumps([name, str(dense.dtype), list(dense.shape)]).encode())
    if dense.numel():
        digest.update(dense.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


# ---- what is known of a folder that has not changed


def known_identity(folder: Path, dtype: str) -> dict[str, str] | None:
    """Look up what `identify` found for a pipeline as it was loaded from a folder.

    Args:
        folder: of the pipeline.
        dtype: the precision that it was loaded in.

    Returns:
        The sums, or None where none are on record for these files with their sizes and times.
    """
    try:
        sums = json.loads(_record(folder, dtype).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    is_record = isinstance(sums, dict) and all(isinstance(value, str) and len(value) == 64 for value in sums.values())
    return sums if is_record else None


def loaded_identity(pipe: Any, folder: Path, dtype: str) -> dict[str, str]:
    """Compute `identify` of a pipeline that was loaded from a folder and not changed since, once for these files.

    Args:
        pipe: the ``diffusers`` pipeline.
        folder: where it was loaded from.
        dtype: the precision that it was loaded in.

    Returns:
        The sums. They are kept in the folder ``chroma`` of the user's cache, keyed by the path, size and time of
        every file; where that cannot be written, they are computed each time.
    """
    sums = known_identity(folder, dtype)
    if sums is None:
        sums = identify(pipe)
        try:
            record = _record(folder, dtype)
            record.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(record, json.dumps(sums).encode())
        except (OSError, ValueError):
            pass  # a cache that cannot be kept costs time alone
    return sums


def _record(folder: Path, dtype: str) -> Path:
    """The file in the user's cache for a folder with these files."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = folder.resolve()
    files = [
        (file.relative_to(folder).as_posix(), status.st_size, status.st_mtime_ns)
        for file in sorted(folder.rglob("*"))
        if file.is_file() and (status := file.stat())
    ]
    if not files:
        raise OSError(f"there are no files in {folder}")
    versions = [version(library) for library in ("torch", "diffusers", "transformers")]
    return Path(base) / "chroma" / "identities" / f"{_sha256(str(folder), files, dtype, versions)}.json"

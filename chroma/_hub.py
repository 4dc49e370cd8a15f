"""Downloads from the model hub, refused in one sentence where there is no network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


def download_pipeline(name: str) -> Path:
    """Download a pipeline, unless it is in the hub's cache.

    Args:
        name: the hub's "owner/name".

    Returns:
        The folder of the pipeline.

    Raises:
        OSError: if it is not on this machine and the hub cannot be reached.
    """
    from diffusers import DiffusionPipeline

    return Path(_downloaded(lambda: DiffusionPipeline.download(name), name))


def download_configs(name: str) -> Path:
    """Download the configurations of a pipeline, without its weights, unless they are in the hub's cache.

    Args:
        name: the hub's "owner/name".

    Returns:
        The folder of the pipeline.

    Raises:
        OSError: if it is not on this machine and the hub cannot be reached.
    """
    from huggingface_hub import snapshot_download

    files = ["model_index.json", "scheduler/*.json", "*/config.json", "scheduler_config.json"]
    return Path(_downloaded(lambda: snapshot_download(name, allow_patterns=files), f"the configuration of {name}"))


def _downloaded(download: Callable[[], str], name: str) -> str:
    try:
        return download()
    except Exception as error:  # the hub's client has kinds of its own for a connection that breaks off
        raise OSError(
            f"{name} is not on this machine and could not be downloaded: connect to the network (and log in, "
            "if the model asks for it), or pass a folder that holds the saved pipeline"
        ) from error

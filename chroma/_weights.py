"""The files of the models with names: in the package, or fetched once from the release that it belongs to."""

from __future__ import annotations

import json
import os
from importlib import metadata
from pathlib import Path

from chroma._files import WEIGHTS, read_verified

DISTRIBUTION = "resolution-chromatography"
ADDRESS = "RESOLUTION_CHROMATOGRAPHY_WEIGHTS"  # an environment variable: where the files are, if not at the release


def files_of(name: str) -> dict[str, dict]:
    """Look up the files of a model on record.

    Args:
        name: of the model.

    Returns:
        File, "model/card.json" -> its sha256 and size in bytes.
    """
    record = json.loads((WEIGHTS / "CHECKSUMS.json").read_text(encoding="utf-8"))
    return {file: entry for file, entry in record.items() if file.startswith(f"{name}/")}


def verified_folder(name: str) -> Path:
    """Find the folder of a model, each of whose files is the one on record.

    A wheel holds some of the models, a clone of the repository all of them. The files of the others are downloaded
    once, to the user's cache.

    Args:
        name: of the model.

    Returns:
        The folder.

    Raises:
        FileNotFoundError: if a file of the package is missing, naming it.
        ValueError: if a file is corrupt, naming it.
        OSError: if the model is not on this machine and cannot be downloaded.
    """
    if not (WEIGHTS / name).is_dir():
        return _downloaded(name)
    for file in files_of(name):
        read_verified(WEIGHTS, file, "reinstall the package")
    return WEIGHTS / name


def release_address() -> str | None:
    """Look up where the files of this release are: `ADDRESS`, or the link that the package's metadata call Weights."""
    if given := os.environ.get(ADDRESS):
        return given.rstrip("/")
    try:
        links = metadata.metadata(DISTRIBUTION).get_all("Project-URL") or []
    except metadata.PackageNotFoundError:  # a folder of sources that was never installed
        return None
    named = dict(link.split(", ", 1) for link in links)
    return named.get("Weights")


def asset_name(file: str) -> str:
    """Name a file as it is attached to a release, where there are no folders.

    Args:
        file: as on record.

    Returns:
        The name.

    >>> asset_name("model/unet/config.json")
    'model--unet--config.json'
    """
    return file.replace("/", "--")


def _downloaded(name: str) -> Path:
    """The folder of a model in the user's cache; only files that are missing or not those on record are downloaded."""
    import pooch

    address, files = release_address(), files_of(name)
    megabytes = sum(entry["bytes"] for entry in files.values()) / 1e6
    if address is None:
        raise OSError(
            f"the model {name!r} is not in this installation: clone the repository, which holds it, or set {ADDRESS} "
            "to where the files of a release are"
        )
    cache = pooch.create(
        path=pooch.os_cache(DISTRIBUTION),
        base_url="",
        registry={file: f"sha256:{entry['sha256']}" for file, entry in files.items()},
        urls={file: f"{address}/{asset_name(file)}" for file in files},
    )
    try:
        for file in files:
            cache.fetch(file)
    except ValueError as error:  # the download is another file than the one on record
        raise ValueError(f"the file {file} at {address} is not the one on record: {error}") from error
    except Exception as error:  # of the operating system, and several kinds of the client
        raise OSError(
            f"the model {name!r} ({megabytes:.0f} MB) is not on this machine and could not be downloaded from "
            f"{address}: connect to the network"
        ) from error
    return Path(cache.path) / name

"""Fetch the packages that the bundled images are taken from, by name and version, with their ordinary clients."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from pathlib import Path

NPM = {
    "fluent_3d": "@lobehub/fluent-emoji-3d@1.1.0",
    "fluent_flat": "@iconify-json/fluent-emoji-flat@1.2.6",
    "fluent_hc": "@iconify-json/fluent-emoji-high-contrast@1.2.6",
    "noto": "@iconify-json/noto@1.2.9",
    "noto_line": "@expo-google-fonts/noto-emoji@0.4.7",
}
# Debian 12 (bookworm); unicode-data names the drawings, the others hold photographs
DEBIAN = {
    "unicode-data": "15.0.0-1",
    "gcompris-qt-data": "3.1-2",
    "palapeli-data": "4:22.12.3-1",
    "python3-sklearn": "1.2.1+dfsg-1",
    "python3-skimage": "0.19.3-8",
}
APACHE = Path("/usr/share/common-licenses/Apache-2.0")  # on every Debian system


def _run(command: list[str], folder: Path) -> str:
    """Run a command in a folder.

    Returns:
        What the command printed.

    Raises:
        RuntimeError: The program is missing, or it failed.
    """
    if shutil.which(command[0]) is None:
        raise RuntimeError(f"{command[0]} is needed to fetch the sources and is not installed")
    completed = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if completed.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {completed.stderr.strip()}")
    return completed.stdout


def fetch(folder: Path) -> dict[str, Path]:
    """Download and unpack every source.

    Args:
        folder: Where the sources are put.

    Returns:
        The unpacked folder of each source, by the name of the style or of the Debian package.
    """
    unpacked = {}
    for style, package in NPM.items():
        tarball = folder / _run(["npm", "pack", "--silent", package], folder).split()[-1]
        unpacked[style] = folder / style
        with tarfile.open(tarball) as archive:
            archive.extractall(unpacked[style], filter="data")
        unpacked[style] /= "package"  # where npm keeps everything
    for package, version in DEBIAN.items():
        _run(["apt-get", "download", f"{package}={version}"], folder)
        (deb,) = folder.glob(f"{package}_*.deb")
        unpacked[package] = folder / package
        _run(["dpkg-deb", "-x", str(deb), str(unpacked[package])], folder)
    return unpacked

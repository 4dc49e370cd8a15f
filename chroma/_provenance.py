"""Which machine, versions and commit a training run was made with."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path

import torch

import chroma

CHECKOUT = Path(__file__).parents[1]


def machine(processes: int, device: str) -> dict:
    """Describe what a run is computed with.

    Args:
        processes: how many.
        device: the type of device of each.

    Returns:
        What a run's card holds: the machine, the versions, and the commit of this project's checkout or None.
    """
    return {
        "machine": f"{processes} x {device}, {torch.get_num_threads()} threads each",
        "versions": {"chroma": chroma.__version__, "torch": torch.__version__, "python": platform.python_version()},
        "commit": commit(),
    }


def commit() -> str | None:
    """Find the commit that is checked out, if the package runs from a checkout of this project and git is installed.

    An installed package may be below another project's repository, whose commit says nothing about it.
    """
    try:
        project = (CHECKOUT / "pyproject.toml").read_text(encoding="utf-8")
        if 'name = "resolution-chromatography"' not in project or not (CHECKOUT / ".git").exists():
            return None
        # in a hook of git, its variables name the repository that the hook belongs to
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        tracked = ["git", "-C", str(CHECKOUT), "ls-files", "--error-unmatch", "chroma/__init__.py"]
        head = ["git", "-C", str(CHECKOUT), "rev-parse", "HEAD"]
        for command in (tracked, head):
            done = subprocess.run(command, env=environment, capture_output=True, check=True, timeout=20)
        name = done.stdout.decode("ascii").strip()
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return name if re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", name) else None

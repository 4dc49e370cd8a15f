"""The processes of ``accelerate launch``, where there are several."""

from __future__ import annotations

import os
from typing import Any


def accelerator(**options: Any) -> Any:
    """Make an ``accelerate.Accelerator`` whose processes share the work.

    Processes that are not connected to one another would each do all of the work, and write to the same folder.

    Args:
        **options: of ``accelerate.Accelerator``.

    Returns:
        The accelerator.

    Raises:
        ValueError: if the processes are not connected to one another.
    """
    from accelerate import Accelerator

    connected = Accelerator(**options)
    processes = int(os.environ.get("WORLD_SIZE", 1))
    if connected.num_processes != processes:
        raise ValueError(
            f"the {processes} processes are not connected to one another; "
            "without GPUs, set the environment variable ACCELERATE_USE_CPU=true"
        )
    return connected

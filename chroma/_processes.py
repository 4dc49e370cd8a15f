"""The processes of ``accelerate launch``, if there are several."""

from __future__ import annotations

import os

from chroma._check import refuse


def accelerator(**options):
    """An ``accelerate.Accelerator``, refused if its processes do not know of each other.

    Each of them would then do all the work, into one folder.
    """
    from accelerate import Accelerator

    found = Accelerator(**options)
    if found.num_processes != int(os.environ.get("WORLD_SIZE", 1)):
        raise refuse("ACCELERATE_USE_CPU", os.environ.get("ACCELERATE_USE_CPU"), "'true' for processes without GPUs")
    return found

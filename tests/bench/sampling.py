"""What a cascade costs beside its parts: one step of both networks together, against one step of each alone.

    python tests/bench/sampling.py [--runs 15]

Both are samplings by DDIM of the same batch; the small network alone samples 32 x 32 pixels. Runs take turns, and the
medians' ratio joins the results in `_build/bench.json`.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import torch
from results import record

from chroma import models
from chroma.predictors import cascade, from_pipeline, residual_part
from chroma.sampling import ddim

BATCH, STEPS = 8, 4


def seconds(predictor, noise: torch.Tensor) -> float:
    start = time.perf_counter()
    for _ in ddim(predictor, noise, np.linspace(-6, 6, STEPS)):
        pass
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=15, help="of each (%(default)s)")
    runs = parser.parse_args().runs

    low = from_pipeline(models.load("emoji-32"))
    fine = residual_part(from_pipeline(models.load("emoji-64-residual")))
    large, small = torch.randn(BATCH, 3, 64, 64), torch.randn(BATCH, 3, 32, 32)
    joint, apart = [], []
    for _ in range(runs + 1):
        joint.append(seconds(cascade([fine, low]), large))
        apart.append(seconds(fine, large) + seconds(low, small))
    joint, apart = statistics.median(joint[1:]), statistics.median(apart[1:])  # the first run warms up
    what = f"seconds of {STEPS} cascade steps (emoji-32 + emoji-64-residual, batch {BATCH}) over those of its parts"
    record("cascade", joint / apart, "<=1.03", runs, what)


if __name__ == "__main__":
    main()

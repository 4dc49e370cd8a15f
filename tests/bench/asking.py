"""How long an answer of ``python -m chroma.ask`` takes, in seconds, from the start of Python to its end.

    python tests/bench/asking.py [--runs 15]

Its floor is the time that Python needs to import NumPy; both are taken in turns.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

import numpy as np
from results import record

QUESTION = ["-m", "chroma.ask", "experts", "wan22", "--steps", "20", "--shift", "8"]


def seconds(arguments: list[str]) -> float:
    """Time one run of Python."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    """Print and record both medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    times = np.array([(seconds(QUESTION), seconds(["-c", "import numpy"])) for _ in range(runs)])
    answer, floor = np.median(times, axis=0)
    record("ask, seconds", float(answer), "<= 1", runs, f"an answer; importing NumPy alone takes {floor:.2f} s")


if __name__ == "__main__":
    main()

"""Where benchmarks leave their ratios."""

import json
from pathlib import Path

RESULTS = Path(__file__).parents[2] / "_build" / "bench.json"


def record(name: str, ratio: float, goal: str, runs: int, what: str) -> None:
    """Print a ratio, and add it to `_build/bench.json`."""
    print(f"{name}: {ratio:.3f} (goal {goal}, median of {runs} runs): {what}")
    results = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    results[name] = {"ratio": round(ratio, 3), "goal": goal, "runs": runs, "what": what}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")

"""The single-file example makes Figure 4 without the book's helpers."""

import subprocess
import sys
from pathlib import Path

from PIL import Image

EXAMPLE = Path(__file__).parents[1] / "book" / "_examples" / "figure_4.py"


def test_figure_4_is_made_by_one_short_file(tmp_path):
    text = EXAMPLE.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 60
    assert not [word for word in ("record", "glue", "SETTINGS") if word in text]
    out = tmp_path / "figure.png"
    command = [sys.executable, str(EXAMPLE), "--model", "emoji-8", "--samples", "4", "--out", str(out)]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    with Image.open(out) as image:
        assert min(image.size) > 500
        assert len(image.convert("RGB").getcolors(2**20)) > 100  # curves in colour, not an empty page

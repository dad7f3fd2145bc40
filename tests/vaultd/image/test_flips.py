"""One bit of an image flipped, below everything that reads it: noticed or harmless, and never a wrong answer."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
BITS = 4  # of each page; `flipped.py` takes any number
MEMORY = Path("/dev/shm")  # every case is synced twice


@pytest.mark.parametrize(("kind", "verdicts"), [("index", {"probe", "read"}), ("catalog", {"probe"})])
def test_a_flipped_bit_is_noticed_or_harmless(kind: str, verdicts: set[str]) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as directory:
        words = ["-m", "tests.vaultd.image.flipped", kind, directory, str(BITS), "1"]
        done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=True)
    *wrong, last = done.stdout.splitlines()
    assert wrong == []
    counts = json.loads(last)
    pages = counts.pop("pages")
    assert pages > 50
    assert sum(counts.values()) == pages * BITS
    assert set(counts) == {"harmless", *verdicts}, "the flips hit what matters"

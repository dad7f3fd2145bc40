"""What a run of hours does, whatever it tries: a signal ends its processes, and its raw figures go into a file."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.results import make_result

BROKEN_OFF = 130


def run_or_break_off(work: Callable[[], int]) -> int:
    """The exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _break_off)
    try:
        return work()
    except KeyboardInterrupt:
        print("\nbroken off: all processes are ended, there are no figures", file=sys.stderr)
        return BROKEN_OFF


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", type=_new_file, help="a file for the raw figures")


def write_figures(path: Path | None, name: str, seed: int, start: float, samples: list[dict[str, Any]]) -> None:
    """`start`: seconds since 1970. Nothing without a path."""
    if path is not None:
        result = make_result(name, seed, start, samples)
        path.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def tell_shortcomings(shortcomings: list[str]) -> int:
    """The exit code."""
    for shortcoming in shortcomings:
        print(f"FAILED: {shortcoming}")
    return 1 if shortcomings else 0


def _new_file(text: str) -> Path:
    path = Path(text)
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no directory {path.parent}")
    return path


def _break_off(*_: Any) -> None:
    """Once: what ends the processes is not to be interrupted."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt

"""Compares this product with its peers: `python -m benchmarks.bench [SCENARIO…] [--scale full|bench|crumbs] [--again]
[--rounds N] [--directory DIR] [--shared]`. Writes docs/results and the tables made from them.

At full scale a scenario that has a result of this commit already is not measured again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import line
from benchmarks.compared import image, link, million, offers, random_file, together, trees
from benchmarks.compared.scale import SCALES, Scale
from benchmarks.results import RESULTS, head_commit, is_dirty, write_result
from benchmarks.tables import write_tables
from benchmarks.targets import ALONE, COMPARED
from benchmarks.tools.every_tool import MissingPeers, demand_peers
from benchmarks.tools.safeset import warm_up

Run = Callable[[Path, int, int, Scale], dict[str, Any]]
SCENARIOS: dict[str, Run] = {
    "random": random_file.run,
    "image": image.run,
    "small_files": trees.run_small_files,
    "share": trees.run_share,
    "versions": trees.run_versions,
    "together": together.run,
    "link": link.run,
    "million": million.run,
    "offers": offers.run,
}
LONG = ("million", "offers")  # full scale only, unless it is named
SEED = 20261127


def main(words: Sequence[str] | None = None) -> int:
    """The exit code: 1 where a peer is missing without leave, or where a scenario failed."""
    arguments = parse(words)
    try:
        demand_peers()
    except MissingPeers as problem:
        print(problem, file=sys.stderr)
        return 1
    scale = SCALES[arguments.scale]
    names = arguments.scenario or [name for name in SCENARIOS if scale.name == "full" or name not in LONG]
    with tempfile.TemporaryDirectory(prefix="safeset-bench-", dir=arguments.directory) as directory:
        warm_up(Path(directory))
    failed = [name for name in names if not run_scenario(name, scale, arguments)]
    write_tables()
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenario", nargs="*", help=f"{', '.join(COMPARED + ALONE)}; without one: all of the scale")
    parser.add_argument("--scale", choices=list(SCALES), default="bench", help="how much data; default: bench")
    parser.add_argument("--again", action="store_true", help="also what has a result of this commit")
    parser.add_argument("--rounds", type=int, default=5, help="default: 5")
    parser.add_argument(
        "--directory", type=Path, default=None, help="on the disk to measure; default: the system's temporary directory"
    )
    parser.add_argument("--shared", action="store_true", help="others use the machine meanwhile; the raw file says so")
    arguments = parser.parse_args(words)
    unknown = [name for name in arguments.scenario if name not in SCENARIOS]
    if unknown:
        parser.error(f"no scenario {unknown[0]}; there are {', '.join(SCENARIOS)}")
    if arguments.directory is not None and not arguments.directory.is_dir():
        parser.error(f"--directory: {arguments.directory} is no directory")
    return arguments


def run_scenario(name: str, scale: Scale, arguments: argparse.Namespace) -> bool:
    """Whether there is a result now, or need not be one."""
    if scale.name == "full" and not arguments.again and is_done(name):
        print(f"{name}: has a result of this commit", flush=True)
        return True
    if name == "link" and not line.is_here():
        print(f"{name}: not measured, there is no benchmarks/network", flush=True)
        return True
    print(f"{name}:", flush=True)
    directory = Path(tempfile.mkdtemp(prefix="safeset-bench-", dir=arguments.directory))
    start = time.time()
    try:
        outcome = SCENARIOS[name](directory, SEED, arguments.rounds, scale)
    except (RuntimeError, OSError, subprocess.SubprocessError):
        traceback.print_exc()
        return False
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    write_result(name, SEED, start, outcome.pop("samples"), is_shared=arguments.shared, scale=scale.name, **outcome)
    print(f"{name}: {time.time() - start:.0f} s", flush=True)
    return True


def is_done(name: str) -> bool:
    """A result at full scale of the commit that is checked out, and of nothing beside it."""
    path = RESULTS / f"{name}.json"
    if not path.exists() or is_dirty():
        return False
    result = json.loads(path.read_text(encoding="utf-8"))
    if result.get("dirty"):
        return False
    return (result["commit"], result.get("scale")) == (head_commit(), "full")


def stop(*_: object) -> None:
    """As Ctrl-C does: servers are ended and directories removed."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)
    sys.exit(main())

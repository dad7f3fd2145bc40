"""Measures this product alone, writes docs/results and the tables: `python -m benchmarks [SCENARIO…] [--rounds N]
[--directory DIR] [--shared]`.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path

from benchmarks.picture import write_picture
from benchmarks.results import write_result
from benchmarks.scenarios import ageing, agents, long_line, memory, micro, million, primitives, profile, restart, start
from benchmarks.tables import write_tables

SCENARIOS = {
    "start": start.run,
    "agents": agents.run,
    "memory": memory.run,
    "primitives": primitives.run,
    "micro": micro.run,
    "profile": profile.run,
    "long_line": long_line.run,
    "restart": restart.run,
    "million_directory": million.run_directory,
    "million_tree": million.run_tree,
    "resume": million.run_resume,
    "ageing": ageing.run,
}
SEED = 20261123


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenario", nargs="*", default=list(SCENARIOS), help=", ".join(SCENARIOS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--directory", type=Path, default=None, help="on the disk to measure; default: the system's temporary directory"
    )
    parser.add_argument("--shared", action="store_true", help="others use the machine meanwhile; the raw file says so")
    arguments = parser.parse_args()
    for name in arguments.scenario:
        directory = Path(tempfile.mkdtemp(prefix="safeset-bench-", dir=arguments.directory))
        start = time.time()
        try:
            samples = SCENARIOS[name](directory, SEED, arguments.rounds)
        finally:
            shutil.rmtree(directory, ignore_errors=True)
        write_result(name, SEED, start, samples, is_shared=arguments.shared)
        print(f"{name}: {len(samples)} samples, {time.time() - start:.0f} s")
    write_tables()
    write_picture()


if __name__ == "__main__":
    main()

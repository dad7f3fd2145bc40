"""`python -m tests.hour [--seconds 3600] [--agents 8] [--seed 1] [--json FILE]`: collections without a pause.

Agents back up overlapping, changing data, safesets end all the time, and one collection follows the other; then every
live safeset is restored and compared, and the vault is checked. Exit code 1 where anything is missing or different, the
check finds something, or a goal was not reached: in an hour 20 collections, 100,000 chunks dropped and 50 containers
moved, in less time one of each.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.hour.hour import Hour, Plan, Tell
from tests.hour.report import Report
from tests.torture.long_run import add_json, run_or_break_off, tell_shortcomings, write_figures
from tests.torture.progress import Progress


def main(words: Sequence[str] | None = None) -> int:
    arguments = _arguments(words)
    return run_or_break_off(lambda: _run(arguments))


def _run(arguments: argparse.Namespace) -> int:
    start = time.time()
    hour = Hour(Plan(arguments.seconds, arguments.agents, arguments.seed, arguments.directory), _teller(arguments))
    is_good = True
    try:
        report = hour.run()
        is_good = not report.shortcomings()
    except KeyboardInterrupt:
        raise
    except BaseException:
        is_good = False
        raise
    finally:
        hour.close(is_good=is_good)
        if not is_good:
            print(f"The directory is kept: {hour.root}", file=sys.stderr)
    write_figures(arguments.json, "hour", arguments.seed, start, report.samples())
    return conclude(report)


def conclude(report: Report) -> int:
    """Says what came out; the exit code."""
    print(report.text())
    return tell_shortcomings(report.shortcomings())


def _teller(arguments: argparse.Namespace) -> Tell:
    """A line of progress for each part, whose time begins when it is first told of."""
    Progress("seconds", arguments.seconds).begin(f"seed {arguments.seed}, makes a vault with {arguments.agents} agents")
    parts: dict[str, Progress] = {}

    def tell(part: str, done: int, total: int, more: str) -> None:
        parts.setdefault(part, Progress(part, total)).tell(done, more)

    return tell


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.hour", description=__doc__)
    parser.add_argument("--seconds", type=int, default=3600, help="how long; the restores come after it")
    parser.add_argument("--agents", type=int, default=8, help="computers with a job each")
    parser.add_argument("--seed", type=int, default=1, help="of the trees and of what is done")
    add_json(parser)
    parser.add_argument("--directory", type=Path, help="where vault and trees lie; default: that of the system")
    arguments = parser.parse_args(words)
    if min(arguments.seconds, arguments.agents) < 1:
        parser.error("--seconds and --agents are 1 or more")
    return arguments


if __name__ == "__main__":
    sys.exit(main())

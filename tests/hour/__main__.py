"""`python -m tests.hour [--seconds 3600] [--agents 8] [--seed 1] [--json FILE]`: collections without a pause.

Agents back up overlapping, changing data, safesets end all the time, and one collection follows the other; then every
live safeset is restored and compared, and the vault is checked. Exit code 1 where anything is missing or different, the
check finds something, or a goal was not reached: in an hour 20 collections, 100,000 chunks dropped and 50 containers
moved, in less time one of each.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.results import make_result
from tests.hour.hour import Hour, Plan, Tell
from tests.hour.report import Report
from tests.torture.progress import Progress

_BROKEN_OFF = 130


def main(words: Sequence[str] | None = None) -> int:
    arguments = _arguments(words)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _break_off)
    start = time.time()
    hour = Hour(Plan(arguments.seconds, arguments.agents, arguments.seed, arguments.directory), _teller(arguments))
    is_good = True
    try:
        report = hour.run()
        is_good = not report.shortcomings()
    except KeyboardInterrupt:
        print("\nbroken off: all processes are ended, there are no figures", file=sys.stderr)
        return _BROKEN_OFF
    except BaseException:
        is_good = False
        raise
    finally:
        hour.close(is_good=is_good)
        if not is_good:
            print(f"The directory is kept: {hour.root}", file=sys.stderr)
    if arguments.json:
        result = make_result("hour", arguments.seed, start, report.samples())
        arguments.json.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return conclude(report)


def conclude(report: Report) -> int:
    """Says what came out; the exit code."""
    print(report.text())
    shortcomings = report.shortcomings()
    for shortcoming in shortcomings:
        print(f"FAILED: {shortcoming}")
    return 1 if shortcomings else 0


def _teller(arguments: argparse.Namespace) -> Tell:
    """A line of progress for each part, whose time begins when it is first told of."""
    Progress("seconds", arguments.seconds).begin(f"seed {arguments.seed}, makes a vault with {arguments.agents} agents")
    parts: dict[str, Progress] = {}

    def tell(part: str, done: int, total: int, more: str) -> None:
        parts.setdefault(part, Progress(part, total)).tell(done, more)

    return tell


def _break_off(*_: Any) -> None:
    """Once: what ends the processes is not to be interrupted."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.hour", description=__doc__)
    parser.add_argument("--seconds", type=int, default=3600, help="how long; the restores come after it")
    parser.add_argument("--agents", type=int, default=8, help="computers with a job each")
    parser.add_argument("--seed", type=int, default=1, help="of the trees and of what is done")
    parser.add_argument("--json", type=Path, help="a file for the raw figures")
    parser.add_argument("--directory", type=Path, help="where vault and trees lie; default: that of the system")
    arguments = parser.parse_args(words)
    if min(arguments.seconds, arguments.agents) < 1:
        parser.error("--seconds and --agents are 1 or more")
    if arguments.json and not arguments.json.parent.is_dir():
        parser.error(f"--json: there is no directory {arguments.json.parent}")
    return arguments


if __name__ == "__main__":
    sys.exit(main())

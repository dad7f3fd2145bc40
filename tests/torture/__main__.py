"""`python -m tests.torture --seeds N --kills N [--seed S] [--json FILE]`: simulated power losses, then real kills.

Exit code 1 where something was lost or sent again, where a vault did not come up or a restart took too long, or where
too few kills hit an upload; 2 where nothing was to be tried.
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
from tests.torture.kill_rounds import AGENTS, KillFigures, Plan, kill_often
from tests.torture.power_losses import LossFigures, lose_often
from tests.torture.progress import Progress
from tests.torture.report import Report

_BROKEN_OFF = 130


def main(words: Sequence[str] | None = None) -> int:
    arguments = _arguments(words)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _break_off)
    start = time.time()
    try:
        report = Report(_lose(arguments), _kill(arguments))
    except KeyboardInterrupt:
        print("\nbroken off: all processes are ended, there are no figures", file=sys.stderr)
        return _BROKEN_OFF
    if arguments.json:
        result = make_result("torture", arguments.seed, start, report.samples())
        arguments.json.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return conclude(report)


def conclude(report: Report) -> int:
    """Says what came out; the exit code."""
    print(report.text())
    shortcomings = report.shortcomings()
    for shortcoming in shortcomings:
        print(f"FAILED: {shortcoming}")
    if report.kills.kept:
        print(f"The directory of the vault that failed is kept: {report.kills.kept}")
    return 1 if shortcomings else 0


def _break_off(*_: Any) -> None:
    """Once: what ends the processes is not to be interrupted."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="simulated power losses; 0: not tried")
    parser.add_argument("--kills", type=int, default=10, help="real SIGKILLs of vault, agents and both; 0: not tried")
    parser.add_argument("--seed", type=int, default=1, help="of the kills, and the first one of the power losses")
    parser.add_argument("--workers", type=int, default=2, help="processes for the power losses")
    parser.add_argument("--json", type=Path, help="a file for the raw figures")
    parser.add_argument("--directory", type=Path, help="where the tortured vault lies; default: that of the system")
    arguments = parser.parse_args(words)
    if min(arguments.seeds, arguments.kills) < 0 or arguments.workers < 1:
        parser.error("--seeds and --kills are 0 or more, --workers 1 or more")
    if not arguments.seeds and not arguments.kills:
        parser.error("nothing is to be tried: give SEEDS or KILLS above 0")
    if arguments.json and not arguments.json.parent.is_dir():
        parser.error(f"--json: there is no directory {arguments.json.parent}")
    return arguments


def _lose(arguments: argparse.Namespace) -> LossFigures:
    if not arguments.seeds:
        return LossFigures()
    progress = Progress("power losses", arguments.seeds)
    progress.begin(f"seeds from {arguments.seed}, {arguments.workers} processes")

    def tell(figures: LossFigures) -> None:
        progress.tell(figures.seeds, f"{len(figures.points):,} points, {len(figures.failures):,} failed")

    return lose_often(arguments.seeds, arguments.seed, arguments.workers, tell)


def _kill(arguments: argparse.Namespace) -> KillFigures:
    if not arguments.kills:
        return KillFigures()
    progress = Progress("kills", arguments.kills)
    progress.begin(f"seed {arguments.seed}, makes a vault with {AGENTS} agents")

    def tell(figures: KillFigures) -> None:
        uploads = sum(kill.is_during_upload for kill in figures.kills)
        progress.tell(len(figures.kills), f"{figures.rounds:,} rounds, {uploads:,} kills during upload")

    return kill_often(Plan(arguments.kills, arguments.seed, parent=arguments.directory), tell)


if __name__ == "__main__":
    sys.exit(main())

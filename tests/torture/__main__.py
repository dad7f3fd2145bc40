"""`python -m tests.torture --seeds N --kills N [--seed S] [--json FILE]`: simulated power losses, then real kills.

Exit code 1 where something was lost or sent again, where a vault did not come up or a restart took too long, or where
too few kills hit an upload; 2 where nothing was to be tried.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.torture.kill_rounds import AGENTS, KillFigures, Plan, kill_often
from tests.torture.long_run import add_json, run_or_break_off, tell_shortcomings, write_figures
from tests.torture.power_losses import LossFigures, lose_often
from tests.torture.progress import Progress
from tests.torture.report import Report


def main(words: Sequence[str] | None = None) -> int:
    arguments = _arguments(words)
    return run_or_break_off(lambda: _run(arguments))


def _run(arguments: argparse.Namespace) -> int:
    start = time.time()
    report = Report(_lose(arguments), _kill(arguments))
    write_figures(arguments.json, "torture", arguments.seed, start, report.samples())
    return conclude(report)


def conclude(report: Report) -> int:
    """Says what came out; the exit code."""
    print(report.text())
    exit_code = tell_shortcomings(report.shortcomings())
    if report.kills.kept:
        print(f"The directory of the vault that failed is kept: {report.kills.kept}")
    return exit_code


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="simulated power losses; 0: not tried")
    parser.add_argument("--kills", type=int, default=10, help="real SIGKILLs of vault, agents and both; 0: not tried")
    parser.add_argument("--seed", type=int, default=1, help="of the kills, and the first one of the power losses")
    parser.add_argument("--workers", type=int, default=2, help="processes for the power losses")
    add_json(parser)
    parser.add_argument("--directory", type=Path, help="where the tortured vault lies; default: that of the system")
    arguments = parser.parse_args(words)
    if min(arguments.seeds, arguments.kills) < 0 or arguments.workers < 1:
        parser.error("--seeds and --kills are 0 or more, --workers 1 or more")
    if not arguments.seeds and not arguments.kills:
        parser.error("nothing is to be tried: give SEEDS or KILLS above 0")
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

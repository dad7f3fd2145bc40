"""`python -m tests.torture --seeds N --kills N [--seed S] [--json FILE]`: simulated power losses, then real kills.

Exit code 1 where something was lost or sent again, where a restart took too long, or where too few kills hit an upload.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from benchmarks.results import make_result
from tests.torture.kill_rounds import KillFigures, Plan, kill_often
from tests.torture.power_losses import LossFigures, lose_often
from tests.torture.report import Report


def main() -> int:
    arguments = _arguments()
    start = time.time()
    losses = lose_often(arguments.seeds, arguments.seed, arguments.workers, lambda f: _tell_losses(f, arguments.seeds))
    plan = Plan(arguments.kills, arguments.seed, parent=arguments.directory)
    kills = kill_often(plan, lambda figures: _tell_kills(figures, arguments.kills))
    report = Report(losses, kills)
    print(report.text())
    if arguments.json:
        result = make_result("torture", arguments.seed, start, report.samples())
        arguments.json.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    shortcomings = report.shortcomings()
    for shortcoming in shortcomings:
        print(f"FAILED: {shortcoming}")
    return 1 if shortcomings else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="simulated power losses")
    parser.add_argument("--kills", type=int, default=10, help="real SIGKILLs of vault, agents and both")
    parser.add_argument("--seed", type=int, default=1, help="of the kills, and the first one of the power losses")
    parser.add_argument("--workers", type=int, default=2, help="processes for the power losses")
    parser.add_argument("--json", type=Path, help="a file for the raw figures")
    parser.add_argument("--directory", type=Path, help="where the tortured vault lies; default: that of the system")
    return parser.parse_args()


def _tell_losses(figures: LossFigures, seeds: int) -> None:
    _tell(f"{figures.seeds:,} of {seeds:,} seeds, {len(figures.points):,} points, {len(figures.failures):,} failed")


def _tell_kills(figures: KillFigures, kills: int) -> None:
    uploads = sum(kill.is_during_upload for kill in figures.kills)
    _tell(f"{len(figures.kills):,} of {kills:,} kills, {uploads:,} during upload")


def _tell(line: str) -> None:
    print(line, end="\r" if sys.stderr.isatty() else "\n", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

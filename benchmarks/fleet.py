"""Drives many agents against a vault at once, and says what both sides made of it.

Each agent is a real vault-agent with a state directory, a computer and a job of its own, all of one account and, as
far as a keyring goes (64 jobs), of one keyring: what two agents have is stored once. Each round gives all agents new
content, starts them at once and ends with the last. Without --url a vault is started for it, and removed.

Against another vault: --url and --admin-context (the administrator's context of an account that is made for this; the
computers stay there). What cannot be seen from outside is left out unless it is named: --operator-context for the
event loop's lag, --vault-pid for the vault's memory and processor time, --vault-log for the time of commits.

Exit 1 where an agent ended with anything but exit 0.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.load.agents import Fleet, Load
from benchmarks.load.figures import AgentRun, figures_of, spread
from benchmarks.load.processes import PeakMemory
from benchmarks.load.vault_watch import LagWatch, request_seconds
from benchmarks.site import Site, cpu_seconds

SEED = 20261127


@dataclass(frozen=True, slots=True)
class Target:
    """A vault, and what of it can be seen: None where it cannot."""

    url: str
    admin_context: Path
    operator_context: Path | None
    pid: int | None
    log: Path | None
    site: Site | None = None


def run_like_installed_programs(directory: Path) -> None:
    """Compiled modules are kept, as those of installed programs are; the preparing of the fleet fills the place."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(directory / "compiled")


def open_target(options: argparse.Namespace, directory: Path, stack: ExitStack) -> Target:
    if options.url:
        return Target(
            options.url, options.admin_context, options.operator_context, options.vault_pid, options.vault_log
        )
    site = stack.enter_context(Site(directory / "site"))
    context = site.directory / "vault" / "operator.context"
    return Target(site.url, site.admin, context, site.vault.pid, site.directory / "vault.log", site)


def run(options: argparse.Namespace, directory: Path) -> dict[str, Any]:
    """All rounds; what docs/performance.md says of a fleet."""
    load = Load(options.agents, options.bytes_per_agent, options.shared_percent, options.seed)
    with ExitStack() as stack:
        target = open_target(options, directory, stack)
        fleet = Fleet(
            directory / "fleet", target.url, target.admin_context, load, has_one_keyring=not options.own_keyrings
        )
        print(f"preparing {load.agents} agents", file=sys.stderr)
        fleet.prepare()
        log_start = target.log.stat().st_size if target.log else 0
        cpu_before = cpu_seconds(target.pid) if target.pid else 0.0
        memory = stack.enter_context(PeakMemory())
        if target.pid:
            memory.add(target.pid)
        lag = LagWatch(target.operator_context) if target.operator_context else None
        with lag or ExitStack():
            runs, wall_seconds = run_rounds(fleet, options.rounds, memory)
        return {
            "load": {**asdict(load), "rounds": options.rounds, "one_keyring": not options.own_keyrings},
            **figures_of(runs, wall_seconds),
            "commit_seconds": commit_seconds(target.log, log_start) if target.log else None,
            "event_loop_lag_seconds_max": lag.lag_seconds_max if lag else None,
            "event_loop_cpu_seconds_max": lag.cpu_seconds_max if lag else None,
            "lag_problem": lag.problem if lag else "",
            "vault_cpu_seconds": round(cpu_seconds(target.pid) - cpu_before, 2) if target.pid else None,
            "vault_peak_anonymous_bytes": memory.peak_anonymous_bytes[target.pid] if target.pid else None,
            "stored_bytes": target.site.stored_bytes() if target.site else None,
        }


def run_rounds(fleet: Fleet, rounds: int, memory: PeakMemory) -> tuple[list[AgentRun], float]:
    runs: list[AgentRun] = []
    wall_seconds = 0.0
    for round_number in range(rounds):
        fleet.write_round(round_number)
        start = time.perf_counter()
        runs += fleet.run_round(round_number, memory)
        took_seconds = time.perf_counter() - start
        wall_seconds += took_seconds
        print(f"round {round_number}: {took_seconds:.1f} s", file=sys.stderr)
    return runs, wall_seconds


def commit_seconds(log: Path, start_bytes: int) -> dict[str, float | int] | None:
    with log.open("rb") as file:
        file.seek(start_bytes)
        return spread(request_seconds(file.read().decode("utf-8", "replace"), "safeset.commit"))


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fleet",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--agents", type=int, default=32, metavar="N", help="default 32")
    parser.add_argument("--bytes-per-agent", type=int, default=32 << 20, metavar="N", help="in each round; 32 MiB")
    parser.add_argument("--shared-percent", type=int, default=50, metavar="N", help="the same at all agents; 50")
    parser.add_argument("--rounds", type=int, default=1, metavar="R", help="default 1")
    parser.add_argument("--seed", type=int, default=SEED, metavar="S")
    parser.add_argument("--own-keyrings", action="store_true", help="one for each agent: nothing is stored once")
    parser.add_argument("--directory", type=Path, metavar="DIR", help="on the disk to measure; default: temporary")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures are written too")
    parser.add_argument("--url", help="of another vault")
    parser.add_argument("--admin-context", type=Path, metavar="FILE", help="with --url")
    parser.add_argument("--operator-context", type=Path, metavar="FILE", help="with --url; reads /metrics with curl")
    parser.add_argument("--vault-pid", type=int, metavar="PID", help="with --url, of a vault on this machine")
    parser.add_argument("--vault-log", type=Path, metavar="FILE", help="with --url: its log, JSON lines")
    options = parser.parse_args(words)
    if bool(options.url) != bool(options.admin_context):
        parser.error("--url and --admin-context go together")
    if options.agents < 1 or options.rounds < 1 or not 0 <= options.shared_percent <= 100:
        parser.error("at least one agent and one round, and 0 to 100 percent shared")
    return options


def main() -> None:
    options = parse()
    directory = Path(tempfile.mkdtemp(prefix="safeset-fleet-", dir=options.directory))
    run_like_installed_programs(directory)
    try:
        figures = run(options, directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    text = json.dumps(figures, indent=1)
    print(text)
    if options.json is not None:
        options.json.write_text(text + "\n", encoding="utf-8")
    sys.exit(1 if figures["errors"] else 0)


if __name__ == "__main__":
    main()

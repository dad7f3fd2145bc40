"""The hour itself: computers back up and collections go on beside each other, then everything is held against it."""

from __future__ import annotations

import shutil
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.hour.collector import Collector
from tests.hour.computer import Computer
from tests.hour.report import Counted, Report, Restored
from tests.hour.restores import list_live, restore_all, restore_one
from tests.hour.site import HourSite
from tests.hour.tree import CommonContents, Sizes, Tree

_TELL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    """`kept`: complete safesets of a job that stay when a run has ended. Forty trees of 150 MiB are restored then."""

    seconds: int
    agents: int
    seed: int
    parent: Path | None = None
    kept: int = 5
    undelete_seconds: int = 10
    sizes: Sizes = field(default_factory=Sizes)


Tell = Callable[[str, int, int, str], None]  # what, how much is done, of how much, and more


class Hour:
    """`root` stays where something went wrong."""

    def __init__(self, plan: Plan, tell: Tell) -> None:
        self._plan = plan
        self._tell = tell
        self._site = HourSite(plan.agents, plan.undelete_seconds, plan.parent)
        self._is_over = threading.Event()
        self._meanwhile = [Restored() for _ in self._site.places]
        common = CommonContents(plan.seed)
        self._computers = []
        for number, place in enumerate(self._site.places):
            tree = Tree(self._site.tree(place), plan.seed * 1_000 + number, common, plan.sizes)
            self._computers.append(Computer(self._site, place, tree, plan.seed * 2_000 + number, plan.kept))

    @property
    def root(self) -> Path:
        return self._site.root

    def run(self) -> Report:
        self._site.set_up()
        for computer in self._computers:
            computer.take_first()
        collector = Collector(self._site)
        seconds = self._collect_under_runs(collector)
        log_lines = [line for line in self._site.log_lines() if line.get("event") == "collected"]
        metrics = self._site.metrics()
        live = list_live(self._site, self._computers)
        restored = restore_all(self._site, live, lambda done: self._tell("restores", done, len(live), ""))
        report = Report(
            agents=self._plan.agents,
            seconds=seconds,
            answered=collector.answered,
            metered=Counted(
                metrics["vaultd_collections_total"],
                metrics["vaultd_records_dropped_total"],
                metrics["vaultd_containers_moved_total"],
            ),
            journaled=Counted(len(log_lines), collector.tally.dropped, len(collector.tally.moved)),
            chunks=collector.tally.chunks,
            unread=collector.tally.unread,
            live=len(live),
            deeds=[computer.deeds for computer in self._computers],
            restored=restored,
            meanwhile=_together(self._meanwhile),
            unfinished=collector.unfinished,
            left=collector.left,
            purged=metrics["vaultd_safesets_purged_total"],
        )
        self._check(report)
        return report

    def close(self, *, is_good: bool) -> None:
        self._is_over.set()
        if self._site.daemon is not None:
            self._site.kill()
        if is_good:
            shutil.rmtree(self.root)

    def _collect_under_runs(self, collector: Collector) -> float:
        """How long it took."""
        begin = time.monotonic()
        pairs = zip(self._computers, self._meanwhile, strict=True)
        threads = [threading.Thread(target=self._go_on, args=pair) for pair in pairs]
        for thread in threads:
            thread.start()
        collector.start()
        try:
            while (passed := time.monotonic() - begin) < self._plan.seconds:
                self._tell("seconds", int(passed), self._plan.seconds, self._figures(collector))
                time.sleep(min(_TELL_SECONDS, self._plan.seconds - passed))
        finally:
            self._is_over.set()
            for thread in threads:
                thread.join()
            collector.end()
        self._tell("seconds", self._plan.seconds, self._plan.seconds, self._figures(collector))
        return time.monotonic() - begin

    def _figures(self, collector: Collector) -> str:
        tally, runs = collector.tally, sum(computer.deeds.runs for computer in self._computers)
        wrong = sum(len(computer.deeds.unexpected) for computer in self._computers) + len(collector.unfinished)
        counts = f"{collector.answered.collections:,} collections, {tally.chunks:,} chunks dropped"
        return f"{counts}, {len(tally.moved):,} containers moved, {runs:,} runs, {wrong:,} wrong"

    def _go_on(self, computer: Computer, restored: Restored) -> None:
        try:
            while not self._is_over.is_set():
                if (listed := computer.round()) is not None:
                    restore_one(self._site, computer, listed, self.root / f"back-{computer.place.job}", restored)
        except Exception as error:
            last = "".join(traceback.format_tb(error.__traceback__)[-2:])
            computer.deeds.unexpected.append(f"{computer.place.job}: {type(error).__name__}: {error}\n{last}")

    def _check(self, report: Report) -> None:
        """Every byte of the vault, which is stopped for it."""
        if exit_code := self._site.stop():
            report.unexpected.append(f"the vault ended with {exit_code}")
        checked = self._site.check(read_data=True)
        if checked.exit_code or not checked.lines or checked.last["findings"]:
            found = checked.lines[-5:] if checked.lines else ""
            report.findings.append(f"vaultd check ended with {checked.exit_code}: {found} {checked.error[-500:]}")


def _together(parts: Iterable[Restored]) -> Restored:
    whole = Restored()
    for part in parts:
        whole.add(part)
    return whole

"""Asks for one collection after another, and counts them from the answers; beside it the journal is counted anew."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable

from tests.hour.journal_tally import JournalTally
from tests.hour.report import Counted
from tests.hour.site import HourSite

_LOOK_SECONDS = 0.3
_DONE, _LEFT = 0, 3


class Collector:
    """Two threads until `end`. What goes wrong is in `unfinished`."""

    def __init__(self, site: HourSite) -> None:
        self.answered = Counted(0, 0, 0)
        self.tally = JournalTally(site.disks)
        self.unfinished: list[str] = []
        self.left: list[str] = []
        self._site = site
        self._is_over = threading.Event()
        self._threads = [
            threading.Thread(target=self._tried, args=[work]) for work in (self._collect_once, self._count_once)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """The collection that goes on comes to its end first, and is counted."""
        self._is_over.set()
        for thread in self._threads:
            thread.join()
        self.tally.refresh()
        self.tally.close()

    def _tried(self, once: Callable[[], None]) -> None:
        try:
            while not self._is_over.is_set():
                once()
        except Exception as error:
            last = "".join(traceback.format_tb(error.__traceback__)[-2:])
            self.unfinished.append(f"nobody collects or counts any more: {type(error).__name__}: {error}\n{last}")

    def _collect_once(self) -> None:
        done = self._site.collect()
        if done.exit_code not in (_DONE, _LEFT):
            self.unfinished.append(f"a collection did not come to its end: exit {done.exit_code}: {done.error[-500:]}")
            self._is_over.wait(_LOOK_SECONDS)
            return
        self.answered.collections += 1
        self.answered.records += done.last["records_dropped"]
        self.answered.containers += done.last["containers_moved"]
        if done.exit_code == _LEFT:
            self.left.append(done.last["left"])

    def _count_once(self) -> None:
        self.tally.refresh()
        self._is_over.wait(_LOOK_SECONDS)

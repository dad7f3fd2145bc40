"""One computer of the hour: its tree changes, is backed up, and older safesets are deleted, brought back, pinned."""

from __future__ import annotations

import json
import random
import signal
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from tests.end_to_end.conftest import PROGRAM_SECONDS, Done
from tests.hour.manifest import Manifest, manifest_of
from tests.hour.site import HourSite, Place
from tests.hour.tree import Tree

_KILL_SHARE = 0.15
_KILL_AT = (0.1, 1.0)  # of the time that its last whole run took
_PIN_SHARE = 0.1
_UNDELETE_SHARE = 0.15
_RESTORE_SHARE = 0.1
# The vault freezes a job of which more than 24 safesets came in an hour since an administrator looked at it.
_RUNS_BETWEEN_LOOKS = 20
_NOT_FOUND, _CONFLICT = 4, 6


@dataclass(slots=True)
class Deeds:
    """What was done, and what went another way than it may."""

    runs: int = 0
    killed: int = 0
    deleted: int = 0
    undeleted: int = 0
    pinned: int = 0
    provisional: int = 0  # left by killed runs
    unexpected: list[str] = field(default_factory=list)


class Computer:
    """`manifests`: by the number of a safeset, what the tree was when it was made."""

    def __init__(self, site: HourSite, place: Place, tree: Tree, seed: int, kept: int) -> None:
        self.place = place
        self.deeds = Deeds()
        self.manifests: dict[int, Manifest] = {}
        self._complete: set[int] = set()  # that nobody deleted
        self._site = site
        self._tree = tree
        self._kept = kept
        self._source = random.Random(seed)
        self._run_seconds = 1.0

    def take_first(self) -> None:
        """What the setting up backed up, of the tree as it is."""
        self._take_new(self._listed(), manifest_of(self._tree.root))

    def round(self) -> dict[str, Any] | None:
        """The safeset, as it was listed, that is to be restored now: each provisional one, and some others."""
        self._tree.change()
        manifest = manifest_of(self._tree.root)
        summary = self._back_up(is_killed=self._source.random() < _KILL_SHARE)
        listed = self._listed()
        if not listed:  # its first run was killed, or it cannot be listed, which is told
            return None
        self._take_new(listed, manifest)
        if summary is not None and summary["safeset"] not in {one["number"] for one in listed}:
            self.deeds.unexpected.append(f"{self.place.job}: safeset {summary['safeset']} is not listed after its run")
        if self.deeds.runs % _RUNS_BETWEEN_LOOKS == 0:
            self._look_at_job()
        gone = self._thin_out([one["number"] for one in listed if one["complete"]])
        left = [one for one in listed if one["number"] not in gone]
        if not left[-1]["complete"]:
            return left[-1]
        return self._source.choice(left) if self._source.random() < _RESTORE_SHARE else None

    def _back_up(self, *, is_killed: bool) -> dict[str, Any] | None:
        """The summary, where it came to its end."""
        with (self._site.directory / f"{self.place.job}.log").open("a") as log:
            run = self._site.begin_run(self.place, is_hasty=is_killed, log=log)
            timer = threading.Timer(
                self._source.uniform(*_KILL_AT) * self._run_seconds, run.send_signal, [signal.SIGKILL]
            )
            begin = time.monotonic()
            if is_killed:
                timer.start()
            output = run.stdout.read()
            exit_code = run.wait(PROGRAM_SECONDS)
            timer.cancel()
            run.stdout.close()
        self.deeds.runs += 1
        if is_killed and exit_code == -signal.SIGKILL:
            self.deeds.killed += 1
            return None
        if exit_code:
            self.deeds.unexpected.append(f"{self.place.job}: a run ended with {exit_code}: {output[-500:]}")
            return None
        self._run_seconds = time.monotonic() - begin
        summary: dict[str, Any] = json.loads(output.splitlines()[-1])
        return summary

    def _listed(self) -> list[dict[str, Any]]:
        done = self._must(self._site.run_safeset(self.place, "list"))
        return done.last if done is not None else []

    def _take_new(self, listed: list[dict[str, Any]], manifest: Manifest) -> None:
        for one in listed:
            if one["number"] not in self.manifests:
                self.manifests[one["number"]] = manifest
                self.deeds.provisional += not one["complete"]
        self.miss(listed)
        self._complete |= {one["number"] for one in listed if one["complete"]}
        # One that is not listed was deleted in an earlier round, and nobody brings it back.
        self.manifests = {one["number"]: self.manifests[one["number"]] for one in listed}

    def miss(self, listed: list[dict[str, Any]]) -> None:
        """What the vault has no more, though nobody deleted it, is told."""
        for number in sorted(self._complete - {one["number"] for one in listed}):
            self.deeds.unexpected.append(f"{self.place.job}: safeset {number} is gone, and nobody deleted it")
            self._complete.discard(number)

    def _thin_out(self, numbers: list[int]) -> set[int]:
        """Those that were deleted. The newest stays; what is pinned is deleted too, after the pin was taken away."""
        gone: set[int] = set()
        while len(numbers) > self._kept:
            number = numbers.pop(self._source.randrange(len(numbers) - 1))
            self._site.run_safeset(self.place, "unpin", number)  # one that is not pinned: no matter
            if self._must(self._site.run_safeset(self.place, "delete", number, "--yes")) is not None:
                self.deeds.deleted += 1
                gone.add(number)
                self._complete.discard(number)
            if self._source.random() < _UNDELETE_SHARE:
                self._undelete(number)
        if self._source.random() < _PIN_SHARE:
            words = ("pin", self._source.choice(numbers), "--reason", "for the hour")
            self.deeds.pinned += self._must(self._site.run_safeset(self.place, *words)) is not None
        return gone

    def _undelete(self, number: int) -> None:
        """It may have been purged just now."""
        done = self._site.run_safeset(self.place, "undelete", number, "--reason", "for the hour")
        if done.exit_code in (_NOT_FOUND, _CONFLICT):
            return
        if self._must(done) is not None:
            self.deeds.undeleted += 1
            self._complete.add(number)

    def _look_at_job(self) -> None:
        place = self.place
        words = (place.computer, place.job)
        self._must(self._site.run_administrator(place.account, "job", "freeze", *words, "--reason", "a look"))
        self._must(self._site.run_administrator(place.account, "job", "unfreeze", *words))

    def _must(self, done: Done) -> Done | None:
        if done.exit_code:
            self.deeds.unexpected.append(f"{self.place.job}: exit {done.exit_code}: {done.error[-500:]}")
            return None
        return done

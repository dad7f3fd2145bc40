"""An agent under torture: its tree, its runs one after another, and what each of them sent and was told."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.end_to_end.conftest import ROOT, environment

_LAUNCH_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Record:
    """As it went on the wire."""

    keyring: bytes
    id: bytes
    cid: bytes
    length: int


@dataclass(frozen=True, slots=True)
class Sent:
    records: list[Record]


@dataclass(frozen=True, slots=True)
class Acknowledged:
    records: list[Record]


@dataclass(frozen=True, slots=True)
class Committed:
    """The root that was countersigned."""

    root: bytes


Event = Sent | Acknowledged | Committed


@dataclass(slots=True)
class Told:
    """The lines of one run's tap; `read` takes what was added. `sent` and `durable` are of the newest upload in each
    of its lanes: a run that lost its vault begins another in both.
    """

    path: Path
    uploads: int = 0
    sent: dict[str, dict[int, list[Record]]] = field(default_factory=dict)
    durable: dict[str, int] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    _offset: int = 0

    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def read(self, end: int) -> None:
        """Whole lines up to byte `end`."""
        if end <= self._offset:
            return
        with self.path.open("rb") as file:
            file.seek(self._offset)
            data = file.read(end - self._offset)
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.splitlines():
            self._take(json.loads(line))

    def _take(self, line: dict) -> None:
        if "begun" in line:
            self.uploads += line["begun"] == "bulk"
            self.sent[line["begun"]], self.durable[line["begun"]] = {}, -1
        elif "sent" in line:
            rows = [
                Record(bytes.fromhex(keyring), bytes.fromhex(id), bytes.fromhex(cid), length)
                for keyring, id, cid, length in line["records"]
            ]
            self.sent.setdefault(line["lane"], {})[line["sent"]] = rows
            self.events.append(Sent(rows))
        elif "durable" in line:
            sent, before = self.sent[line["lane"]], self.durable.get(line["lane"], -1)
            numbers = [number for number in sent if before < number <= line["durable"]]
            self.events.append(Acknowledged([record for number in numbers for record in sent[number]]))
            self.durable[line["lane"]] = max(before, line["durable"])
        else:
            self.events.append(Committed(bytes.fromhex(line["committed"])))

    def is_acknowledged(self) -> bool:
        """Whether it was told of anything."""
        self.read(self.size())
        return any(isinstance(event, Acknowledged) for event in self.events)

    def is_sending(self) -> bool:
        self.read(self.size())
        return self.waiting_bytes() > 0

    def count_uploads(self) -> int:
        self.read(self.size())
        return self.uploads

    def waiting_bytes(self) -> int:
        """Sent and not acknowledged."""
        return sum(
            record.length
            for lane, sent in self.sent.items()
            for number, records in sent.items()
            if number > self.durable.get(lane, -1)
            for record in records
        )


class Agent:
    """`told` is of the newest run; those before it are in `runs` as well."""

    def __init__(self, directory: Path, state: Path, job: str) -> None:
        self.job = job
        self.runs: list[Told] = []
        self._directory = directory
        self._words = ["--state", str(state), "backup", job, "--json"]
        self._process: int | None = None
        self._answers = b""
        self._computer = subprocess.Popen(
            [sys.executable, "-m", "tests.torture.computer"],
            cwd=ROOT, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            process_group=0,  # a Ctrl-C goes to the parent, which ends this and its run
        )  # fmt: skip

    @property
    def told(self) -> Told:
        return self.runs[-1]

    @property
    def output(self) -> Path:
        return self._directory / f"{self.job}.output"

    @property
    def is_running(self) -> bool:
        return self._process is not None

    @property
    def descriptor(self) -> int:
        assert self._computer.stdout is not None
        return self._computer.stdout.fileno()

    def start(self) -> None:
        assert not self.is_running
        assert self._computer.stdin is not None
        self.runs.append(Told(self._directory / f"{self.job}-{len(self.runs)}.tap"))
        order = {"words": self._words, "tap": str(self.told.path), "output": str(self.output)}
        self._computer.stdin.write(json.dumps(order).encode() + b"\n")
        self._computer.stdin.flush()
        # A descriptor, because the number of a process that ended may soon be that of another.
        self._process = os.pidfd_open(self._answer(_LAUNCH_SECONDS))

    def ended(self) -> int | None:
        """The exit code, once; None while it runs."""
        if b"\n" not in self._answers and not select.select([self.descriptor], [], [], 0)[0]:
            return None
        return self.wait(_LAUNCH_SECONDS)

    def wait(self, seconds: float) -> int:
        code = self._answer(seconds)
        assert self._process is not None
        os.close(self._process)
        self._process = None
        return code

    def kill(self) -> None:
        """It may have ended just now."""
        assert self._process is not None
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._process, signal.SIGKILL)

    def forget_runs(self) -> None:
        for told in self.runs:
            told.path.unlink(missing_ok=True)
        self.runs.clear()

    def close(self) -> None:
        """Ends the computer with whatever runs on it."""
        assert self._computer.stdin is not None
        assert self._computer.stdout is not None
        # Nobody has waited for the computer yet, so its number is still its own; all of its group end at once.
        with suppress(ProcessLookupError):
            os.killpg(self._computer.pid, signal.SIGKILL)
        self._computer.wait(_LAUNCH_SECONDS)
        if self._process is not None:
            select.select([self._process], [], [], _LAUNCH_SECONDS)  # readable once it has ended
            os.close(self._process)
            self._process = None
        self._computer.stdin.close()
        self._computer.stdout.close()

    def _answer(self, seconds: float) -> int:
        while b"\n" not in self._answers:
            if not select.select([self.descriptor], [], [], seconds)[0]:
                raise TimeoutError(f"the agent of {self.job} did nothing for {seconds:.0f} s")
            piece = os.read(self.descriptor, 4096)
            if not piece:
                raise RuntimeError(f"the computer of {self.job} ended")
            self._answers += piece
        line, _, self._answers = self._answers.partition(b"\n")
        return int(line)

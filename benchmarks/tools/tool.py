"""What a scenario asks of every tool that it compares."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.line import Detour, Line
from benchmarks.measure import Command, MemoryWatch, measure_together
from benchmarks.processes import cpu_seconds
from benchmarks.tools.syncs import Syncs

Sample = dict[str, Any]
PASSWORD = "correct horse battery staple"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a row of a table stands for: how it seals, how it compresses, what is on disk when it says that it is."""

    suite: str
    compression: str
    durability: str


class Tool(ABC):
    """One fresh place to back up to, with the server that it needs. Use as a context manager.

    `line`: every operation goes through such a line, and its sample counts what passed. `is_traced`: an operation's
    sample counts the calls that sync files; its times are then no times.
    """

    name: ClassVar[str]
    programs: ClassVar[tuple[str, ...]] = ()  # on PATH
    has_network: ClassVar[bool] = False
    good_exit_codes: ClassVar[tuple[int, ...]] = (0,)
    facts: Facts
    store: Path  # what lies below it is stored
    port = 0  # where the server listens, if there is one

    def __init__(self, directory: Path, line: Line | None = None, *, is_traced: bool = False) -> None:
        self.directory = directory
        self.temporary = directory / "temporary"  # the system's may lie above the data
        self.syncs = Syncs(directory / "syncs") if is_traced else None
        self._line = line if self.has_network else None

    def __enter__(self) -> Tool:
        self.temporary.mkdir(parents=True)
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def open(self) -> None:
        """Makes the place and starts its server."""

    @abstractmethod
    def close(self) -> None:
        """Ends the server."""

    @abstractmethod
    def backup_command(self, source: Path, agent: int) -> Command: ...

    @abstractmethod
    def restore_command(self, target: Path, back: int, path: Path | None) -> Command: ...

    @abstractmethod
    def caches(self) -> list[Path]:
        """What agent 0 keeps and can do without: a computer that has only what it needs to sign in lacks it."""

    def lead_to(self, port: int) -> None:
        """Agents go to `port` of this machine from now on."""
        if self.has_network:
            raise NotImplementedError

    def join(self, sources: Sequence[Path]) -> None:
        """Makes what agents 0, 1, ... need to back up one of `sources` each, if it is not there; nobody measures it."""
        del sources  # most need nothing

    def servers(self) -> list[int]:
        """Processes of the vault's side that are there before an operation and after it."""
        return []

    def served(self) -> list[int]:
        """Processes of the vault's side that the last operation's agent started itself."""
        return []

    def served_cpu_seconds(self) -> float:
        return 0.0

    def backup(self, case: str, number: int, source: Path) -> Sample:
        """A sample, of round `number`. Errors: RuntimeError with what the program said."""
        return self.backup_together(case, number, [source])

    def backup_together(self, case: str, number: int, sources: Sequence[Path]) -> Sample:
        """One agent for each of `sources`, all started at once. CPU seconds and memory are of all together."""
        self.join(sources)
        return self._run(
            case, number, lambda: [self.backup_command(source, agent) for agent, source in enumerate(sources)]
        )

    def restore(self, case: str, number: int, target: Path, back: int = 0, path: Path | None = None) -> Sample:
        """All of the backup that agent 0 made `back` backups before its latest one, or what is at `path`; it comes to
        `target` and its full source path.
        """
        target.mkdir(parents=True)
        return self._run(case, number, lambda: [self.restore_command(target, back, path)])

    @contextmanager
    def cold(self) -> Iterator[None]:
        """Agent 0 is without its caches in this block, and has them again after it."""
        caches = self.caches()
        for path in caches:
            path.rename(away(path))
        try:
            yield
        finally:
            for path in caches:
                shutil.rmtree(path, ignore_errors=True)
                path.unlink(missing_ok=True)
                away(path).rename(path)

    def stored_bytes(self) -> int:
        """All that lies where the tool stores, also what finds it again; sparse files as they lie on the disk."""
        statuses = [path.lstat() for path in self.store.rglob("*") if path.is_file()]
        return sum(min(status.st_size, 512 * status.st_blocks) for status in statuses)

    def _run(self, case: str, number: int, commands: Callable[[], list[Command]]) -> Sample:
        before_bytes, counts = self.stored_bytes(), dict[str, int]()
        with self._led(counts):
            measured = self._measured(commands())
        stored_bytes = self.stored_bytes()
        about = {"tool": self.name, "case": case, "round": number, **asdict(self.facts)}
        stored = {"stored_bytes": stored_bytes, "added_bytes": stored_bytes - before_bytes}
        return {**about, **measured, **stored, **counts, **(self.syncs.counted(self.served()) if self.syncs else {})}

    @contextmanager
    def _led(self, counts: dict[str, int]) -> Iterator[None]:
        """Through the line, if there is one; fills `counts` at its end."""
        if self._line is None:
            yield
            return
        with Detour(self.port, self._line, self.directory / "counts") as detour:
            self.lead_to(detour.port)
            yield
        self.lead_to(self.port)
        counts.update(detour.counts)

    def _measured(self, commands: Sequence[Command]) -> Sample:
        if self.syncs:
            self.syncs.begin()
            commands = [self.syncs.traced(command, f"agent-{agent}") for agent, command in enumerate(commands)]
        before = cpu_seconds(*self.servers())
        with MemoryWatch(lambda: [*self.servers(), *self.served()]) as vault:
            done = measure_together(commands, self.served)
        for command, measured in zip(commands, done, strict=True):
            if measured.exit_code not in self.good_exit_codes:
                said = (measured.stderr + measured.stdout)[-800:]
                raise RuntimeError(f"{self.name}: {command.words} ended with {measured.exit_code}: {said}")
        served_cpu_seconds = self.served_cpu_seconds()
        vault_cpu_seconds = cpu_seconds(*self.servers()) - before + served_cpu_seconds
        return {
            "wall_seconds": round(done[0].wall_seconds, 3),
            "agent_cpu_seconds": round(done[0].cpu_seconds - served_cpu_seconds, 2),
            "vault_cpu_seconds": round(vault_cpu_seconds, 2),
            "agent_peak_anonymous_bytes": done[0].peak_anonymous_bytes,
            "vault_peak_anonymous_bytes": vault.peak_anonymous_bytes,
        }


def away(path: Path) -> Path:
    return path.with_name(f"{path.name}.away")

"""A whole vault on simulated disks, that dies and starts again; what was acknowledged is judged by `acknowledged.py`.

    with SimulatedVault.make(directory) as world:       # a real directory for keys, locks and LMDB: /dev/shm is fastest
        backed_up = world.ready()                       # `world` is a `Site` of small_site.py
        state = world.save()                            # of a stopped vault: disks and both images
        ...
        world.restore(state)                            # the same state again, as often as wanted
        world.start(kill_after(7))                      # open_vault through a SimulatedDoor; Killed may come
        world.door.faults = fail(3)                     # or later: faults of the running vault
        world.kill()                                    # the process ends: page cache and LMDB stay
        world.lose_power(Random(seed))                  # or: the machine does
        world.start()

LMDB does not pass the door: after a power loss index and catalog come back, each for itself, in one of the ways of
`IMAGES`: as they were, as of any earlier transaction, torn, or not at all. Add a way there to try another one. The look
through the images, which starts a process, is left out where none of them is torn: that they are whole is known here.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

from tests.support.disk_faults import Faults
from tests.support.simulated_disk import SimulatedDisk
from tests.support.simulated_door import SimulatedDoor
from tests.support.simulated_file import SECTOR_BYTES
from tests.vaultd.operations.small_site import Site
from vaultd.catalog.database import Catalog
from vaultd.clock import FixedClock
from vaultd.config import make_config
from vaultd.image import probe
from vaultd.operations import images as looking
from vaultd.operations.init import InitRequest, init_vault
from vaultd.operations.places import CATALOG_DIRECTORY, INDEX_DIRECTORY
from vaultd.operations.vault import close_vault, open_vault
from vaultd.store.disk_door import SystemDoor
from vaultd.store.disks.opening import IDENTITY_NAME
from vaultd.store.index.index import Index

NAMES = (INDEX_DIRECTORY, CATALOG_DIRECTORY)
DATA = "data.mdb"
STATES_KEPT = 32

# From all committed states of one image, the newest last, to what is there after the loss; None for nothing.
Image = Callable[[Sequence[bytes], Random], bytes | None]


def tear(states: Sequence[bytes], rng: Random) -> bytes:
    """Cut short, or with a few sectors that hold something else; some of them hold nothing that counts."""
    data = bytearray(states[-1])
    if rng.random() < 0.3:
        return bytes(data[: rng.randrange(len(data))])
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(0, len(data), SECTOR_BYTES)
        data[at : at + SECTOR_BYTES] = rng.choice((bytes(SECTOR_BYTES), rng.randbytes(SECTOR_BYTES)))
    return bytes(data)


IMAGES: dict[str, Image] = {
    "current": lambda states, rng: states[-1],
    "earlier": lambda states, rng: rng.choice(states),
    "missing": lambda states, rng: None,
    "torn": tear,
}
# Torn ones cost a process each and come less often.
LOSSES = ("current", "earlier", "missing") * 5 + ("torn",)


@dataclass
class State:
    """Of a stopped vault; `images` are the committed states of index and catalog, the newest last."""

    disks: list[SimulatedDisk]
    images: dict[str, list[bytes]]
    time_ns: int


@dataclass
class SimulatedVault(Site):
    disks: list[SimulatedDisk] = field(default_factory=list)
    door: SimulatedDoor = field(default_factory=lambda: SimulatedDoor([]))
    images: dict[str, list[bytes]] = field(default_factory=dict)
    is_torn: bool = False

    @classmethod
    @contextmanager
    def make(cls, directory: Path, disks: int = 2, **settings: Any) -> Iterator["SimulatedVault"]:
        """A new vault that runs."""
        names = [f"disk-{number}" for number in range(1, disks + 1)]
        values = {"disks": names, "container_bytes": 64 * 1024, "journal_segment_bytes": 64 * 1024} | settings
        config = make_config(directory / "vault", values)
        clock = FixedClock()
        made = init_vault(InitRequest(config, "", ["localhost"]), clock, SystemDoor())
        vault = open_vault(config, clock, SystemDoor())
        close_vault(vault)
        world = cls(config, clock, made, vault)
        world.disks = [_taken_over(path) for path in config.disks]
        world.images = {name: [world._data(name).read_bytes()] for name in NAMES}
        with world._watched():
            world.start()
            try:
                yield world
            finally:
                world.kill()

    def start(self, faults: Faults | None = None) -> None:
        self.door = SimulatedDoor(self.disks, faults)
        self.vault = open_vault(self.config, self.clock, self.door)

    def kill(self) -> None:
        """Ends the process, wherever it is; a second time does nothing."""
        self.door.is_dead = True
        self.vault.catalog.close()
        self.vault.store.close()
        self.vault.lock.close()

    def lose_power(self, rng: Random, images: Sequence[str] = LOSSES) -> None:
        self.kill()
        for disk in self.disks:
            disk.cut_power(rng)
        for name in NAMES:
            way = rng.choice(images)
            left = IMAGES[way](self.images[name], rng) if self.images[name] else None
            self._give_back(name, left)
            self.images[name] = [] if left is None or way == "torn" else [left]
            self.is_torn = self.is_torn or (left is not None and way == "torn")

    def reopen(self) -> None:
        close_vault(self.vault)
        self.start()

    def crash(self) -> None:
        self.kill()
        self.start()

    def save(self) -> State:
        self.kill()
        images = {name: list(states) for name, states in self.images.items()}
        return State([disk.copy() for disk in self.disks], images, self.clock.time_ns)

    def restore(self, state: State) -> None:
        """Stopped, as it was saved."""
        self.kill()
        self.is_torn = False
        self.disks = [disk.copy() for disk in state.disks]
        self.clock.time_ns = state.time_ns
        for name in NAMES:
            self.images[name] = list(state.images[name])
            self._give_back(name, self.images[name][-1] if self.images[name] else None)

    def _data(self, name: str) -> Path:
        return self.config.directory / name / DATA

    def _give_back(self, name: str, data: bytes | None) -> None:
        for path in self.config.directory.glob(f"{name}*"):
            shutil.rmtree(path)
        if data is not None:
            self._data(name).parent.mkdir()
            self._data(name).write_bytes(data)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Every transaction of index and catalog leaves its state in `images`."""
        apply_index, apply_catalog = Index.apply, Catalog.apply

        def index(image: Index, *arguments: Any) -> None:
            apply_index(image, *arguments)
            self._note(image.path)

        def catalog(image: Catalog, *arguments: Any) -> None:
            apply_catalog(image, *arguments)
            self._note(Path(image._environment.path()))

        with patch.object(Index, "apply", index), patch.object(Catalog, "apply", catalog):
            with patch.object(looking, "look_at", self._look_at):
                yield

    def _look_at(self, images: Sequence[probe.Image]) -> list[probe.Look]:
        return probe.look_at(images) if self.is_torn else [probe.Look() for _ in images]

    def _note(self, path: Path) -> None:
        if path.parent == self.config.directory:
            states = self.images[path.name]
            states.append((path / DATA).read_bytes())
            del states[:-STATES_KEPT]


def _taken_over(path: Path) -> SimulatedDisk:
    """The disk leaves the real file system, but for the file that the vault locks."""
    disk = SimulatedDisk(path)
    disk.load(path)
    shutil.rmtree(path)
    path.mkdir()
    (path / IDENTITY_NAME).touch()
    return disk

"""A chunk store alone on one simulated disk: quick enough to try every byte of its files."""

from collections.abc import Sequence
from pathlib import Path

from tests.support.disk_faults import Faults
from tests.support.simulated_disk import SimulatedDisk
from tests.support.simulated_door import SimulatedDoor
from tests.support.simulated_file import File
from tests.vaultd.store.fakes import VAULT, now_ns
from vaultd.store.check.check import check_store
from vaultd.store.chunk_store import ChunkStore
from vaultd.store.findings import Finding, Severity
from vaultd.store.recovery.recovery import RecoveryReport
from vaultd.store.store_settings import StoreSettings

ROOT = Path("/simulated")
DATA = "data.mdb"


class SimulatedStore:
    """`directory` is a real one, for the index."""

    def __init__(self, directory: Path, disks: int = 2) -> None:
        self.disks = [SimulatedDisk(ROOT / f"disk{number}") for number in range(disks)]
        paths = [disk.root for disk in self.disks]
        self.settings = StoreSettings(directory / "index", paths, VAULT, container_bytes=64 * 1024, reserve_bytes=0)
        self.store = ChunkStore.create(self.settings, SimulatedDoor(self.disks), now_ns)

    def start(self, faults: Faults | None = None) -> RecoveryReport:
        self.store = ChunkStore.open(self.settings, SimulatedDoor(self.disks, faults), now_ns)
        return self.store.recover(lambda key: True)

    def damage(self, *, read_data: bool = True) -> list[Finding]:
        findings = self.check(read_data=read_data)
        return [found for found in findings if found.severity is Severity.damage]

    def check(self, *, read_data: bool = True) -> Sequence[Finding]:
        """`vaultd check` of a store that is closed."""
        return check_store(self.settings, SimulatedDoor(self.disks), read_data=read_data).findings

    def file(self, name: str) -> tuple[Path, File]:
        """The first file whose path ends so."""
        found = {path: file for disk in self.disks for path, file in disk.files().items()}
        return next((path, file) for path, file in sorted(found.items()) if str(path).endswith(name))

    def index_image(self) -> bytes:
        return (self.settings.index_path / DATA).read_bytes()

    def give_back_index(self, image: bytes) -> None:
        (self.settings.index_path / DATA).write_bytes(image)

"""A vault of three disks, stopped, and what a person may do to its disks; record `old` lies on one of them."""

import dataclasses
import os
import shutil
from pathlib import Path

import pytest

from tests.vaultd.operations.sealing import DATA, id_of
from tests.vaultd.operations.small_site import BackedUp, Site, make_site
from vaultd.operations import disks, upload
from vaultd.operations.fetch import FetchStream, Loss
from vaultd.operations.vault import close_vault, open_vault
from vaultd.store.disk_door import SystemDoor

AWAY = "away"


class Case:
    """A vault, stopped, and what a person may do to its disks."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, old_on: int = 2) -> None:
        self.root = root
        self.site: Site = make_site(root, disks=3)
        self.monkeypatch = monkeypatch
        self.backed_up: BackedUp = self.site.ready()
        self.old = self.store_on(old_on)
        self.new: bytes | None = None
        self.stop()

    def disk(self, number: int) -> Path:
        return self.site.config.directory / f"disk-{number + 1}"

    def store_on(self, number: int) -> bytes:
        self.monkeypatch.setattr(upload, "home_disk_number", lambda *_: number)
        record = self.backed_up.sealer.record(DATA, os.urandom(50))
        self.site.upload(self.backed_up, record)
        return record

    def start(self) -> None:
        self.site.vault = open_vault(self.site.config, self.site.clock, SystemDoor())

    def stop(self) -> None:
        close_vault(self.site.vault)

    def restarted(self) -> None:
        self.start()
        self.stop()

    def move(self, source: Path, target: Path) -> None:
        source.rename(target)

    def take_away(self, number: int) -> None:
        self.move(self.disk(number), self.root / f"{AWAY}-{number}")
        self.disk(number).mkdir()

    def bring_back(self, number: int) -> None:
        shutil.rmtree(self.disk(number))
        self.move(self.root / f"{AWAY}-{number}", self.disk(number))

    def replace(self, number: int) -> None:
        self.take_away(number)
        (self.disk(number) / "disk.new").touch()
        self.start()
        self.new = self.store_on(number)
        self.stop()

    def set_paths(self, *numbers: int) -> None:
        paths = [self.disk(number) for number in numbers]
        self.site.config = dataclasses.replace(self.site.config, disks=paths)

    def lose_lmdb(self) -> None:
        for name in ("catalog", "index"):
            shutil.rmtree(self.site.config.directory / name)

    def declare(self, name: str) -> None:
        self.start()
        disks.declare_lost(self.site.vault, self.site.operator, name)
        self.stop()

    def undo(self, name: str) -> None:
        self.start()
        disks.take_back(self.site.vault, self.site.operator, name)
        self.stop()

    # What is seen

    def states(self) -> list[tuple[int | None, str]]:
        return [(one.number, one.state) for one in disks.list_disks(self.site.vault).disks]

    def warnings(self) -> str:
        return "\n".join(disks.list_disks(self.site.vault).warnings)

    def fetch(self, record: bytes) -> bytes | Loss:
        opened, sealer = self.site.vault, self.backed_up.sealer
        ticket = opened.tickets.issue(self.backed_up.agent.identity, sealer.job_id, sealer.keyring_id)
        stream = FetchStream(opened, opened.tickets.find(self.backed_up.agent.identity, ticket))
        (found,) = stream.fetch([id_of(record)], 1 << 20).records
        return found

    def is_missing(self, record: bytes) -> bool:
        (missing,) = self.site.vault.store.missing(self.backed_up.sealer.keyring_id, [id_of(record)])
        return missing


HERE = [(0, "online"), (1, "online")]
ONLINE, OFFLINE, LOST = [*HERE, (2, "online")], [*HERE, (2, "offline")], [*HERE, (2, "lost")]

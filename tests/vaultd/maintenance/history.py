"""A job with two safesets, and what may happen to a record that one of them or both use."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lmdb
import pytest
from blake3 import blake3

from tests.vaultd.operations.sealing import DATA, id_of
from tests.vaultd.operations.small_site import BackedUp, Site
from vaultd.maintenance.damaged_safesets import DamageWatch
from vaultd.operations import safesets, upload
from vaultd.operations.vault import close_vault, open_vault
from vaultd.records import Identity
from vaultd.store.disk_door import SystemDoor
from vaultd.store.errors import RecordDamaged, StoreError

State = dict[int, str]
Walked = list[tuple[bytes, int]]  # job and number of each safeset

BOTH_WHOLE = {1: "whole", 2: "whole"}
FIRST_DAMAGED = {1: "damaged", 2: "whole"}
BOTH_DAMAGED = {1: "damaged", 2: "damaged"}
IN_DOUBT = {1: "in doubt", 2: "in doubt"}


class History:
    """Safeset 1 uses chunk `old` and `shared`, safeset 2 `new` and `shared`; each in a leaf of its own below an inner
    block. What is named after `old` is used by the first alone. Where that is provisional, the second is not made yet
    and will replace it.
    """

    def __init__(
        self,
        site: Site,
        owner: Identity,
        name: str = "laptop",
        *,
        before_chunks: Callable[[], None] = lambda: None,
        before_others: Callable[[], None] = lambda: None,
        first_is_complete: bool = True,
    ) -> None:
        self.site, self.owner, self.name = site, owner, name
        self._before_chunks, self._before_others = before_chunks, before_others
        self._first_is_complete = first_is_complete
        self.job: BackedUp = site.ready(owner, name)
        self.first_key = self.job.sealer.key_id
        self._texts = {name: os.urandom(50) for name in ("shared", "old", "new")}
        self.records: dict[str, bytes] = {}
        self._leaves: dict[str, tuple[bytes, bytes]] = {}
        self._first = self._safeset("old", 1)
        site.end(self.job)
        if first_is_complete:
            self.add_second()

    def add_second(self) -> None:
        self.site.begin(self.job, base=self._first)
        self._safeset("new", 2, self._first)
        self.site.end(self.job)

    def _leaf(self, name: str) -> tuple[bytes, bytes]:
        self.records[name] = self.job.sealer.record(DATA, self._texts[name])
        leaf = self.job.sealer.leaf([self.records[name]])
        self.records |= {f"{name} block": leaf[0], f"{name} companion": leaf[1]}
        return leaf

    def _safeset(self, name: str, sequence: int, previous: bytes = b"") -> bytes:
        leaves = {one: self._leaf(one) for one in ([name] if previous else ["shared", name])}
        self._leaves |= leaves
        top = self.job.sealer.inner(1, [self._leaves[name], self._leaves["shared"]])
        self.records |= {f"{name} top block": top[0], f"{name} top companion": top[1]}
        self._before_chunks()
        self.site.upload(self.job, *(self.records[one] for one in leaves))
        self._before_others()
        self.site.upload(self.job, *top, *(record for leaf in leaves.values() for record in leaf))
        payload = self.job.sealer.payload(top, 1)
        self.records[f"{name} payload"] = payload
        changed = {"previous": previous} if previous else {"complete": int(self._first_is_complete)}
        root = self.job.sealer.root(top, payload, level=1, sequence=sequence, **changed)
        self.site.commit(self.job, root, payload)
        return blake3(root).digest()

    # What happens

    def hurt(self, name: str) -> None:
        """One bit on the disk; nobody has met it yet."""
        record = self.records[name]
        for path in self.site.config.directory.glob("disk-*/containers/*/*"):
            data = bytearray(path.read_bytes())
            if record in data:
                data[data.index(record) + len(record) - 1] ^= 1
                path.write_bytes(data)
                return
        raise AssertionError(f"{name} is nowhere")

    def read(self, name: str) -> bytes:
        id_ = id_of(self.records[name])
        (location,) = self.site.vault.store.locate(self.job.sealer.keyring_id, [id_])
        assert location is not None
        return self.site.vault.store.read(location, id_)

    def meet(self, name: str) -> None:
        self.hurt(name)
        with pytest.raises(RecordDamaged):
            self.read(name)

    def is_readable(self, name: str) -> bool:
        try:
            return self.read(name) == self.records[name]
        except StoreError:
            return False

    def send_again(self, name: str) -> None:
        """A chunk, in a run that goes on."""
        self.site.begin(self.job)
        self.records[name] = self.job.sealer.record(DATA, self._texts[name])
        self.site.upload(self.job, self.records[name])

    def remove_index_row(self, name: str) -> None:
        close_vault(self.site.vault)
        with lmdb.open(str(self.site.config.directory / "index"), max_dbs=8) as index:
            rows = index.open_db(b"records")
            with index.begin(write=True, db=rows) as transaction:
                keys = [key for key, _ in transaction.cursor() if key.endswith(id_of(self.records[name]))]
                assert [transaction.delete(key) for key in keys] == [True]
        self.site.vault = open_vault(self.site.config, self.site.clock, SystemDoor())

    # What is seen

    async def look(self) -> None:
        await DamageWatch(self.site.vault).look_once()

    def states(self) -> State:
        """By number: `damaged`, `in doubt` or `whole`."""
        page = safesets.list_page(self.site.vault, self.owner, self.name, "home", None, 100)
        words: dict[tuple[bool, bool], str] = {(True, False): "damaged", (False, True): "in doubt"}
        return {one.number: words.get((one.damaged, one.in_doubt), "whole") for one in page.safesets}


class Told:
    """In the place of the log."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, str]] = []

    def error(self, event: str, **fields: Any) -> None:
        self.events.append((event, fields.get("place", ""), fields["problem"]))

    info = warning = error


def go_to_disk(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    for module in (upload, safesets):
        monkeypatch.setattr(module, "home_disk_number", lambda *_: number)


def away(site: Site, number: int) -> tuple[Path, Path]:
    """Where the disk is, and where it waits."""
    path = site.config.disks[number]
    return path, path.with_name("away")

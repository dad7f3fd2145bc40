"""A vault with some of everything, as it lies on its disks when the daemon has ended: what a rebuild must bring back.

Three accounts, one of which spilled onto the other disk; computers, one of them removed, as a later version will do;
two jobs of one keyring; two slots; safesets; a record that superseded a damaged one, one that is damaged, one under a
run key that was given up; sealed and open containers; many segments of the journal with a checkpoint in their middle.
"""

import copy
import dataclasses
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import msgpack
import pytest
from blake3 import blake3

from tests.vaultd.operations.image_dump import Catalog, IndexDump, dump_catalog, dump_index
from tests.vaultd.operations.sealing import DATA, Sealer, id_of, slot
from tests.vaultd.operations.small_site import BackedUp, Site, new_keyring
from vaultd.operations import dead_keys, keyrings, ledger
from vaultd.operations.vault import Vault, close_vault, open_vault, write_checkpoint
from vaultd.records import Identity
from vaultd.store.disk_door import SystemDoor
from vaultd.store.errors import RecordDamaged

RESERVE_BYTES = 64 * 1024 * 1024
CHUNK_BYTES = 9_000  # seven fit a container of 64 KiB


class SmallDisks(SystemDoor):
    """`full` has room for the journal, and not for another record."""

    full: Path | None = None

    def space(self, path: Path) -> tuple[int, int]:
        total, free = super().space(path)
        return total, RESERVE_BYTES + 100 if path == self.full else free


@dataclass
class Rich:
    site: Site
    jobs: list[BackedUp]
    heads: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)  # by job: sequence and hash of the newest root
    contents: dict[bytes, bytes] = field(default_factory=dict)  # by id: the record that a read must give
    keyring_of: dict[bytes, bytes] = field(default_factory=dict)
    sent_again: bytes = b""  # id of a record that was damaged, and the one sent again is whole
    damaged: bytes = b""  # id of a record that is damaged, and was not sent again
    given_up: list[bytes] = field(default_factory=list)  # ids that wait to be sent again under another key
    dead_key: bytes = b""
    removed: dict[str, bytes] = field(default_factory=dict)  # keys of rows that were removed, by table
    index: IndexDump = field(init=False)
    catalog: Catalog = field(init=False)

    @property
    def directory(self) -> Path:
        return self.site.config.directory

    @property
    def older(self) -> Path:
        """Copies of `index` and `catalog` as they were long before."""
        return self.directory.parent / "older"

    def open(self) -> Vault:
        self.site.vault = open_vault(self.site.config, self.site.clock, SystemDoor())
        return self.site.vault

    def keep_older(self, name: str) -> None:
        self.end()
        shutil.copytree(self.directory / name, self.older / name)
        self.open()

    def copy_to(self, to: Path) -> "Rich":
        """The same vault in another place."""
        shutil.copytree(self.directory.parent, to, dirs_exist_ok=True)
        directory = to / self.directory.name
        disks = tuple(directory / disk.name for disk in self.site.config.disks)
        config = dataclasses.replace(self.site.config, directory=directory, disks=disks)
        other = copy.copy(self)
        other.site = dataclasses.replace(self.site, config=config)
        other.heads, other.contents, other.keyring_of = self.heads.copy(), self.contents.copy(), self.keyring_of.copy()
        other.open()
        other.end()  # it has learned where its disks lie now
        other.index, other.catalog = dump_index(directory), dump_catalog(directory)
        return other

    def back_up(self) -> None:
        """One more safeset of each job, on the base of its last one: nothing that is here is wanted again."""
        for job in self.jobs:
            assert not any(self.missing(*self.contents))
            add_safesets(self, job, 1)

    def end(self) -> None:
        """Without the checkpoint that closing writes: as a kill does."""
        self.site.vault.catalog.close()
        self.site.vault.store.close()
        self.site.vault.lock.close()

    def missing(self, *ids: bytes) -> list[bool]:
        return [self.site.vault.store.missing(self.keyring_of[id_], [id_])[0] for id_ in ids]

    def contents_named(self) -> set[tuple[bytes, bytes]]:
        return {(self.keyring_of[id_], id_) for id_ in self.contents}

    def require_all_reads(self) -> None:
        """Every record that can be read reads as it was sent, and is not wanted again."""
        store = self.site.vault.store
        for id_, record in self.contents.items():
            (location,) = store.locate(self.keyring_of[id_], [id_])
            assert location is not None
            assert store.read(location, id_) == record
        assert not any(self.missing(*self.contents))


def make_rich(site: Site) -> Rich:
    """Ended; the dumps are those of its end."""
    close_vault(site.vault)
    site.config = dataclasses.replace(site.config, container_bytes=64 * 1024, journal_segment_bytes=4096)
    door = SmallDisks()
    site.vault = open_vault(site.config, site.clock, door)
    administrators = [site.administrator(name) for name in ("acme", "bolt", "cato")]
    rich = Rich(site, [_ready(site, administrator) for administrator in administrators])
    for number, job in enumerate(rich.jobs):
        door.full = site.config.disks[0] if number == 1 else None
        add_safesets(rich, job, 3)
    rich.keep_older("index")
    _remove_computer(rich, administrators[0], "gone-before")
    write_checkpoint(site.vault)
    rich.keep_older("catalog")
    _remove_computer(rich, administrators[1], "gone-after")
    _share_keyring(rich)
    _supersede(rich)
    _damage(rich)
    _give_up(rich)
    for number in range(12):
        site.administrator(f"later-{number}")
    rich.end()
    rich.index, rich.catalog = dump_index(rich.directory), dump_catalog(rich.directory)
    return rich


def _ready(site: Site, administrator: Identity) -> BackedUp:
    """With a slot for the password and one for the recovery code."""
    agent = site.agent(administrator)
    job = site.job(administrator, agent)
    sealer = Sealer(job.account_id, job.computer_id, job.job_id, os.urandom(16))
    slots = [slot(sealer.keyring_id, kind) for kind in (1, 2)]
    keyrings.create(site.vault, agent.identity, new_keyring(sealer, *slots))
    return BackedUp(job, sealer, slots[0], agent)


def add_safesets(rich: Rich, job: BackedUp, count: int) -> None:
    head = rich.heads.get(job.job.job_id, (0, bytes(32)))
    for sequence in range(head[0] + 1, head[0] + count + 1):
        rich.site.begin(job, base=head[1] if sequence > 1 else None)
        chunks = [job.sealer.record(DATA, os.urandom(CHUNK_BYTES)) for _ in range(4)]
        top = job.sealer.leaf(chunks)
        store(rich, job, *chunks, *top)
        payload = job.sealer.payload(top)
        root = job.sealer.root(top, payload, sequence=sequence, previous=head[1])
        rich.site.commit(job, root, payload)
        note(rich, job, payload)
        rich.site.end(job)
        head = sequence, blake3(root).digest()
    rich.heads[job.job.job_id] = head
    rich.site.begin(job, base=head[1])


def store(rich: Rich, job: BackedUp, *records: bytes) -> None:
    rich.site.upload(job, *records)
    note(rich, job, *records)


def note(rich: Rich, job: BackedUp, *records: bytes) -> None:
    for record in records:
        rich.contents[id_of(record)] = record
        rich.keyring_of[id_of(record)] = job.sealer.keyring_id


def _remove_computer(rich: Rich, administrator: Identity, name: str) -> None:
    """Its row, and the invite that it used."""
    agent = rich.site.agent(administrator, name)
    with rich.site.vault.catalog.read() as view:
        invites = [key for key, value in view.scan("invites") if agent.identity.identity_id in msgpack.unpackb(value)]
    keys = {"computers": agent.identity.account_id + agent.identity.identity_id, "invites": invites[0]}
    ledger.record(rich.site.vault, [(table, key, None) for table, key in keys.items()])
    rich.removed |= {f"{table} {name}": key for table, key in keys.items()}


def _share_keyring(rich: Rich) -> None:
    """Another job of the first account with the keyring of its first."""
    job = rich.jobs[0].job
    with rich.site.vault.catalog.read() as view:
        row = view.get("jobs", job.account_id + job.job_id)
    assert row is not None
    fields = msgpack.unpackb(row)
    fields[0], fields[3] = os.urandom(16), "second"
    key = job.account_id + fields[0]
    names = ("job_names", job.account_id + job.computer_id + b"second", fields[0])
    ledger.record(rich.site.vault, [("jobs", key, msgpack.packb(fields)), names])


def hit(rich: Rich, record: bytes) -> None:
    """Flips a bit on the disk, lets a reader meet it and the index note it."""
    for path in rich.directory.glob("disk-*/containers/*/*.container"):
        data = path.read_bytes()
        if record in data:
            at = data.index(record) + len(record) - 1
            path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    with pytest.raises(RecordDamaged):
        rich.require_all_reads()
    rich.site.vault.store.commit()


def _supersede(rich: Rich) -> None:
    job, content = rich.jobs[0], os.urandom(CHUNK_BYTES)
    first = job.sealer.record(DATA, content)
    store(rich, job, first)
    hit(rich, first)
    again = job.sealer.record(DATA, content)
    store(rich, job, again)
    rich.sent_again = id_of(again)


def _damage(rich: Rich) -> None:
    job = rich.jobs[1]
    record = job.sealer.record(DATA, os.urandom(CHUNK_BYTES))
    store(rich, job, record)
    hit(rich, record)
    rich.damaged = id_of(record)
    del rich.contents[rich.damaged]


def _spoil_key(rich: Rich, key_id: bytes) -> None:
    """Its wrap does not open any more, in the catalog and in what that is made from."""
    with rich.site.vault.catalog.read() as view:
        ((key, value),) = [row for row in view.scan("run_keys") if row[0].endswith(key_id)]
    fields = msgpack.unpackb(value)
    fields[3] = fields[3][:-1] + bytes([fields[3][-1] ^ 1])
    ledger.record(rich.site.vault, [("run_keys", key, msgpack.packb(fields))])


def _give_up(rich: Rich) -> None:
    """The run key of the last job's last run does not open any more; one of two records was sent again."""
    job, vault = rich.jobs[2], rich.site.vault
    contents = [os.urandom(CHUNK_BYTES) for _ in range(2)]
    old = [job.sealer.record(DATA, content) for content in contents]
    store(rich, job, *old)
    dead = rich.dead_key = job.sealer.key_id
    _spoil_key(rich, dead)
    dead_keys.give_up_keys(vault, job.agent.identity, job.job.job_id, [dead])
    rich.site.begin(job)
    store(rich, job, job.sealer.record(DATA, contents[0]))
    rich.given_up = [id_of(old[1])]
    del rich.contents[id_of(old[1])]

"""What a disk that is away or lost hits is named by account, computer, job and safeset: all of it, and nothing else.

The expected rows are what the test put where; ids and companions are counted by hand.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from blake3 import blake3

from tests.vaultd.operations.sealing import DATA
from tests.vaultd.operations.small_site import BackedUp, Site
from vaultd.operations import disk_hits, disks, safesets, upload
from vaultd.operations.check import check_vault
from vaultd.operations.vault import close_vault, open_vault
from vaultd.store.disk_door import SystemDoor

Hits = list[tuple[str, str, str, int, int, bool]]
Pair = tuple[bytes, bytes]


class Spread:
    """Safesets whose records lie where the test says: `at` is the number of the disk."""

    def __init__(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        self.site = site
        self._monkeypatch = monkeypatch
        self.disk = site.config.directory / "disk-2"

    def store(self, job: BackedUp, at: int, *records: bytes) -> None:
        self._go_to(at)
        self.site.upload(job, *records)

    def commit(self, job: BackedUp, top: Pair, level: int = 0, after: bytes = b"", *, at: int = 0) -> bytes:
        """The root; its payload lies on disk `at`."""
        if after:
            self.site.begin(job)
        payload = job.sealer.payload(top, level)
        number = 1 if not after else 2
        previous = {"previous": blake3(after).digest(), "sequence": number} if after else {}
        root = job.sealer.root(top, payload, level=level, **previous)
        self._go_to(at)
        self.site.commit(job, root, payload)
        return root

    def data(self, job: BackedUp, count: int) -> list[bytes]:
        return [job.sealer.record(DATA, os.urandom(50)) for _ in range(count)]

    def lose(self) -> None:
        close_vault(self.site.vault)
        shutil.rmtree(self.disk)
        self.disk.mkdir()

    def start(self) -> None:
        self.site.vault = open_vault(self.site.config, self.site.clock, SystemDoor())

    def hits(self) -> Hits:
        found, after = [], b""
        while True:
            page = disks.hit_by(self.site.vault, "1", after)
            found += [(h.account, h.computer, h.job, h.number, h.records, h.at_least) for h in page.hits]
            after = page.next
            if not after:
                return sorted(found)

    def check(self) -> list[str]:
        close_vault(self.site.vault)
        findings = check_vault(self.site.config, SystemDoor(), read_data=False).findings
        self.start()
        found = [f"{one.severity.value} {one.place}: {one.sentence}" for one in findings if "account " in one.place]
        return sorted(line.split(" (")[0] for line in found)

    def severities(self) -> set[str]:
        close_vault(self.site.vault)
        findings = check_vault(self.site.config, SystemDoor(), read_data=False).findings
        self.start()
        return {one.severity.value for one in findings}

    def _go_to(self, number: int) -> None:
        for module in (upload, safesets):
            self._monkeypatch.setattr(module, "home_disk_number", lambda *_: number)


@pytest.fixture
def spread(site: Site, monkeypatch: pytest.MonkeyPatch) -> Spread:
    return Spread(site, monkeypatch)


def fill(spread: Spread) -> Hits:
    """Five jobs of three accounts; what is expected of the loss of the second disk."""
    site = spread.site
    first = site.administrator("acme")
    jobs = [site.ready(first, "laptop"), site.ready(first, "server")]
    jobs += [site.ready(site.administrator(name), name) for name in ("beta", "gamma", "delta")]
    untouched, some, payload_only, companion_hit, deep = jobs

    here = spread.data(untouched, 3)
    leaf = untouched.sealer.leaf(here)
    spread.store(untouched, 0, *here, *leaf)
    spread.commit(untouched, leaf)

    here, there = spread.data(some, 2), spread.data(some, 3)
    leaf = some.sealer.leaf([*here, *there])
    spread.store(some, 1, *there)
    spread.store(some, 0, *here, *leaf)
    root = spread.commit(some, leaf)
    smaller = some.sealer.leaf(here)
    spread.store(some, 0, *smaller)
    spread.commit(some, smaller, after=root)

    here = spread.data(payload_only, 1)
    leaf = payload_only.sealer.leaf(here)
    spread.store(payload_only, 0, *here, *leaf)
    spread.commit(payload_only, leaf, at=1)

    there = spread.data(companion_hit, 4)
    leaf = companion_hit.sealer.leaf(there)
    spread.store(companion_hit, 1, *there, leaf[1])
    spread.store(companion_hit, 0, leaf[0])
    spread.commit(companion_hit, leaf)

    shared, here = spread.data(deep, 1), spread.data(deep, 2)
    leaves = [deep.sealer.leaf([*shared, one]) for one in here]  # a record that two blocks use counts once
    top = deep.sealer.inner(1, leaves)
    spread.store(deep, 1, *shared)
    spread.store(deep, 0, *here, *(record for pair in (*leaves, top) for record in pair))
    spread.commit(deep, top, 1)
    return [
        ("acme", "server", "home", 1, 3, False),
        ("beta", "beta", "home", 1, 1, False),
        ("delta", "delta", "home", 1, 1, False),
        ("gamma", "gamma", "home", 1, 1, True),
    ]


def lines(hits: Hits, severity: str, words: str) -> list[str]:
    return [
        f"{severity} account {account}, computer {computer}, job {job}, safeset {number}: "
        f"{'at least ' * at_least}{records} records that it uses {words} on disk 1"
        for account, computer, job, number, records, at_least in hits
    ]


def test_all_that_is_hit_is_named_and_nothing_else(spread: Spread, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = fill(spread)
    assert spread.hits() == expected  # asked for before it happens
    spread.lose()
    spread.start()
    assert spread.hits() == expected
    for page in (1, 2):
        monkeypatch.setattr(disks, "SAFESETS_AT_ONCE", page)
        assert spread.hits() == expected
    assert spread.check() == lines(expected, "warning", "lie")
    disks.declare_lost(spread.site.vault, spread.site.operator, "1")
    assert spread.hits() == expected
    assert spread.check() == lines(expected, "damage", "lay")
    listed = disks.list_disks(spread.site.vault).disks
    assert [(one.number, one.state, one.containers) for one in listed] == [(0, "online", 1), (1, "lost", 1)]


@pytest.mark.parametrize("lost", ["index", "catalog", "both"])
def test_nothing_is_forgotten_where_lmdb_went_too(spread: Spread, lost: str) -> None:
    """A record without a row may lie on the disk that could not be read: each of these safesets lacks some."""
    expected = fill(spread)
    spread.lose()
    for name in ("index", "catalog") if lost == "both" else (lost,):
        shutil.rmtree(spread.site.config.directory / name)
    spread.start()
    assert spread.hits() == expected
    assert spread.check() == lines(expected, "warning", "lie")
    assert spread.severities() == {"warning"}  # nothing of that is damage


def test_what_was_sent_again_is_not_hit_any_more(spread: Spread) -> None:
    job = spread.site.ready()
    content = os.urandom(50)
    there = job.sealer.record(DATA, content)
    leaf = job.sealer.leaf([there])
    spread.store(job, 1, there)
    spread.store(job, 0, *leaf)
    base = blake3(spread.commit(job, leaf)).digest()
    spread.lose()
    spread.start()
    assert spread.hits() == [("acme", "laptop", "home", 1, 1, False)]
    assert spread.site.begin(job, base=base).base_known
    disks.declare_lost(spread.site.vault, spread.site.operator, "1")
    assert not spread.site.begin(job, base=base).base_known
    spread.store(job, 0, job.sealer.record(DATA, content))
    assert spread.hits() == []
    assert spread.check() == []


def test_memory_stays_bounded(spread: Spread, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered of a walk is forgotten where it grows; then a record used twice may count twice."""
    expected = fill(spread)
    monkeypatch.setattr(disk_hits, "HIT_IDS_MAX", 0)
    monkeypatch.setattr(disk_hits, "_KNOWN_MAX", 1)
    monkeypatch.setattr(disk_hits, "_KNOWN_IDS_MAX", 0)
    found = spread.hits()
    assert [row[:4] for row in found] == [row[:4] for row in expected]
    assert [row[4] for row in found] == [3, 1, 2, 1]


def opened(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How often a file of the containers was opened for reading."""
    counted: list[Path] = []
    real = SystemDoor.open_read

    def open_read(self: SystemDoor, path: Path) -> object:
        counted.append(path)
        return real(self, path)

    monkeypatch.setattr(SystemDoor, "open_read", open_read)
    return lambda: sum(path.suffix == ".container" for path in counted)


def test_a_companion_is_read_once_for_all_safesets(spread: Spread, monkeypatch: pytest.MonkeyPatch) -> None:
    job = spread.site.ready()
    leaves = []
    for _ in range(20):
        here = spread.data(job, 1)
        leaves.append(job.sealer.leaf(here))
        spread.store(job, 0, *here, *leaves[-1])
    there = spread.data(job, 1)
    leaves.append(job.sealer.leaf(there))
    spread.store(job, 1, *there)
    top = job.sealer.inner(1, leaves)
    spread.store(job, 0, *leaves[-1], *top)
    root = spread.commit(job, top, 1)
    spread.commit(job, top, 1, after=root)
    count = opened(monkeypatch)
    assert [row[3:] for row in spread.hits()] == [(1, 1, False), (2, 1, False)]
    assert count() == 20 + 1 + 2, "the leaves once, whether they are hit or not, and the top of each safeset"

"""One copy of two that is damaged is told as damaged, one that is not there as missing, by check and rebuild alike; and
each in one finding, because the other copy holds.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.vaultd.operations.small_site import Site
from tests.vaultd.operations.test_check import change_rows, filled, flip
from vaultd.operations.check import check_vault
from vaultd.operations.rebuild import rebuild_vault
from vaultd.operations.vault import close_vault, open_vault
from vaultd.store.disk_door import SystemDoor
from vaultd.store.findings import Finding
from vaultd.store.index.reading_progress import tell_nobody

KINDS = {"journal": "journal/*.journal", "checkpoint": "checkpoints/*.checkpoint", "erase key": "erase-keys/*.key"}
Change = Callable[[Path], object]


def damaged(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def shorter(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def check(site: Site) -> list[Finding]:
    return check_vault(site.config, SystemDoor(), read_data=True).findings


def rebuild(site: Site) -> list[Finding]:
    for name in ("index", "catalog"):
        shutil.rmtree(site.config.directory / name)
    return rebuild_vault(site.config, site.clock, SystemDoor(), tell_nobody, index_only=False).findings


@pytest.fixture
def stopped(site: Site) -> Iterator[Site]:
    filled(site)
    close_vault(site.vault)
    yield site
    site.vault = open_vault(site.config, site.clock, SystemDoor())


@pytest.mark.parametrize("disk", [1, 2])
@pytest.mark.parametrize(
    ("change", "words"),
    [(damaged, "is damaged"), (shorter, "ends after "), (Path.unlink, "is missing")],
    ids=["damaged", "shorter", "missing"],
)
@pytest.mark.parametrize("look", [check, rebuild])
def test_of_the_journal(
    stopped: Site, look: Callable[[Site], list[Finding]], change: Change, words: str, disk: int
) -> None:
    path = max((stopped.config.directory / f"disk-{disk}").glob(KINDS["journal"]))
    change(path)
    (found,) = look(stopped)
    assert (found.severity.value, found.place) == ("warning", str(path))
    assert found.sentence.startswith(f"this copy of the journal {words}")


@pytest.mark.parametrize("disk", [1, 2])
@pytest.mark.parametrize(
    ("change", "words"), [(damaged, "is damaged"), (Path.unlink, "is missing")], ids=["damaged", "missing"]
)
def test_of_a_checkpoint(stopped: Site, change: Change, words: str, disk: int) -> None:
    path = max((stopped.config.directory / f"disk-{disk}").glob(KINDS["checkpoint"]))
    change(path)
    (found,) = check(stopped)
    assert (found.severity.value, found.place) == ("warning", str(path))
    assert found.sentence.startswith(f"this copy of the checkpoint {words}")


@pytest.mark.parametrize("disk", [1, 2])
@pytest.mark.parametrize(("change", "words"), [(damaged, "damaged"), (Path.unlink, "missing")])
def test_of_an_erase_key(stopped: Site, change: Change, words: str, disk: int) -> None:
    path = max((stopped.config.directory / f"disk-{disk}").glob(KINDS["erase key"]))
    change(path)
    (found,) = check(stopped)
    assert found.severity.value == "warning"
    assert (words in found.sentence, "holds" in found.sentence) == (True, True)
    assert ("missing" in found.sentence) == (words == "missing")
    (made,) = rebuild(stopped)
    assert (made.severity.value, made.place) == ("warning", str(path))
    assert made.sentence == f"this copy of the erase key was {words} and was written again from the other one"


@pytest.mark.parametrize(
    ("change", "words"), [(flip(150), "cannot be read"), (lambda _: None, "is missing")], ids=["damaged", "missing"]
)
def test_of_a_slot(site: Site, change: Callable[[bytes], bytes | None], words: str) -> None:
    filled(site)
    counted = iter(range(9))
    change_rows(site, "slots", lambda value: change(value) if next(counted) == 0 else value)
    close_vault(site.vault)
    found = check(site)
    site.vault = open_vault(site.config, site.clock, SystemDoor())
    assert [one.severity.value for one in found] == ["warning"]
    assert found[0].sentence.startswith("a copy of slot ")
    assert words in found[0].sentence
    assert found[0].sentence.endswith("; the other copy holds")

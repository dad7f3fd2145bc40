"""The store that version 1 wrote opens, checks and restores with every later version. It is never made again."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.conftest import restored
from tests.frozen.frozen_store import ARCHIVE, FrozenSite, expected, facts, safesets
from tests.frozen.listing import Listing, list_tree

SOURCES = Path("/srv/safeset-store-v1")
NEWEST = dict(safesets())
# What the agent does not bring back yet; whoever teaches it more takes it out here.
KINDS_LEFT_OUT = {"reparse point"}
FACTS_LEFT_OUT = {"apart", "beyond", "flags"}
NOT_READ = 8


def as_restored(whole: Listing) -> Listing:
    """What a restore of today gives for what the safeset has."""
    return grouped({
        path: {name: fact for name, fact in entry.items() if name not in FACTS_LEFT_OUT}
        for path, entry in whole.items()
        if entry["kind"] not in KINDS_LEFT_OUT and not entry.get("flags", 0) & NOT_READ
    })


def grouped(listing: Listing) -> Listing:
    """The names of one file by the first of them that is there: its number, and names elsewhere, are not restored."""
    paths: dict[object, list[str]] = {}
    for path, entry in listing.items():
        paths.setdefault(entry.get("set"), []).append(path)
    found: Listing = {}
    for path, entry in listing.items():
        names = paths[entry["set"]] if "set" in entry else []
        found[path] = {name: fact for name, fact in entry.items() if name not in ("names", "set")}
        if len(names) > 1:
            found[path]["same as"] = names[0]
    return found


def is_whole(listing: Listing) -> bool:
    return not any(entry["kind"] in KINDS_LEFT_OUT or FACTS_LEFT_OUT & entry.keys() for entry in listing.values())


def restored_listing(site: FrozenSite, job: str, number: int, secret: tuple[object, object]) -> Listing:
    target = site.directory / f"restored-{job}-{number}"
    exit_code, warnings = site.restored_codes(job, target, "--privileged", "--safeset", number, *secret)
    assert exit_code == (0 if is_whole(expected(job, number)) else 3), warnings
    found = list_tree(SOURCES / job, restored(target, SOURCES / job))
    shutil.rmtree(target)
    return grouped(found)


def password(site: FrozenSite, job: str) -> tuple[object, object]:
    return "--password-file", site.password(job)


@pytest.fixture
def sources(tmp_path: Path) -> Iterator[Path]:
    """The one directory that the store's jobs name; other test runs on this machine wait."""
    with (Path(tempfile.gettempdir()) / "safeset-store-v1.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        shutil.rmtree(SOURCES, ignore_errors=True)
        yield SOURCES
        shutil.rmtree(SOURCES, ignore_errors=True)


def test_nobody_made_it_anew() -> None:
    assert hashlib.sha256(ARCHIVE.read_bytes()).hexdigest() == facts()["sha256"]


def test_a_check_finds_no_damage_in_it(stopped: FrozenSite) -> None:
    done = stopped.check()
    assert done.exit_code == 0, done
    assert done.last["findings"] == []
    assert done.last["counts"]["jobs"] == 4


def test_every_safeset_restores_as_its_source_was(frozen: FrozenSite) -> None:
    for job, number in safesets():
        assert restored_listing(frozen, job, number, password(frozen, job)) == as_restored(expected(job, number))


def test_a_recovery_code_opens_it(frozen: FrozenSite) -> None:
    secret = ("--recovery-code-file", frozen.recovery_code_file("plain"))
    assert restored_listing(frozen, "plain", 3, secret) == as_restored(expected("plain", 3))


def test_index_and_catalog_come_back_from_its_disks(stopped: FrozenSite) -> None:
    shutil.rmtree(stopped.vault / "index")
    shutil.rmtree(stopped.vault / "catalog")
    stopped.start()
    for job, number in NEWEST.items():
        assert restored_listing(stopped, job, number, password(stopped, job)) == as_restored(expected(job, number))
    assert stopped.stop() == 0
    assert stopped.check().exit_code == 0


def test_its_jobs_go_on(frozen: FrozenSite, sources: Path, tmp_path: Path) -> None:
    """Nothing that it has is sent again: ids, cut points and keys are those of then."""
    frozen.restore("pc", "plain", tmp_path / "back", "--privileged")
    shutil.move(restored(tmp_path / "back", sources), sources)
    again = frozen.backup("pc", "plain")
    assert (again["safeset"], again["uploaded_bytes"] < 20_000) == (4, True)
    (sources / "plain" / "new").write_bytes(b"of a later version\n")
    assert frozen.backup("pc", "plain")["safeset"] == 5
    frozen.restore("pc", "plain", tmp_path / "new", "--privileged")
    plain = sources / "plain"
    assert list_tree(plain, restored(tmp_path / "new", plain)) == list_tree(plain)
    assert frozen.stop() == 0
    assert frozen.check().exit_code == 0


def test_a_job_that_waits_in_it_makes_its_first_safeset(frozen: FrozenSite, sources: Path, tmp_path: Path) -> None:
    """Its secret was sealed then."""
    (sources / "later").mkdir(parents=True)
    (sources / "later" / "file").write_bytes(b"of the first run\n")
    assert frozen.backup("pc", "later")["safeset"] == 1
    frozen.restore("pc", "later", tmp_path / "new")
    assert (restored(tmp_path / "new", sources / "later") / "file").read_bytes() == b"of the first run\n"

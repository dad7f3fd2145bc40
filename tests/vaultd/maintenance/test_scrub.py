"""The scrub as a duty: what becomes of damage, where a restart goes on, how fast it is, and what an operator hears."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Generator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.vaultd.maintenance.history import FIRST_DAMAGED, History, Told
from tests.vaultd.operations.sealing import DATA
from tests.vaultd.operations.small_site import Site
from vaultd import metrics
from vaultd.catalog.scrub_passes import ScrubPass
from vaultd.errors import NoSpace
from vaultd.maintenance import scrub as duty_of_scrub
from vaultd.maintenance.scrub import ScrubDuty
from vaultd.operations import scrub
from vaultd.operations.vault import Vault
from vaultd.store.scrub import Piece

DAY_SECONDS = 86_400
Sleeps = list[float]


@pytest.fixture
def sleeps(site: Site, monkeypatch: pytest.MonkeyPatch) -> Sleeps:
    """Sleeping moves the vault's clock, and is noted."""
    slept: Sleeps = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        site.clock.advance(seconds)

    monkeypatch.setattr(duty_of_scrub, "LOOK_SECONDS", 3600)  # else weeks would pass second by second
    monkeypatch.setattr(duty_of_scrub, "trio", SimpleNamespace(sleep=sleep))
    return slept


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Told:
    told = Told()
    monkeypatch.setattr(duty_of_scrub, "log", Quiet(told))
    return told


class Quiet:
    """Keeps what is wrong; what a pass says at its end has no sentence."""

    def __init__(self, told: Told) -> None:
        self.error = told.error

    def info(self, event: str, **fields: Any) -> None:
        pass


def fill(site: Site, containers: int) -> None:
    """So many sealed containers of one record each, and one that goes on."""
    site.config = dataclasses.replace(site.config, container_bytes=64 * 1024)
    site.reopen()
    job = site.ready(name="full")
    for _ in range(containers + 1):
        site.upload(job, job.sealer.record(DATA, os.urandom(50_000)))
    assert [row.is_sealed for row in site.vault.store.containers()] == [True] * containers + [False]


def path_of(site: Site, number: int) -> Path:
    (path,) = site.config.directory.glob(f"disk-*/containers/0000/{number:012x}.container")
    return path


async def finish(duty: ScrubDuty, number: int, vault: Vault) -> ScrubPass:
    """Steps until this pass has ended."""
    while True:
        last = scrub.state(vault).last
        if last is not None and last.number >= number:
            return last
        await duty.step()


async def pass_once(site: Site) -> ScrubPass:
    number = scrub.ask(site.vault, site.operator)
    return await finish(ScrubDuty(site.vault), number, site.vault)


def count_reads(monkeypatch: pytest.MonkeyPatch, before: Callable[[int], None] = lambda number: None) -> list[int]:
    """The numbers of the containers that are read; `before` comes before each piece."""
    numbers: list[int] = []
    read = scrub.read_container

    def counted(vault: Vault, row: Any, open_rows: bytes | None) -> Generator[Piece, None, None]:
        numbers.append(row.number)
        for piece in read(vault, row, open_rows):
            before(row.number)
            yield piece

    monkeypatch.setattr(duty_of_scrub.scrub, "read_container", counted)
    return numbers


def metric(name: str) -> float:
    return metrics.REGISTRY.get_sample_value(f"vaultd_scrub_{name}") or 0.0


async def test_what_nobody_has_read_is_found_and_named_by_account_computer_job_and_safeset(
    history: History, sleeps: Sleeps, heard: Told
) -> None:
    site, before = history.site, metric("damages_total")
    history.hurt("old")
    ended = await pass_once(site)
    assert (ended.records_damaged, ended.places_damaged, ended.alarms, ended.unread) == (1, 0, 0, 0)
    assert metric("damages_total") == before + 1
    ((event, place, problem),) = heard.events
    assert (event, Path(place).suffix, "does not hold its cid" in problem) == ("damage found", ".container", True)
    await history.look()
    assert history.states() == FIRST_DAMAGED
    (hit,) = scrub.hit(site.vault, b"").hits
    assert (hit.account, hit.computer, hit.job, hit.number) == ("acme", "laptop", "home", 1)
    assert (hit.records, hit.at_least) == (1, False)
    assert (await pass_once(site)).records_damaged == 1  # as long as nothing was sent again


async def test_what_was_sent_again_is_no_damage_any_more(history: History, sleeps: Sleeps, heard: Told) -> None:
    history.hurt("old")
    await pass_once(history.site)
    await history.look()
    history.send_again("old")
    ended = await pass_once(history.site)
    assert (ended.records_damaged, ended.records_unused) == (0, 1)
    await history.look()
    assert scrub.hit(history.site.vault, b"").hits == []


async def test_what_reads_well_the_second_time_is_an_alarm(
    history: History, sleeps: Sleeps, heard: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: object) -> Generator[Piece, None, None]:
        yield Piece(size_bytes=1, records=1, alarms=["a record was read wrongly once"])

    monkeypatch.setattr(duty_of_scrub.scrub, "read_container", read)
    before = metric("alarms_total"), metric("damages_total")
    ended = await pass_once(history.site)
    containers = len(history.site.vault.store.containers())
    assert (ended.alarms, ended.records_damaged, ended.places_damaged) == (containers, 0, 0)
    assert (metric("alarms_total"), metric("damages_total")) == (before[0] + containers, before[1])
    assert {event for event, _, _ in heard.events} == {"disk read wrongly"}


async def test_a_pass_takes_the_days_of_the_setting_and_is_begun_again(
    site: Site, sleeps: Sleeps, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(site, 3)
    duty = ScrubDuty(site.vault)
    begin = site.clock.seconds
    await finish(duty, 1, site.vault)
    assert (site.clock.seconds - begin) / DAY_SECONDS == pytest.approx(30, rel=0.001)
    await finish(duty, 2, site.vault)
    assert (site.clock.seconds - begin) / DAY_SECONDS == pytest.approx(60, rel=0.001)


async def test_a_restart_goes_on_with_the_next_container(
    site: Site, sleeps: Sleeps, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(site, 3)
    numbers = count_reads(monkeypatch)
    for expected in ([1], [1, 2], [1, 2, 3]):  # a restart in each of the long pauses
        duty = ScrubDuty(site.vault)
        while len(numbers) < len(expected):
            await duty.step()
        assert numbers == expected
        site.crash()
    ended = await finish(ScrubDuty(site.vault), 1, site.vault)
    assert numbers == [1, 2, 3, 4]
    assert (ended.containers, ended.records) == (4, 4)


async def test_an_operator_waits_for_no_pause_and_for_no_older_pass(
    site: Site, sleeps: Sleeps, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(site, 3)
    numbers = count_reads(monkeypatch)
    duty = ScrubDuty(site.vault)
    while len(numbers) < 2:
        await duty.step()
    begin = site.clock.seconds
    number = scrub.ask(site.vault, site.operator)
    assert scrub.ask(site.vault, site.operator) == number
    ended = await finish(duty, number, site.vault)
    assert numbers == [1, 2, 1, 2, 3, 4]
    assert (ended.is_asked, site.clock.seconds - begin) == (True, 0)


async def test_an_asked_pass_that_a_restart_broke_off_goes_on_as_one(
    site: Site, sleeps: Sleeps, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(site, 3)
    site.config = dataclasses.replace(site.config, scrub_days=0)
    site.reopen()

    def slow(_: int) -> None:
        site.clock.advance(61)

    numbers = count_reads(monkeypatch, slow)
    number = scrub.ask(site.vault, site.operator)
    duty = ScrubDuty(site.vault)
    while len(numbers) < 2:
        await duty.step()
    site.crash()
    ended = await finish(ScrubDuty(site.vault), number, site.vault)
    assert numbers == [1, 2, 3, 4]
    assert ended.is_asked


async def test_without_days_it_waits_to_be_asked(site: Site, sleeps: Sleeps) -> None:
    fill(site, 1)
    site.config = dataclasses.replace(site.config, scrub_days=0)
    site.reopen()
    duty = ScrubDuty(site.vault)
    begin = site.clock.seconds
    while site.clock.seconds < begin + DAY_SECONDS:
        await duty.step()
    assert scrub.state(site.vault).going is None
    assert scrub.state(site.vault).last is None
    assert (await finish(duty, scrub.ask(site.vault, site.operator), site.vault)).containers == 2


async def test_it_rests_as_long_as_it_works(site: Site, sleeps: Sleeps, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(site, 1)
    numbers = count_reads(monkeypatch, lambda _: site.clock.advance(7))
    await pass_once(site)
    assert [seconds for seconds in sleeps if seconds] == [7.0] * len(numbers)


@pytest.mark.parametrize("when", ["before it is asked for", "before it is opened", "while it is read"])
async def test_a_container_that_goes_while_it_is_read_is_no_damage(
    site: Site, sleeps: Sleeps, heard: Told, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """As when its records were moved elsewhere: the row goes, then the file."""
    fill(site, 2)
    path = path_of(site, 1)

    def move() -> None:
        site.vault.store._containers.pop(1, None)
        path.unlink(missing_ok=True)

    open_container = scrub.open_container

    def opened(vault: Vault, number: int) -> Any:
        if when == "before it is asked for":
            move()
        found = open_container(vault, number)
        if when == "before it is opened":
            move()
        return found

    monkeypatch.setattr(duty_of_scrub.scrub, "open_container", opened)
    count_reads(monkeypatch, lambda _: move() if when == "while it is read" else None)
    ended = await pass_once(site)
    assert (ended.records_damaged, ended.places_damaged, ended.unread) == (0, 0, 0)
    assert ended.containers == (3 if when == "while it is read" else 2)
    assert heard.events == []


async def test_a_container_that_is_gone_is_damage(site: Site, sleeps: Sleeps, heard: Told) -> None:
    fill(site, 2)
    path = path_of(site, 1)
    path.unlink()
    ended = await pass_once(site)
    assert (ended.containers, ended.places_damaged) == (3, 1)
    assert heard.events == [("damage found", str(path), "the container is gone")]


async def test_a_disk_that_went_away_is_told_and_is_no_damage(
    site: Site, sleeps: Sleeps, heard: Told, tmp_path: Path
) -> None:
    fill(site, 2)
    container = path_of(site, 2)
    disk = container.parents[2]
    (disk / "disk.id").rename(tmp_path / "disk.id")
    container.rename(tmp_path / "container")
    ended = await pass_once(site)
    assert (ended.records_damaged, ended.places_damaged, ended.unread) == (0, 0, 1)
    assert [event for event, _, _ in heard.events] == ["container not scrubbed"]
    (tmp_path / "disk.id").rename(disk / "disk.id")
    (tmp_path / "container").rename(container)


async def test_how_far_it_is(site: Site, sleeps: Sleeps, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(site, 3)
    total = sum(row.acknowledged_length for row in site.vault.store.containers())
    seen: list[tuple[int, int, int, int]] = []

    def look(_: int) -> None:
        state = scrub.state(site.vault)
        assert state.going is not None
        seen.append((state.going.containers, state.containers_total, state.going.bytes, state.bytes_total))

    count_reads(monkeypatch, look)
    ended = await pass_once(site)
    assert [containers for containers, *_ in seen] == [0, 1, 2, 3]
    assert {(containers, size) for _, containers, _, size in seen} == {(4, total)}
    assert (ended.containers, ended.bytes) == (4, total)
    assert [done for *_, done, _ in seen] == sorted(done for *_, done, _ in seen)


async def test_what_cannot_be_noted_is_read_again(
    history: History, sleeps: Sleeps, heard: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk is no fault of the container."""

    def full(_vault: Vault, _piece: Piece) -> None:
        raise NoSpace("no room")

    vault = history.site.vault
    history.hurt("old")
    number = scrub.ask(vault, history.site.operator)
    duty = ScrubDuty(vault)
    with monkeypatch.context() as patched:
        patched.setattr(duty_of_scrub.scrub, "note", full)
        with pytest.raises(NoSpace):
            await finish(duty, number, vault)
    ended = await finish(duty, number, vault)
    assert (ended.records_damaged, ended.unread) == (1, 0)
    assert ended.containers == len(vault.store.containers())

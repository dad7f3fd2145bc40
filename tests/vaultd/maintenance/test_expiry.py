"""When safesets expire: at each pass, unless the clock jumped and no operator accepted it."""

from __future__ import annotations

import pytest
import structlog.testing

from tests.vaultd.operations.kept_job import DAY_SECONDS, make_history
from tests.vaultd.operations.small_site import Site
from vaultd import metrics
from vaultd.errors import Damaged
from vaultd.maintenance.clock_watch import ClockWatch
from vaultd.maintenance.expiry import Expiry
from vaultd.operations import clock_doubt, expiry, held_safesets, retention_types
from vaultd.operations.expiry import Due, Rest
from vaultd.operations.vault import Vault

YEARS_NS = 10 * 365 * DAY_SECONDS * 1_000_000_000


def expiry_of(site: Site) -> Expiry:
    return Expiry(site.vault, ClockWatch(site.vault))


def counted(name: str) -> float:
    return metrics.REGISTRY.get_sample_value(f"vaultd_{name}_total") or 0.0


async def test_a_pass_ends_what_the_rules_end(site: Site) -> None:
    history = make_history(site)
    duty = expiry_of(site)
    history.run_daily(35)
    before = counted("safesets_expired"), counted("safesets_purged")
    await duty.pass_once()
    assert history.listed() == list(range(5, 36))
    site.clock.advance(8 * DAY_SECONDS)
    await duty.pass_once()
    assert (counted("safesets_expired"), counted("safesets_purged")) == (before[0] + 5, before[1] + 4)


async def test_a_clock_that_jumps_ends_nothing_until_it_is_accepted(site: Site) -> None:
    history = make_history(site)
    duty = expiry_of(site)
    made = history.run_daily(5)
    site.clock.time_ns += YEARS_NS
    await duty.pass_once()
    site.clock.advance(300)
    await duty.pass_once()
    assert history.listed() == made
    site.reopen()
    await expiry_of(site).pass_once()
    assert history.listed() == made
    clock_doubt.accept(site.vault, site.operator)
    await expiry_of(site).pass_once()
    assert history.listed() == made[-1:]


async def test_a_burst_freezes_the_job_and_is_told(site: Site) -> None:
    history = make_history(site)
    duty = expiry_of(site)
    for _ in range(30):
        site.clock.advance(60)
        history.run()
    before = counted("jobs_frozen")
    with structlog.testing.capture_logs() as logs:
        await duty.pass_once()
        await duty.pass_once()
    assert counted("jobs_frozen") == before + 1
    assert [(line["event"], line["place"]) for line in logs] == [
        ("job frozen", "account acme, computer laptop, job home")
    ]


async def test_a_job_at_rest_is_looked_at_again_when_its_time_comes_or_something_changes(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = make_history(site)
    duty, looked, find_due = expiry_of(site), [], expiry.find_due

    def counted_look(vault: Vault, key: bytes, now_ns: int) -> Due | Rest:
        looked.append(key)
        return find_due(vault, key, now_ns)

    monkeypatch.setattr(expiry, "find_due", counted_look)

    async def looks() -> int:
        looked.clear()
        await duty.pass_once()
        return len(looked)

    history.run_daily(3)
    assert [await looks(), await looks()] == [1, 0]
    history.run()
    assert [await looks(), await looks()] == [1, 0]
    held_safesets.pin(site.vault, history.administrator, history.named(1), "why")
    assert [await looks(), await looks()] == [1, 0]
    retention_types.set_type(site.vault, history.administrator, "daily", 60, 30)
    assert [await looks(), await looks()] == [1, 0]
    held_safesets.delete(site.vault, history.administrator, history.named(2))
    assert [await looks(), await looks()] == [1, 0]
    site.clock.advance(7 * DAY_SECONDS - 1)
    assert await looks() == 0
    site.clock.advance(1)
    assert await looks() == 2  # it is purged, and nothing is left to do
    assert await looks() == 0


async def test_a_row_that_cannot_be_read_ends_a_rest(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    history = make_history(site)
    duty, key = expiry_of(site), history.job.job.account_id + history.job.job.job_id
    history.run()
    await duty.pass_once()

    def damaged(*_: object) -> None:
        raise Damaged("row 00 of the catalog's table jobs is damaged", "run `vaultd rebuild DIR`")

    monkeypatch.setattr(expiry, "read_job", damaged)
    assert expiry.not_at_rest(site.vault, [key], {key: Rest(b"", 2**62)}, 0) == [key]
    with structlog.testing.capture_logs() as logs:
        await duty.pass_once()
    assert [line["event"] for line in logs] == ["safesets not expired"]


async def test_a_job_with_a_damaged_row_keeps_no_other_from_its_turn(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = make_history(site)
    duty = expiry_of(site)
    history.run_daily(35)
    keys = [bytes(32), history.job.job.account_id + history.job.job.job_id]
    monkeypatch.setattr(expiry, "jobs_after", lambda vault, after: [] if after else keys)
    find_due = expiry.find_due

    def damaged(vault: Vault, key: bytes, now_ns: int) -> Due | Rest:
        if key == keys[0]:
            raise Damaged("row 00 of the catalog's table pins is damaged", "run `vaultd rebuild DIR`")
        return find_due(vault, key, now_ns)

    monkeypatch.setattr(expiry, "find_due", damaged)
    with structlog.testing.capture_logs() as logs:
        await duty.pass_once()
    assert history.listed() == list(range(5, 36))
    (told,) = [line for line in logs if line["event"] == "safesets not expired"]
    assert (told["place"], "vaultd rebuild" in told["problem"]) == (f"account {'00' * 16}, job {'00' * 16}", True)

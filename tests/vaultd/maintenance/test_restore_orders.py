"""Orders that are over lose their messages, also where a disk was full meanwhile."""

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from tests.vaultd.operations.ordering import DAY_SECONDS, Two
from tests.vaultd.operations.small_site import make_site
from vaultd.errors import NoSpace
from vaultd.maintenance import restore_orders
from vaultd.maintenance.restore_orders import expire_once
from vaultd.operations import ledger, ordered_restores
from vaultd.operations.vault import close_vault


@pytest.fixture
def autojump_clock() -> MockClock:
    return MockClock(autojump_threshold=0)


async def test_a_full_disk_keeps_an_order_that_is_over_until_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise NoSpace("the vault has no room left")

    two = Two(make_site(tmp_path))
    two.give()
    two.site.clock.advance(DAY_SECONDS)
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "record", full)
        with pytest.raises(NoSpace):
            await expire_once(two.site.vault, ())
    assert ordered_restores.has_outlived(two.site.vault)
    await expire_once(two.site.vault, ())
    assert two.messages() == {}
    close_vault(two.site.vault)


async def test_whatever_goes_wrong_is_told_once_and_ends_no_duty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    problems = iter([ValueError("a"), ValueError("a"), OSError("b"), None, OSError("b")])
    told, passed_on = [], []

    async def once(*_: object) -> None:
        problem = next(problems, Ellipsis)
        if problem is Ellipsis:
            duty.cancel()
        elif problem is not None:
            raise problem  # type: ignore[misc]

    async def failed(error: Exception) -> None:
        passed_on.append(str(error))

    monkeypatch.setattr(restore_orders, "expire_once", once)
    monkeypatch.setattr(restore_orders.log, "warning", lambda _, problem: told.append(problem))
    two = Two(make_site(tmp_path))
    with trio.CancelScope() as duty:
        await restore_orders.expire_orders(two.site.vault, list, failed)
    assert told == ["ValueError: a", "OSError: b", "OSError: b"]
    assert passed_on == ["a", "a", "b", "b"]
    close_vault(two.site.vault)

"""Orders that are over lose their messages, also where a disk was full meanwhile."""

from pathlib import Path

import pytest

from tests.vaultd.operations.ordering import DAY_SECONDS, Two
from tests.vaultd.operations.small_site import make_site
from vaultd.errors import NoSpace
from vaultd.maintenance.restore_orders import expire_once
from vaultd.operations import ledger, ordered_restores
from vaultd.operations.vault import close_vault


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
        await expire_once(two.site.vault, ())
    assert ordered_restores.has_outlived(two.site.vault)
    await expire_once(two.site.vault, ())
    assert two.rows()[0].wrapped == b""
    close_vault(two.site.vault)

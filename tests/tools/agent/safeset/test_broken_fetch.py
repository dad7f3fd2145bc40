"""A restore whose fetches break off, or whose records lie on a disk that is away."""

import os
from collections import Counter
from typing import Any

import pytest

from protocol import messages as m
from protocol.errors import ConnectionLost, RemoteProtocolError
from tests.tools.agent.conftest import Site, differences
from tests.tools.agent.fake_vault import FakeFetch
from tools.agent.safeset import fetch as fetch_module
from tools.client.failure import first_cause

Patch = pytest.MonkeyPatch


@pytest.fixture
async def stored(site: Site, monkeypatch: Patch) -> Site:
    """More than one window, and many fetches."""
    monkeypatch.setattr(fetch_module, "PAUSES_SECONDS", (0.0, 0.0))
    for number in range(40):
        (site.source / f"{number:02}").write_bytes(os.urandom(600_000))
    await site.back_up()
    return site


async def test_a_fetch_that_breaks_off_is_taken_up_again(stored: Site, monkeypatch: Patch) -> None:
    """The third answer of each fetch is a reset, as often as that happens, as long as something comes in between."""
    real, answers, resets = FakeFetch.receive, Counter[int](), 0

    async def receive(self: FakeFetch, type: Any) -> Any:
        nonlocal resets
        answers[id(self)] += 1
        if answers[id(self)] == 3:
            resets += 1
            raise ConnectionLost("the vault reset the stream")
        return await real(self, type)

    monkeypatch.setattr(FakeFetch, "receive", receive)
    restored = await stored.restore()
    assert resets > 2
    assert (restored.files, restored.missed.kept, restored.is_damaged) == (40, [], False)
    assert not differences(stored.source, stored.restored_source)


async def test_a_vault_that_stays_away_ends_the_restore(stored: Site, monkeypatch: Patch) -> None:
    async def receive(self: FakeFetch, type: Any) -> Any:
        raise ConnectionLost("the vault reset the stream")

    monkeypatch.setattr(FakeFetch, "receive", receive)
    with pytest.raises(BaseException) as caught:  # noqa: B017  (a group, or one)
        await stored.restore()
    assert isinstance(first_cause(caught.value), ConnectionLost)


async def test_a_restore_asks_for_so_much_at_once_only(stored: Site, monkeypatch: Patch) -> None:
    going, most = 0, 0

    async def enter(self: FakeFetch) -> FakeFetch:
        nonlocal going, most
        going += 1
        most = max(most, going)
        return self

    async def leave(self: FakeFetch, *_: object) -> None:
        nonlocal going
        going -= 1

    monkeypatch.setattr(FakeFetch, "__aenter__", enter)
    monkeypatch.setattr(FakeFetch, "__aexit__", leave)
    assert (await stored.restore()).files == 40
    assert 1 <= most <= 3


@pytest.mark.parametrize(("loss", "code"), [("offline", "offline"), ("damaged", "damaged"), ("missing", "damaged")])
async def test_a_record_that_the_vault_cannot_give_costs_its_files_only(stored: Site, loss: Any, code: str) -> None:
    """In the same stream; the reason is told, and content that did not come is never only a warning."""
    stored.vault.lost[stored.vault.ids_of_type(1)[0]] = loss
    restored = await stored.restore()
    assert restored.is_damaged
    assert 30 < restored.files < 40
    assert {kept for _, kept in restored.missed.kept} == {code}
    assert restored.missed.count == 40 - restored.files
    assert stored.vault.asked_twice() == []


async def test_a_batch_that_says_less_than_it_lacks_ends_the_restore(stored: Site, monkeypatch: Patch) -> None:
    real, lost = FakeFetch.receive, stored.vault.ids_of_type(1)[0]
    stored.vault.lost[lost] = "damaged"

    async def receive(self: FakeFetch, type: Any) -> Any:
        answer = await real(self, type)
        return answer and (m.FetchBatch(answer[0].lengths, [], []), answer[1])

    monkeypatch.setattr(FakeFetch, "receive", receive)
    with pytest.raises(BaseException) as caught:  # noqa: B017  (a group, or one)
        await stored.restore()
    assert isinstance(first_cause(caught.value), RemoteProtocolError)

"""A restore that is ordered through the vault: what an agent refuses of it, what it tells, what is done once."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from protocol.errors import ConnectionLost, ErrorCode, RemoteProtocolError
from tests.support.creator import Creator
from tests.tools.agent.conftest import PASSWORD, differences
from tests.tools.agent.service.ordered import DAY_NS, HOUR_NS, ORDER_ID, Ordered
from tools.agent.restore.restore_watch import OrderWatch
from tools.agent.service import asked_restore, taken_orders
from tools.agent.service.taken_orders import TakenOrders
from tools.client.agent_key import create_agent_key
from tools.client.failure import Failure


def test_what_is_ordered_is_restored(ordered: Ordered) -> None:
    assert ordered.carry_out(ordered.order()) == 0
    assert differences(ordered.site.source, ordered.site.restored_source) == ""
    assert ordered.end == ("done", 0, "")
    assert (ordered.ended[0].files, ordered.ended[0].bytes, ordered.ended[0].warnings) == (1, 100_000, 0)
    assert {told.order_id for told in ordered.told} == {ORDER_ID}


Change = Callable[[Ordered], bytes]


def flipped(at: int) -> Change:
    def change(ordered: Ordered) -> bytes:
        message = bytearray(ordered.order())
        message[at] ^= 1
        return bytes(message)

    return change


def for_another_job(ordered: Ordered) -> bytes:
    ordered.job_id = b"k" * 16
    return ordered.order()


def for_another_agent(ordered: Ordered) -> bytes:
    other = create_agent_key()
    return ordered.order(public=other.sealing_public, agent_key=other.fingerprint)


def at(hours: float) -> Change:
    """Given so many hours ago."""

    def change(ordered: Ordered) -> bytes:
        created = time.time_ns() - round(hours * HOUR_NS)
        return ordered.order(created=created, expires=created + DAY_NS)

    return change


REFUSED: dict[str, tuple[Change, str]] = {
    "head-altered": (flipped(8), "forged"),
    "sealed-part-altered": (flipped(400), "forged"),
    "signature-altered": (flipped(-1), "forged"),
    "of-another-creator": (lambda ordered: ordered.order(creator=Creator()), "forged"),
    "for-another-account": (lambda ordered: ordered.order(account=b"b" * 16), "forged"),
    "for-another-computer": (lambda ordered: ordered.order(computer=b"d" * 16), "forged"),
    "for-another-job": (for_another_job, "forged"),
    "for-another-agent": (for_another_agent, "forged"),
    "of-another-purpose": (lambda ordered: ordered.order(purpose=1), "forged"),
    "another-one-than-said": (lambda ordered: ordered.order(message=b"p" * 16), "forged"),
    "good-for-longer-than-a-day": (lambda ordered: ordered.order(expires=time.time_ns() + 2 * DAY_NS), "forged"),
    "to-no-absolute-path": (lambda ordered: ordered.order(target=b"there"), "forged"),
    "expired": (at(24), "expired"),
    "of-tomorrow": (at(-2), "early"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_forged_order_is_refused(ordered: Ordered, name: str) -> None:
    change, reason = REFUSED[name]
    assert ordered.carry_out(change(ordered)) == 0
    assert ordered.end == ("refused", 5, reason)
    assert not ordered.has_restored
    assert "restore.parameters" not in ordered.site.vault.asked


@pytest.mark.parametrize("hours", [23.99, -0.9])
def test_within_its_day_it_is_taken_by_a_clock_that_is_a_little_behind_too(ordered: Ordered, hours: float) -> None:
    ordered.carry_out(at(hours)(ordered))
    assert ordered.end == ("done", 0, "")


def test_an_order_is_carried_out_once(ordered: Ordered) -> None:
    message = ordered.order(overwrite="always")
    ordered.carry_out(message)
    (restored,) = [path for path in ordered.site.target.rglob("file") if path.is_file()]
    restored.write_bytes(b"changed since")
    assert ordered.carry_out(message) == 0
    assert restored.read_bytes() == b"changed since"
    assert msgspec.to_builtins(ordered.ended[0]) == msgspec.to_builtins(ordered.ended[1])


def test_another_order_with_the_id_of_an_earlier_one_is_refused(ordered: Ordered, tmp_path: Path) -> None:
    ordered.carry_out(ordered.order())
    ordered.carry_out(ordered.order(target=os.fsencode(tmp_path / "elsewhere")))
    assert ordered.end == ("refused", 5, "repeated")
    assert not (tmp_path / "elsewhere").exists()


def test_one_that_was_cut_is_gone_on_with(ordered: Ordered, monkeypatch: pytest.MonkeyPatch) -> None:
    message = ordered.order()
    for error in (Failure("interrupted", "interrupted"), ConnectionLost("it is gone")):
        with monkeypatch.context() as patch:
            patch.setattr(asked_restore, "carry_out_restore", raising(error))
            with pytest.raises(type(error)):
                ordered.carry_out(message)
    assert ordered.ended == []
    ordered.carry_out(message)
    assert ordered.end == ("done", 0, "")


def raising(error: Exception) -> Callable[..., int]:
    def carry_out(*_: object) -> int:
        raise error

    return carry_out


def test_an_end_that_the_vault_did_not_hear_is_told_again(ordered: Ordered) -> None:
    message = ordered.order()
    ordered.end_errors = [ConnectionLost("it is gone")]
    with pytest.raises(ConnectionLost):
        ordered.carry_out(message)
    opened = ordered.site.vault.asked.count("restore.open")
    ordered.carry_out(message)
    assert ordered.end == ("done", 0, "")
    assert ordered.site.vault.asked.count("restore.open") == opened


def test_an_end_is_told_as_it_was_also_after_its_day(ordered: Ordered, monkeypatch: pytest.MonkeyPatch) -> None:
    message = ordered.order()
    ordered.carry_out(message)
    now_ns = time.time_ns()
    monkeypatch.setattr(asked_restore.time, "time_ns", lambda: now_ns + 2 * DAY_NS)
    ordered.carry_out(message)
    assert [told.outcome for told in ordered.ended] == ["done", "done"]


@pytest.mark.parametrize(
    ("changed", "end"),
    [
        ({"password": "another one"}, ("failed", 12, "wrong_password")),
        ({"safeset": 7}, ("failed", 4, "not_found")),
        ({"paths": [b"/nothing"]}, ("failed", 4, "not_found")),
        ({"target": b"/dev/null/there"}, ("failed", 2, "usage")),
    ],
)
def test_what_fails_is_told_by_its_code(ordered: Ordered, changed: dict[str, Any], end: tuple[str, int, str]) -> None:
    assert ordered.carry_out(ordered.order(**changed)) == 0
    assert ordered.end == end


def test_a_path_that_is_there_ends_with_a_warning(ordered: Ordered) -> None:
    ordered.site.restored_source.mkdir(parents=True)
    (ordered.site.restored_source / "file").write_bytes(b"mine")
    ordered.carry_out(ordered.order())
    assert ordered.end == ("warnings", 3, "")
    assert (ordered.ended[0].files, ordered.ended[0].warnings > 0) == (0, True)


def test_a_vault_cannot_put_another_job_in_its_place(ordered: Ordered) -> None:
    """As on a computer that never backed that job up."""
    ordered.site.state.names_path.unlink()
    ordered.site.vault.job = msgspec.structs.replace(ordered.site.vault.job, job_id=b"k" * 16)
    ordered.carry_out(ordered.order())
    assert ordered.end == ("failed", 6, "conflict")
    assert not ordered.has_restored


def test_one_that_was_cancelled_is_nothing(ordered: Ordered) -> None:
    assert ordered.carry_out(b"") == 0
    assert ordered.ended == []


def test_a_ticket_that_is_gone_is_made_anew_as_long_as_that_is_allowed(
    ordered: Ordered, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = RemoteProtocolError(ErrorCode.not_allowed, "this ticket is unknown or expired")
    tries: list[bool] = []

    def carry_out(_output: object, _state: object, _order: object, watch: OrderWatch) -> int:
        watch.is_open = len(tries) < 2
        tries.append(watch.is_open)
        raise refused

    monkeypatch.setattr(asked_restore, "carry_out_restore", carry_out)
    ordered.carry_out(ordered.order())
    assert tries == [True, True, False]
    assert ordered.end == ("failed", 5, "not_allowed")


def test_no_password_is_kept_or_told(ordered: Ordered, capfd: pytest.CaptureFixture[str]) -> None:
    ordered.carry_out(ordered.order())
    said = "".join(capfd.readouterr())
    assert PASSWORD not in said + repr(ordered.ended) + repr(ordered.told)
    files = [path for path in ordered.site.state.path.rglob("*") if path.is_file()]
    assert [path for path in files if PASSWORD.encode() in path.read_bytes()] == []


def test_what_is_remembered_is_there_before_the_restore_begins(
    ordered: Ordered, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def carry_out(*_: object) -> int:
        seen.extend(os.listdir(ordered.site.state.path / "orders"))
        return 0

    monkeypatch.setattr(asked_restore, "carry_out_restore", carry_out)
    ordered.carry_out(ordered.order())
    assert seen == [ORDER_ID.hex()]


def test_a_damaged_memory_refuses_to_restore(ordered: Ordered) -> None:
    ordered.carry_out(ordered.order())
    path = ordered.site.state.path / "orders" / ORDER_ID.hex()
    path.write_bytes(path.read_bytes()[:-1])
    ordered.ended.clear()
    ordered.carry_out(ordered.order())
    (end,) = ordered.ended
    assert (end.outcome, end.code) == ("refused", "unsure")


def test_half_written_ones_and_all_but_the_newest_are_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taken_orders, "KEPT_MAX", 3)
    orders = TakenOrders(tmp_path / "orders")
    for number, id in enumerate((b"a" * 16, b"b" * 16, b"c" * 16)):
        assert orders.begin(id, b"message") is None
        os.utime(tmp_path / "orders" / id.hex(), (number, number))  # however old
    (tmp_path / "orders" / ".half").write_bytes(b"")
    assert orders.begin(b"d" * 16, b"message") is None
    assert sorted(os.listdir(tmp_path / "orders")) == [(id * 16).hex() for id in (b"b", b"c", b"d")]


def test_a_clock_that_jumps_ahead_and_back_has_nothing_done_again(
    ordered: Ordered, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_ns, message = time.time_ns, ordered.order(overwrite="always")
    ordered.carry_out(message)
    (restored,) = ordered.site.target.rglob("file")
    restored.write_bytes(b"work of today")
    for ahead_ns in (100 * DAY_NS, 0):
        monkeypatch.setattr(time, "time_ns", lambda ahead_ns=ahead_ns: now_ns() + ahead_ns)
        ordered.carry_out(message)
        assert ordered.end[0] == "done"
    assert restored.read_bytes() == b"work of today"


def test_a_refusal_is_an_end(ordered: Ordered, monkeypatch: pytest.MonkeyPatch) -> None:
    now_ns, message = time.time_ns, ordered.order()
    monkeypatch.setattr(time, "time_ns", lambda: now_ns() - 3 * HOUR_NS)
    ordered.carry_out(message)
    assert ordered.end == ("refused", 5, "early")
    monkeypatch.setattr(time, "time_ns", now_ns)
    ordered.carry_out(message)
    assert ordered.end == ("refused", 5, "early")
    assert not ordered.has_restored


def test_what_is_no_file_stays_and_ends_no_order(tmp_path: Path) -> None:
    (tmp_path / "orders" / ".hidden").mkdir(parents=True)
    (tmp_path / "orders" / ".lost").symlink_to("nowhere")
    assert TakenOrders(tmp_path / "orders").begin(b"a" * 16, b"first") is None
    assert sorted(os.listdir(tmp_path / "orders")) == [".hidden", ".lost", (b"a" * 16).hex()]

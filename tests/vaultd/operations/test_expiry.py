"""What expires and is purged in a vault by its clock, and what an administrator can do about it."""

import shutil
import struct
from collections.abc import Callable

import msgspec
import pytest
from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.vaultd.operations.kept_job import DAY_SECONDS, History, make_history
from tests.vaultd.operations.small_site import Site
from tests.vaultd.operations.test_check import check
from vaultd.catalog.ended_safesets import list_ended
from vaultd.catalog.jobs import save_job
from vaultd.errors import Conflict, NotFound
from vaultd.operations import (
    clock_doubt,
    expiry,
    freezes,
    held_safesets,
    ledger,
    retention,
    retention_limit,
    retention_types,
    safesets,
)
from vaultd.policy.retention import OverLimit
from vaultd.records import EndedSafeset, EndState


@pytest.fixture
def history(site: Site) -> History:
    return make_history(site)


def ended(history: History) -> dict[int, EndedSafeset]:
    """By number."""
    job = history.job.job
    with history.site.vault.catalog.read() as view:
        return {int.from_bytes(place[-8:], "big"): one for place, one in list_ended(view, job.account_id, job.job_id)}


def test_beyond_thirty_days_and_thirty_copies_the_oldest_go(history: History) -> None:
    made = history.run_daily(35)
    assert history.keep_house().expired == 4  # 34 to 31 days old, with 30 newer ones or more
    assert history.listed() == made[4:]
    history.site.clock.advance(300 * DAY_SECONDS)
    assert history.keep_house().expired == 1  # thirty copies stay, however old, and no more
    assert history.listed() == made[5:]
    history.site.clock.advance(100 * DAY_SECONDS)
    history.keep_house()
    assert history.listed() == made[-1:]  # older than 365 days, but for the newest


def test_they_are_counted_as_they_are_listed(history: History) -> None:
    history.run_daily(35)
    history.keep_house()
    history.long.require_counted(31, 1000)
    assert check(history.site).findings == []


def test_an_expired_one_is_not_restored_and_says_what_to_do(history: History) -> None:
    history.run_daily(35)
    history.keep_house()
    with pytest.raises(NotFound, match="safeset 1 of job 'home' is expired") as refused:
        history.long.open(1)
    assert "undelete" in refused.value.hint


def test_five_hundred_runs_in_an_hour_cost_no_scheduled_safeset(history: History) -> None:
    made = history.run_daily(43)
    history.site.clock.advance(3 * 3600)
    history.keep_house()
    standing = set(history.listed())
    for _ in range(500):
        history.site.clock.advance(7)
        history.run()
    assert history.types()[-500:] == ["extra"] * 500
    kept = history.keep_house()
    assert (kept.is_frozen_now, kept.expired) == (True, 0)
    assert standing <= set(history.listed())
    freezes.unfreeze(history.site.vault, history.administrator, "laptop", "home")
    while history.keep_house().expired:
        pass
    assert not history.keep_house().is_frozen_now  # who says that all is well is believed
    assert standing <= set(history.listed())
    assert made[-1] in standing


def test_a_frozen_job_keeps_everything(history: History) -> None:
    history.run_daily(35)
    freezes.freeze(history.site.vault, history.administrator, "laptop", "home", "strange files")
    assert history.keep_house().expired == 0
    simulated = retention.simulate(history.site.vault, history.administrator, "laptop", "home")
    assert [one.is_held for one in simulated[:5]] == [True] * 4 + [False]
    with pytest.raises(Conflict, match="frozen: strange files"):
        held_safesets.delete(history.site.vault, history.administrator, history.named(5))
    freezes.unfreeze(history.site.vault, history.administrator, "laptop", "home")
    assert history.keep_house().expired == 4


def test_a_freeze_holds_what_was_to_be_purged(history: History) -> None:
    history.run_daily(35)
    history.keep_house()
    freezes.freeze(history.site.vault, history.administrator, "laptop", "home", "strange files")
    history.site.clock.advance(8 * DAY_SECONDS)
    assert history.keep_house().purged == 0
    freezes.unfreeze(history.site.vault, history.administrator, "laptop", "home")
    assert history.keep_house().purged == 4


def test_a_deleted_one_can_be_brought_back_for_seven_days(history: History) -> None:
    made = history.run_daily(3)
    vault, administrator = history.site.vault, history.administrator
    until_ns = held_safesets.delete(vault, administrator, history.named(made[0]))
    assert until_ns == history.site.clock.now_ns() + 7 * DAY_SECONDS * 1_000_000_000
    assert history.listed() == made[1:]
    history.site.clock.advance(7 * DAY_SECONDS - 1)
    assert history.keep_house().purged == 0
    held_safesets.undelete(vault, administrator, history.named(made[0]), "it is needed")
    assert history.listed() == made
    history.site.clock.advance(60)
    assert history.keep_house().purged == 0
    assert history.long.open(made[0]) == history.long.roots[0]


def test_what_is_brought_back_stays(history: History) -> None:
    history.run_daily(35)
    history.keep_house()
    held_safesets.undelete(history.site.vault, history.administrator, history.named(2), "it is needed")
    assert history.keep_house().expired == 0
    assert history.listed() == [2, *range(5, 36)]


def test_the_agents_clock_ends_nothing(history: History) -> None:
    """Its roots say 1970."""
    made = history.run_daily(3)
    assert history.keep_house().expired == 0
    assert history.listed() == made


def test_no_run_builds_on_one_that_ended(history: History) -> None:
    made = history.run_daily(2)
    base, identity = blake3(history.long.roots[0]).digest(), history.job.agent.identity
    assert safesets.is_whole_base(history.site.vault, identity, history.job.job.job_id, base)
    held_safesets.delete(history.site.vault, history.administrator, history.named(made[0]))
    assert not safesets.is_whole_base(history.site.vault, identity, history.job.job.job_id, base)


def test_what_was_purged_is_gone_and_says_why_under_the_vaults_signature(history: History) -> None:
    made = history.run_daily(3)
    vault, administrator = history.site.vault, history.administrator
    held_safesets.delete(vault, administrator, history.named(made[0]))
    history.site.clock.advance(7 * DAY_SECONDS)
    assert history.keep_house().purged == 1
    assert history.keep_house().purged == 0
    with pytest.raises(NotFound, match="was purged"):
        held_safesets.undelete(vault, administrator, history.named(made[0]), "too late")
    (row,) = ended(history).values()
    assert (row.state, row.reason) == (EndState.PURGED, "administrator")
    hash_ = blake3(history.long.roots[0]).digest()
    signed = b"safeset end v1" + hash_ + history.site.made.vault_id
    signed += struct.pack("<qq", row.ended_ns, row.purged_ns) + b"administrator"
    Ed25519PublicKey.from_public_bytes(vault.public_key_bytes).verify(row.signature, signed)


def test_a_pinned_one_stays_until_it_is_a_year_old(history: History) -> None:
    made = history.run_daily(50)
    vault, administrator = history.site.vault, history.administrator
    held_safesets.pin(vault, administrator, history.named(made[0]), "before the audit")
    history.keep_house()
    assert history.listed() == [made[0], *made[-31:]]
    with pytest.raises(Conflict, match="pinned"):
        held_safesets.delete(vault, administrator, history.named(made[0]))
    held_safesets.unpin(vault, administrator, history.named(made[0]))
    assert history.keep_house().expired == 1
    held_safesets.pin(vault, administrator, history.named(made[-31]), "for ever")
    history.site.clock.advance(365 * DAY_SECONDS)
    history.keep_house()
    assert history.listed() == made[-1:]
    assert {one.reason for number, one in ended(history).items() if number in made[-31:]} == {"year"}
    history.site.clock.advance(8 * DAY_SECONDS)
    history.keep_house()
    assert [one.state for one in ended(history).values()] == [EndState.PURGED] * 49


def test_the_newest_is_never_deleted(history: History) -> None:
    made = history.run_daily(2)
    with pytest.raises(Conflict, match="newest"):
        held_safesets.delete(history.site.vault, history.administrator, history.named(made[-1]))


def test_fewer_days_and_copies_hold_for_older_ones_after_a_week_and_a_word(history: History) -> None:
    vault, administrator = history.site.vault, history.administrator
    made = history.run_daily(20)
    changed = retention_types.set_type(vault, administrator, "daily", 1, 1)
    assert (changed.older_days, changed.older_copies) == (30, 30)
    assert history.keep_house().expired == 0
    with pytest.raises(Conflict, match="seven days"):
        retention_types.confirm_type(vault, administrator, "daily")
    newer = history.run_daily(7)
    history.keep_house()
    assert history.listed() == [*made, *newer[-2:]]  # those made since have the new terms
    retention_types.confirm_type(vault, administrator, "daily")
    history.keep_house()
    assert history.listed() == newer[-2:]


def test_nothing_is_confirmed_while_the_clock_is_doubted(history: History) -> None:
    vault, administrator = history.site.vault, history.administrator
    retention_types.set_type(vault, administrator, "daily", 1, 1)
    history.site.clock.advance(8 * DAY_SECONDS)
    clock_doubt.doubt(vault, 8 * DAY_SECONDS)
    with pytest.raises(Conflict, match="clock jumped"):
        retention_types.confirm_type(vault, administrator, "daily")
    with pytest.raises(Conflict, match="clock jumped"):
        retention_limit.confirm_limit(vault, administrator)
    with pytest.raises(Conflict, match="clock jumped"):
        retention_types.set_type(vault, administrator, "daily", 0, 0)
    clock_doubt.accept(vault, history.site.operator)
    retention_types.confirm_type(vault, administrator, "daily")


def test_more_holds_at_once(history: History) -> None:
    vault, administrator = history.site.vault, history.administrator
    history.run_daily(40)
    assert retention_types.set_type(vault, administrator, "Daily", 40, 40).confirm_ns == 0
    assert history.keep_house().expired == 0


def test_beyond_44_they_stay_where_the_account_pays(history: History) -> None:
    vault, administrator = history.site.vault, history.administrator
    retention_types.set_type(vault, administrator, "daily", 365, 44)
    retention_limit.set_limit(vault, administrator, OverLimit.KEEP)
    made = history.run_daily(47)
    history.keep_house()
    assert history.listed() == made
    back = retention_limit.set_limit(vault, administrator, OverLimit.EXPIRE)
    made += history.run_daily(6)
    history.keep_house()
    assert history.listed() == made  # those from before the change stay, and so does what is new
    with pytest.raises(Conflict, match="seven days after"):
        retention_limit.confirm_limit(vault, administrator)
    made += history.run_daily(1)
    assert retention_limit.set_limit(vault, administrator, OverLimit.EXPIRE) == back  # nothing is put off
    assert retention_limit.confirm_limit(vault, administrator).confirm_ns == 0
    history.keep_house()
    assert history.listed() == made[10:]
    with pytest.raises(Conflict, match="waits"):
        retention_limit.confirm_limit(vault, administrator)


def test_no_limit_comes_back_while_the_clock_is_doubted(history: History) -> None:
    """By a clock that is behind everything would be newer than the change."""
    vault, administrator = history.site.vault, history.administrator
    retention_limit.set_limit(vault, administrator, OverLimit.KEEP)
    history.site.clock.time_ns -= 400 * DAY_SECONDS * 1_000_000_000
    clock_doubt.doubt(vault, -400 * DAY_SECONDS)
    with pytest.raises(Conflict, match="clock jumped"):
        retention_limit.set_limit(vault, administrator, OverLimit.EXPIRE)


def test_an_account_that_pays_again_waits_for_no_confirmation(history: History) -> None:
    vault, administrator = history.site.vault, history.administrator
    for chosen in (OverLimit.KEEP, OverLimit.EXPIRE, OverLimit.KEEP):
        retention_limit.set_limit(vault, administrator, chosen)
    assert retention_types.list_all(vault, administrator).limit.confirm_ns == 0
    with pytest.raises(Conflict, match="waits"):
        retention_limit.confirm_limit(vault, administrator)


def test_a_simulation_says_when_each_one_goes(history: History) -> None:
    history.run_daily(32)
    simulated = retention.simulate(history.site.vault, history.administrator, "laptop", "home")
    day_ns = DAY_SECONDS * 1_000_000_000
    now_ns = history.site.clock.now_ns()
    assert [(one.reason, one.goes_ns) for one in simulated[:3]] == [
        ("terms", now_ns), ("days", now_ns + day_ns), ("days", now_ns + 2 * day_ns)
    ]  # fmt: skip
    history.keep_house()
    assert history.listed() == list(range(2, 33))


def test_a_job_without_a_type_is_simulated_as_a_daily_one(history: History) -> None:
    history.run_daily(32)
    simulated = retention.simulate(history.site.vault, history.administrator, "laptop", "home")
    job = history.job.job
    untyped = msgspec.structs.replace(job, definition=msgspec.structs.replace(job.definition, retention=""))
    ledger.record(history.site.vault, save_job(untyped))
    assert retention.simulate(history.site.vault, history.administrator, "laptop", "home") == simulated


@pytest.mark.parametrize(
    "change",
    [
        lambda h: held_safesets.pin(h.site.vault, h.administrator, h.named(1), "why"),
        lambda h: freezes.freeze(h.site.vault, h.administrator, "laptop", "home", "why"),
        lambda h: retention_types.set_type(h.site.vault, h.administrator, "daily", 90, 30),
        lambda h: held_safesets.delete(h.site.vault, h.administrator, h.named(20)),
        lambda h: h.run(),
    ],
    ids=["pin", "freeze", "longer", "delete", "run"],
)
def test_what_changed_since_it_was_judged_holds(history: History, change: Callable[[History], object]) -> None:
    history.run_daily(35)
    now_ns, job = history.site.clock.now_ns(), history.job.job
    due = expiry.find_due(history.site.vault, job.account_id + job.job_id, now_ns)
    assert isinstance(due, expiry.Due)
    change(history)
    before = history.listed()
    assert expiry.keep_house(history.site.vault, due, now_ns) is None
    assert history.listed() == before


def delete_anew(history: History, number: int) -> None:
    """What stands, is pinned and is counted is as before."""
    vault, administrator, named = history.site.vault, history.administrator, history.named(number)
    held_safesets.undelete(vault, administrator, named, "why")
    held_safesets.unpin(vault, administrator, named)
    held_safesets.delete(vault, administrator, named)


def test_one_that_was_deleted_anew_since_is_not_purged(history: History) -> None:
    history.run_daily(5)
    held_safesets.delete(history.site.vault, history.administrator, history.named(2))
    history.site.clock.advance(7 * DAY_SECONDS)
    now_ns, job = history.site.clock.now_ns(), history.job.job
    due = expiry.find_due(history.site.vault, job.account_id + job.job_id, now_ns)
    assert isinstance(due, expiry.Due)
    delete_anew(history, 2)
    assert expiry.keep_house(history.site.vault, due, now_ns) is None
    assert ended(history)[2].state is EndState.DELETED


def test_one_that_was_deleted_since_does_not_expire(history: History) -> None:
    history.run_daily(35)
    vault, administrator = history.site.vault, history.administrator
    held_safesets.delete(vault, administrator, history.named(20))
    now_ns, job = history.site.clock.now_ns(), history.job.job
    due = expiry.find_due(vault, job.account_id + job.job_id, now_ns)
    assert isinstance(due, expiry.Due)
    held_safesets.undelete(vault, administrator, history.named(20), "why")
    held_safesets.unpin(vault, administrator, history.named(20))
    held_safesets.delete(vault, administrator, history.named(1))
    assert expiry.keep_house(vault, due, now_ns) is None
    assert ended(history)[1].state is EndState.DELETED
    assert check(history.site).findings == []


def test_a_limit_that_is_lifted_since_holds(history: History) -> None:
    vault, administrator = history.site.vault, history.administrator
    retention_types.set_type(vault, administrator, "daily", 365, 44)
    history.run_daily(46)
    now_ns, job = history.site.clock.now_ns(), history.job.job
    due = expiry.find_due(vault, job.account_id + job.job_id, now_ns)
    assert isinstance(due, expiry.Due)
    retention_limit.set_limit(vault, administrator, OverLimit.KEEP)
    assert expiry.keep_house(vault, due, now_ns) is None


def test_a_burst_freezes_whatever_came_since(history: History) -> None:
    for _ in range(26):
        history.site.clock.advance(60)
        history.run()
    now_ns, job = history.site.clock.now_ns(), history.job.job
    due = expiry.find_due(history.site.vault, job.account_id + job.job_id, now_ns)
    assert isinstance(due, expiry.Due)
    history.run()
    kept = expiry.keep_house(history.site.vault, due, now_ns)
    assert kept is not None
    assert kept.is_frozen_now
    freezes.unfreeze(history.site.vault, history.administrator, "laptop", "home")
    assert expiry.keep_house(history.site.vault, due, now_ns) is None  # who said since that all is well is believed


def test_everything_holds_after_a_restart(history: History) -> None:
    made = history.run_daily(35)
    vault, administrator = history.site.vault, history.administrator
    held_safesets.pin(vault, administrator, history.named(made[2]), "why")
    history.keep_house()
    held_safesets.delete(vault, administrator, history.named(made[10]))
    for chosen in (OverLimit.KEEP, OverLimit.EXPIRE):
        retention_limit.set_limit(vault, administrator, chosen)
    waits = retention_types.list_all(vault, administrator).limit
    before = history.listed(), ended(history), waits
    assert waits.confirm_ns
    for _ in range(2):
        history.site.reopen()
        limit = retention_types.list_all(history.site.vault, administrator).limit
        assert (history.listed(), ended(history), limit) == before
        shutil.rmtree(history.site.config.directory / "catalog")

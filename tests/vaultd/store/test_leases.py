import tracemalloc

from vaultd.store.leases import LEASE_SECONDS, Leases, prefixes

KEYRING, OTHER = b"K" * 16, b"L" * 16
RUN, RUN_2 = b"r" * 16, b"s" * 16
ACCOUNT, ACCOUNT_2 = b"a" * 16, b"b" * 16
CALL_BYTES = 64


def ids(*seeds: int) -> bytes:
    return b"".join(bytes([seed]) * 8 + b"-" * 24 for seed in seeds)


def held(leases: Leases, keyring: bytes = KEYRING) -> dict[bytes, bytes]:
    return {run: b"".join(lease.pieces) for run, lease in leases.of_keyring(keyring).items()}


def test_eight_bytes_of_each_id_are_kept_by_run_and_keyring():
    leases = Leases()
    leases.lease(ACCOUNT, RUN, KEYRING, ids(1, 2))
    leases.lease(ACCOUNT, RUN, KEYRING, memoryview(b"xx" + ids(3))[2:])
    leases.lease(ACCOUNT, RUN_2, KEYRING, ids(4))
    leases.lease(ACCOUNT_2, RUN, OTHER, ids(5))  # of another account, which may call its run so
    assert prefixes(ids(1, 2)) == b"\1" * 8 + b"\2" * 8
    assert held(leases) == {RUN: b"\1" * 8 + b"\2" * 8 + b"\3" * 8, RUN_2: b"\4" * 8}
    assert held(leases, OTHER) == {RUN: b"\5" * 8}


def test_those_of_runs_that_ended_go_and_of_this_keyring_alone():
    leases = Leases()
    for keyring in (KEYRING, OTHER):
        leases.lease(ACCOUNT, RUN, keyring, ids(1))
        leases.lease(ACCOUNT, RUN_2, keyring, ids(2))
    leases.keep_only(KEYRING, {RUN_2})
    assert held(leases) == {RUN_2: b"\2" * 8}
    assert sorted(held(leases, OTHER)) == [RUN, RUN_2]


def test_a_silent_run_holds_nothing_after_a_day():
    now = [1000.0]
    leases = Leases(lambda: now[0])
    leases.lease(ACCOUNT, RUN, KEYRING, ids(1))
    now[0] += LEASE_SECONDS
    leases.keep_only(KEYRING, {RUN})
    assert held(leases) == {RUN: b"\1" * 8}
    leases.lease(ACCOUNT, RUN, KEYRING, b"")  # it was heard of
    now[0] += LEASE_SECONDS
    leases.keep_only(KEYRING, {RUN})
    assert held(leases) == {RUN: b"\1" * 8}
    now[0] += 1
    leases.keep_only(KEYRING, {RUN})
    assert held(leases) == {}


def test_without_room_the_run_with_most_holds_its_whole_keyring():
    leases = Leases(bytes_max=2 * CALL_BYTES + 31 * 8)
    leases.lease(ACCOUNT, RUN, KEYRING, ids(1))
    leases.lease(ACCOUNT, RUN_2, KEYRING, ids(*range(30)))
    assert not any(lease.is_of_all for lease in leases.of_keyring(KEYRING).values())
    leases.lease(ACCOUNT, RUN, KEYRING, ids(2))
    greedy = leases.of_keyring(KEYRING)[RUN_2]
    assert (greedy.is_of_all, greedy.pieces) == (True, [])
    assert held(leases) == {RUN: b"\1" * 8 + b"\2" * 8, RUN_2: b""}
    leases.lease(ACCOUNT, RUN, KEYRING, ids(*range(40)))
    greedy = leases.of_keyring(KEYRING)[RUN]
    assert (greedy.is_of_all, greedy.pieces) == (True, [])
    leases.keep_only(KEYRING, set())
    leases.lease(ACCOUNT, RUN, KEYRING, ids(8, 9))  # what the other one had is free again
    assert held(leases) == {RUN: b"\b" * 8 + b"\t" * 8}


def test_an_account_takes_no_room_of_others_with_many_runs():
    """One that has no more than its share keeps it, though no other run has as much."""
    leases = Leases(bytes_max=3 * (CALL_BYTES + 24))
    leases.lease(ACCOUNT, RUN, KEYRING, ids(1, 2, 3))
    for number in range(20):
        leases.lease(ACCOUNT_2, bytes([number]) * 16, OTHER, ids(number))
    assert [lease.is_of_all for lease in leases.of_keyring(KEYRING).values()] == [False]
    assert held(leases) == {RUN: b"\1" * 8 + b"\2" * 8 + b"\3" * 8}
    of_all = [lease.is_of_all for lease in leases.of_keyring(OTHER).values()]
    assert (of_all.count(False), of_all.count(True)) == (2, 18)


def test_many_small_calls_take_no_more_memory_than_is_counted():
    leases = Leases(bytes_max=1 << 20)
    tracemalloc.start()
    try:
        for number in range(1 << 20):
            leases.lease(ACCOUNT, RUN, KEYRING, number.to_bytes(32, "big"))
            if leases.of_keyring(KEYRING)[RUN].is_of_all:
                break
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert number > 10_000
    assert most_bytes < 1.1 * (1 << 20)


def test_what_a_run_asked_for_ends_with_it_also_where_nothing_was_stored():
    leases = Leases()
    leases.lease(ACCOUNT, RUN, KEYRING, ids(1))
    leases.lease(ACCOUNT_2, RUN_2, OTHER, ids(2))
    leases.keep_running({RUN_2})
    assert (held(leases), held(leases, OTHER)) == ({}, {RUN_2: b"\2" * 8})


def test_who_finds_that_ids_are_gone_finds_that_all_are_held():
    """In the moment in which a run loses them: `pieces` were taken before `is_of_all` is asked for."""
    leases = Leases(bytes_max=CALL_BYTES + 8)
    leases.lease(ACCOUNT, RUN, KEYRING, ids(1))
    (lease,) = leases.of_keyring(KEYRING).values()
    seen = []
    forget = leases._forget_ids
    leases._forget_ids = lambda one: (seen.append(one.is_of_all), forget(one))
    leases.lease(ACCOUNT, RUN, KEYRING, ids(2))
    assert (seen, lease.pieces) == ([True], [])

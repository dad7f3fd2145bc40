"""Attempts: a burst, then one per interval."""

from vaultd.policy.throttle import Bucket, Limit, decide, give_back, is_full

LIMIT = Limit(burst=3, refill_seconds=10.0)


def test_a_burst_then_one_per_interval() -> None:
    bucket = None
    allowed = []
    for now in (0, 0, 0, 0, 9, 10, 10, 20):
        decision = decide(LIMIT, bucket, now)
        allowed.append(decision.allowed)
        bucket = decision.bucket
    assert allowed == [True, True, True, False, False, True, False, True]


def test_a_refusal_says_how_long() -> None:
    decision = decide(LIMIT, Bucket(0.5, 100.0), 100.0)
    assert (decision.allowed, decision.wait_seconds) == (False, 5.0)


def test_waiting_does_not_fill_beyond_the_burst_and_time_does_not_go_back() -> None:
    assert decide(LIMIT, Bucket(0.0, 0.0), 1_000_000.0).bucket.tokens == 2.0
    assert decide(LIMIT, Bucket(1.0, 50.0), 0.0).bucket.tokens == 0.0


def test_a_success_gives_its_token_back() -> None:
    bucket = decide(LIMIT, None, 0.0).bucket
    assert give_back(LIMIT, bucket) == Bucket(3.0, 0.0)
    assert give_back(LIMIT, Bucket(3.0, 0.0)).tokens == 3.0
    assert is_full(LIMIT, Bucket(2.0, 0.0), 10.0)
    assert not is_full(LIMIT, Bucket(2.0, 0.0), 9.0)

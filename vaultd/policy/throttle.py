"""Token buckets for attempts: a burst is free, then one attempt per interval."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limit:
    """`burst` attempts at once, and one more per `refill_seconds`."""

    burst: int
    refill_seconds: float


@dataclass(frozen=True, slots=True)
class Bucket:
    """What is left, as of a monotonic time."""

    tokens: float
    at_seconds: float


@dataclass(frozen=True, slots=True)
class Decision:
    allowed: bool
    bucket: Bucket
    wait_seconds: float


def decide(limit: Limit, bucket: Bucket | None, now_seconds: float) -> Decision:
    """Takes one token; None is a bucket that was never used. A refused attempt takes nothing."""
    tokens = available(limit, bucket, now_seconds)
    if tokens < 1:
        return Decision(False, Bucket(tokens, now_seconds), (1 - tokens) * limit.refill_seconds)
    return Decision(True, Bucket(tokens - 1, now_seconds), 0.0)


def give_back(limit: Limit, bucket: Bucket) -> Bucket:
    """Returns the token of an attempt that succeeded."""
    return Bucket(min(bucket.tokens + 1, limit.burst), bucket.at_seconds)


def is_full(limit: Limit, bucket: Bucket, now_seconds: float) -> bool:
    """A full bucket says no more than a missing one and may be forgotten."""
    return available(limit, bucket, now_seconds) >= limit.burst


def available(limit: Limit, bucket: Bucket | None, now_seconds: float) -> float:
    if bucket is None:
        return float(limit.burst)
    passed = max(now_seconds - bucket.at_seconds, 0.0)
    return min(bucket.tokens + passed / limit.refill_seconds, float(limit.burst))

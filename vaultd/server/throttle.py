"""Counting attempts by who makes them, in memory: wrong tokens and codes by client network, invitations by account.
Event loop only.
"""

from collections.abc import Hashable
from dataclasses import dataclass

from vaultd.clock import Clock
from vaultd.errors import Throttled
from vaultd.policy.throttle import Bucket, Limit, decide, is_full

# Full buckets are forgotten when there are so many, so that memory stays small.
BUCKETS_BEFORE_CLEANING = 10_000


@dataclass(frozen=True, slots=True)
class Rule:
    """How many attempts are free, and what is said to whom makes more."""

    limit: Limit
    sentence: str


# Only what failed counts, and only that is refused, since many computers may share an address: tokens have 256 bits and
# codes 128, so nobody finds one by trying. Certificates do not count: TLS lets in only those of the site's authority.
WRONG_GUESSES = Rule(Limit(burst=20, refill_seconds=6.0), "too many wrong tokens or codes from this address")
# Each stays a row of the catalog.
INVITATIONS = Rule(Limit(burst=500, refill_seconds=10.0), "too many invitations of this account")


class Throttle:
    def __init__(self, clock: Clock, rule: Rule) -> None:
        self._clock = clock
        self._rule = rule
        self._buckets: dict[Hashable, Bucket] = {}

    def count(self, key: Hashable) -> None:
        """Counts one attempt, or raises Throttled."""
        now, limit = self._clock.monotonic_seconds(), self._rule.limit
        if len(self._buckets) >= BUCKETS_BEFORE_CLEANING:
            self._buckets = {one: bucket for one, bucket in self._buckets.items() if not is_full(limit, bucket, now)}
        decision = decide(limit, self._buckets.get(key), now)
        if not decision.allowed:
            raise Throttled(self._rule.sentence, f"try again in {int(decision.wait_seconds) + 1} seconds")
        self._buckets[key] = decision.bucket

"""Counting wrong tokens and registration codes for each client address, in memory. Event loop only.

Only what failed counts, and only that is refused: tokens have 256 bits and codes 128, so nobody finds one by trying.
Certificates do not: TLS lets in only those that the site's authority signed.
"""

import ipaddress

from vaultd.clock import Clock
from vaultd.errors import Throttled
from vaultd.policy.throttle import Bucket, Limit, decide, is_full

LIMIT = Limit(burst=20, refill_seconds=6.0)
# Full buckets are forgotten when there are so many, so that memory stays small.
BUCKETS_BEFORE_CLEANING = 10_000
# Whoever has an IPv6 address has all of its network.
V6_PREFIX_BITS = 64


class Guesses:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: dict[str, Bucket] = {}

    def was_wrong(self, address: str) -> None:
        """Counts one, or raises Throttled. What is right is never refused: many computers may share one address."""
        key, now = _network(address), self._clock.monotonic_seconds()
        if len(self._buckets) >= BUCKETS_BEFORE_CLEANING:
            self._buckets = {one: bucket for one, bucket in self._buckets.items() if not is_full(LIMIT, bucket, now)}
        decision = decide(LIMIT, self._buckets.get(key), now)
        if not decision.allowed:
            wait = int(decision.wait_seconds) + 1
            raise Throttled("too many wrong tokens or codes from this address", f"try again in {wait} seconds")
        self._buckets[key] = decision.bucket


def _network(address: str) -> str:
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address) or found.ipv4_mapped is not None:
        return str(found)
    return str(ipaddress.ip_network((found, V6_PREFIX_BITS), strict=False))

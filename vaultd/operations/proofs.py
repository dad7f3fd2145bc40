"""Counting the attempts to prove a password: per caller and keyring and per account, in memory.

Jobs that share a keyring share its password, so whoever guesses at one of them guesses at all. One computer that
guesses does not keep the others of its account from restoring, short of the account's large limit.

Threads: any; one lock around the buckets. A restart forgives, which costs an attacker the restart.
"""

import threading

from vaultd.clock import Clock
from vaultd.errors import Throttled
from vaultd.policy.throttle import Bucket, Limit, decide, give_back, is_full
from vaultd.records import Identity

KEYRING_LIMIT = Limit(burst=10, refill_seconds=60.0)
ACCOUNT_LIMIT = Limit(burst=1000, refill_seconds=1.0)
# Full buckets are forgotten when there are so many, so that memory stays small.
BUCKETS_BEFORE_CLEANING = 10_000


class ProofThrottle:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: dict[bytes, Bucket] = {}
        self._lock = threading.Lock()

    def attempt(self, identity: Identity, keyring_id: bytes) -> None:
        """Takes one attempt from both, or raises Throttled and takes none."""
        account_id, keyring_key = identity.account_id, identity.identity_id + keyring_id
        now = self._clock.monotonic_seconds()
        with self._lock:
            self._clean(now)
            keyring = decide(KEYRING_LIMIT, self._buckets.get(keyring_key), now)
            account = decide(ACCOUNT_LIMIT, self._buckets.get(account_id), now)
            if not (keyring.allowed and account.allowed):
                wait = int(max(keyring.wait_seconds, account.wait_seconds)) + 1
                raise Throttled("too many wrong passwords for this job or account", f"try again in {wait} seconds")
            self._buckets[keyring_key] = keyring.bucket
            self._buckets[account_id] = account.bucket

    def succeeded(self, identity: Identity, keyring_id: bytes) -> None:
        """Only failures count."""
        with self._lock:
            for key, limit in (
                (identity.identity_id + keyring_id, KEYRING_LIMIT),
                (identity.account_id, ACCOUNT_LIMIT),
            ):
                if key in self._buckets:
                    self._buckets[key] = give_back(limit, self._buckets[key])

    def _clean(self, now: float) -> None:
        if len(self._buckets) < BUCKETS_BEFORE_CLEANING:
            return
        for key in list(self._buckets):
            limit = ACCOUNT_LIMIT if len(key) == 16 else KEYRING_LIMIT
            if is_full(limit, self._buckets[key], now):
                del self._buckets[key]

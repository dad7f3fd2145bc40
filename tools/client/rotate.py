"""Another generation for a keyring, or another job: what is stored stays open."""

import os
from collections.abc import Iterable
from dataclasses import replace

from tools.client.kem import KEM_HYBRID, generate_key_pair
from tools.client.keyring import Generation, Keyring, SigningKey

_SEED_BYTES = 32


def rotate_keyring(keyring: Keyring, job_ids: Iterable[bytes], *, new_ids: bool) -> Keyring:
    """With a new pair, and a new signing key for each of the jobs. The older generations and keys stay: what was made
    under them needs them. Without `new_ids` nothing is sent again, because ids and cut points stay as they are.
    """
    newest, pair = keyring.newest, generate_key_pair(KEM_HYBRID)
    id_key, seed = (os.urandom(32), os.urandom(8)) if new_ids else (newest.id_key, newest.chunker_seed)
    added = Generation(
        newest.number + 1, pair.kem, pair.private_key, pair.public_key, id_key, seed, newest.minimum_suite
    )
    keys = [SigningKey(job_id, added.number, os.urandom(_SEED_BYTES)) for job_id in job_ids]
    return replace(keyring, generations=(*keyring.generations, added), signing=_in_order(keyring.signing, keys))


def join_keyring(keyring: Keyring, job_id: bytes) -> Keyring:
    """With a signing key for one more job, from the newest generation on."""
    key = SigningKey(job_id, keyring.newest.number, os.urandom(_SEED_BYTES))
    return replace(keyring, signing=_in_order(keyring.signing, [key]))


def _in_order(held: Iterable[SigningKey], added: Iterable[SigningKey]) -> tuple[SigningKey, ...]:
    return tuple(sorted([*held, *added], key=lambda key: (key.job_id, key.from_generation)))

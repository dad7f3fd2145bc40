"""What is to be reached: how many times as long as ours the best peer takes, and how much of everything else."""

from __future__ import annotations

from typing import NamedTuple

# Ours, with the suite that its rows stand for; a sample in another suite is no sample of theirs.
OURS = {"safeset": "aes-256-cbc", "safeset-gcm": "aes-256-gcm"}
# A ratio is against these; others are shown beside them.
PEERS = ("restic", "borg")
# In the order of the page; each has one raw file.
COMPARED = ("random", "image", "small_files", "share", "versions", "million", "together", "link")
# Measured by the same command: no peer does anything of the kind.
ALONE = ("offers",)
# Measured by `python -m benchmarks`, with a table before there is a raw file.
HOUSEKEEPING = ("collection", "held", "collecting", "given_back", "scrub")

CPU_SHARE_MAX = 0.5  # of the best peer's CPU seconds
STORED_SHARE_MAX = 1.0  # of its stored bytes
MIB = 1 << 20
AGENT_BYTES_MAX, VAULT_BYTES_MAX = 200 * MIB, 300 * MIB  # at a million files; the vault's also at 10 million chunks

MILLISECONDS_MAX = {"vault-agent backup, first byte": 200}  # by case of the scenario `start`


class Target(NamedTuple):
    """The best peer's wall time over ours, at least."""

    ratio: float
    dream: float


# By scenario, case and suite.
TARGETS = {
    ("random", "first", "aes-256-cbc"): Target(1.8, 2.5),
    ("random", "first", "aes-256-gcm"): Target(2.3, 3.5),
    ("image", "first", "aes-256-cbc"): Target(2.0, 3),
    ("image", "1 % changed", "aes-256-cbc"): Target(3, 6),
    ("image", "shifted", "aes-256-cbc"): Target(3, 6),
    ("image", "restore", "aes-256-cbc"): Target(1.5, 3),
    **{
        (tree, case, "aes-256-cbc"): target
        for tree in ("small_files", "share")
        for case, target in {
            "first": Target(2.5, 5),
            "unchanged": Target(3, 10),
            "1 % changed": Target(3, 8),
            "restore": Target(1.5, 3),
        }.items()
    },
    ("versions", "restore of version 12", "aes-256-cbc"): Target(2, 4),
    ("million", "one file, cold", "aes-256-cbc"): Target(10, 50),
    ("together", "32 agents", "aes-256-cbc"): Target(1.5, 2.5),
    ("link", "150 ms", "aes-256-cbc"): Target(2, 3),
}

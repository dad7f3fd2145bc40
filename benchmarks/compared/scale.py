"""How much is backed up: all of it, as much as five rounds of everything take a quarter of an hour for, or crumbs."""

from __future__ import annotations

from dataclasses import dataclass

KIB, MIB = 1 << 10, 1 << 20


@dataclass(frozen=True, slots=True)
class Scale:
    name: str
    random_bytes: int
    image_bytes: int
    small_files: int
    share_files: int
    version_files: int
    million_files: int
    agents: int
    agent_bytes: int
    link_bytes: int
    offered_ids: int


SCALES = {
    scale.name: scale
    for scale in (
        Scale("full", 1 << 30, 1 << 30, 100_000, 1_000_000, 20_000, 1_000_000, 32, 64 * MIB, 512 * MIB, 10_000_000),
        Scale("bench", 512 * MIB, 128 * MIB, 6_000, 3_000, 1_000, 20_000, 8, 4 * MIB, 32 * MIB, 1_000_000),
        Scale("crumbs", MIB, MIB, 60, 40, 40, 200, 3, 64 * KIB, MIB, 20_000),
    )
}

"""How far the scrub is right now, in memory: its rows in the catalog may be a minute older.

Threads: any; each step is one assignment.
"""

from dataclasses import dataclass

from vaultd.catalog.scrub_passes import ScrubPass


@dataclass(slots=True)
class ScrubBook:
    """`live`: the pass that goes on; `asked`: the number of the newest one that an operator asked for."""

    live: ScrubPass | None = None
    asked: int = 0

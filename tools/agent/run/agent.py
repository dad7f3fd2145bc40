"""Who backs up, and what of a run is kept between its connections."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tools.agent.run.pace import Pace
from tools.agent.state import Identity, StateDirectory
from tools.agent.upload.sent_counts import SentCounts
from tools.client.session import VaultSession

if TYPE_CHECKING:
    from tools.client.run_key import NewRunKey


@dataclass(slots=True)
class Attempts:
    """What is kept of a run between its connections, in memory alone: its key, and what of it arrived."""

    run_id: bytes = b""
    run_key: NewRunKey | None = None
    counts: SentCounts = field(default_factory=SentCounts)

    @property
    def has_begun(self) -> bool:
        """Whether a run was begun at the vault, so that there is something to go on with."""
        return self.run_key is not None


@dataclass(frozen=True, slots=True)
class Agent:
    """Its state, its identity, its session, and whether somebody looks at the progress here."""

    state: StateDirectory
    identity: Identity
    session: VaultSession
    pace: Pace = Pace()
    is_watched: bool = False
    attempts: Attempts = field(default_factory=Attempts)

"""What every request may use: the vault, the group commit, and the connections that are open."""

from dataclasses import dataclass, field

import trio

from protocol.errors import ConnectionLost, RemoteProtocolError
from vaultd import metrics, offload
from vaultd.errors import (
    BadRequest,
    Conflict,
    NotAllowed,
    NotFound,
    NotSignedIn,
    Throttled,
    Unavailable,
    WrongPassword,
)
from vaultd.logs import log
from vaultd.operations.access import removed_computer
from vaultd.operations.vault import Vault
from vaultd.server.fetch_budget import FetchBudget
from vaultd.server.group_commit import GroupCommit
from vaultd.server.room_notice import RoomNotice
from vaultd.server.run_progress import RunProgressBook
from vaultd.server.session import Session
from vaultd.server.throttle import INVITATIONS, WRONG_GUESSES, Throttle
from vaultd.server.work_book import WorkBook

# What is said of the caller's own doing; behind all else store or catalog may have stopped.
OF_THE_CALLER = (
    BadRequest,
    NotFound,
    NotSignedIn,
    NotAllowed,
    Conflict,
    Throttled,
    WrongPassword,
    RemoteProtocolError,
    ConnectionLost,
    trio.BrokenResourceError,
    trio.ClosedResourceError,
)


@dataclass(frozen=True, slots=True)
class Service:
    vault: Vault
    group: GroupCommit
    fetches: FetchBudget = field(default_factory=FetchBudget)
    sessions: set[Session] = field(default_factory=set)
    progress: RunProgressBook = field(default_factory=RunProgressBook)
    restores: RunProgressBook = field(default_factory=RunProgressBook)
    work: WorkBook = field(default_factory=WorkBook)
    # By id, since the start: connections that were open then. Whoever comes later is refused by the catalog.
    removed_computers: set[bytes] = field(default_factory=set)
    # Set once: the daemon then stops in order.
    stop: trio.Event = field(default_factory=trio.Event)
    # Set with it when a disk error stopped the store: the daemon ends with exit 1, and the next start recovers.
    store_stopped: trio.Event = field(default_factory=trio.Event)
    guesses: Throttle = field(init=False)
    invitations: Throttle = field(init=False)
    room_notice: RoomNotice = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "guesses", Throttle(self.vault.clock, WRONG_GUESSES))
        object.__setattr__(self, "invitations", Throttle(self.vault.clock, INVITATIONS))
        object.__setattr__(self, "room_notice", RoomNotice(self.vault.clock))

    def count_strangers(self, network: str | None = None) -> int:
        """Connections on which nobody signed in, of one client network or of all."""
        return sum(session.role is None and network in (None, session.network) for session in self.sessions)

    def count_signed_in(self, account_id: bytes | None = None) -> int:
        """Connections of one account or of all."""
        return sum(
            session.role is not None and account_id in (None, session.identity.account_id) for session in self.sessions
        )

    def require_present(self, session: Session) -> None:
        """Refuses what a computer asks that was removed after it signed in."""
        if session.role is not None and session.identity.computer_id in self.removed_computers:
            raise removed_computer()

    async def stop_if_broken(self, error: Exception) -> None:
        """After an error that may have stopped store or catalog, ask them: also where whoever waited is gone, because
        nobody else may come for long.
        """
        if isinstance(error, OF_THE_CALLER):
            return
        with trio.CancelScope(shield=True):
            is_broken = bool(await offload.write(_broken_by, self.vault))
        if is_broken and not self.store_stopped.is_set():
            self.tell_stopped(error)
            self.stop_after_disk_error()

    async def stop_if_found_broken(self) -> None:
        """At the end, whatever was told before."""
        problem = "" if self.store_stopped.is_set() else await offload.write(_broken_by, self.vault)
        if problem:
            log.error("store stopped", problem=problem)
            self.stop_after_disk_error()

    def tell_stopped(self, error: Exception) -> None:
        """With the cause, for the operator only: what clients are told names no file."""
        log.error("store stopped", problem=f"{type(error).__name__}: {error.__cause__ or error}")

    def stop_after_disk_error(self) -> None:
        metrics.STORE_STOPPED.set(1)
        self.store_stopped.set()
        self.stop.set()


def _broken_by(vault: Vault) -> str:
    """In the write thread: between two changes, so that none is half done. Empty while all may be written to."""
    try:
        vault.catalog.require_writable()
    except Unavailable as error:
        return vault.store.broken_by or str(error)
    return vault.store.broken_by

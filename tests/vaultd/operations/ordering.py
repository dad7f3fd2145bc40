"""Orders to restore a job of `laptop`, on it or on `second`, at a small vault."""

import os
import struct
from collections.abc import Callable
from typing import Any

from tests.vaultd.operations.sealing import agent_fingerprint
from tests.vaultd.operations.small_site import CREATOR, Agent, BackedUp, Site
from vaultd.catalog.database import View
from vaultd.catalog.rows import decode
from vaultd.errors import NotAllowed
from vaultd.operations import ordered_restores, restore, restore_orders
from vaultd.operations.restore_orders import NewOrder, OrderSummary
from vaultd.records import AuditEntry, Grant, OrderState, RestoreFigures, RestoreOrder

DAY_SECONDS = 24 * 3600
DONE = RestoreFigures(files=3, bytes=4000, left=1, warnings=0, exit_code=0)


def sealed_order(ids: tuple[bytes, bytes, bytes], agent_key: bytes, *, purpose: int = 3, length: int = 1300) -> bytes:
    """By hand from docs/format.md; nobody opens it here."""
    head = b"SSM1" + bytes([1, 1, purpose, 0]) + b"".join(ids) + os.urandom(16) + agent_key
    return CREATOR.sign_secret(head + struct.pack("<I", length) + os.urandom(length))


class Two:
    """A job of `laptop`, and the computer `second`."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.administrator = site.administrator()
        self.backed_up: BackedUp = site.ready(self.administrator)
        self.laptop: Agent = self.backed_up.agent
        self.second: Agent = site.agent(self.administrator, "second")

    @property
    def job_id(self) -> bytes:
        return self.backed_up.sealer.job_id

    def message(self, agent: Agent, **changed: object) -> bytes:
        ids = (agent.identity.account_id, agent.identity.identity_id, self.job_id)
        return sealed_order(ids, agent_fingerprint(agent.spki, agent.sealing_key), **changed)  # type: ignore[arg-type]

    def give(self, to: str | None = None, message: bytes = b"") -> bytes:
        """The order's id."""
        agent = self.laptop if to is None else self.second
        new = NewOrder("laptop", "home", to, message or self.message(agent))
        return restore_orders.give(self.site.vault, self.administrator, new).order_id

    def take(self, agent: Agent, order_id: bytes) -> bytes:
        return ordered_restores.take(self.site.vault, agent.identity, order_id).message

    def end(self, agent: Agent, order_id: bytes, state: OrderState = OrderState.DONE) -> None:
        ordered_restores.end(self.site.vault, agent.identity, order_id, state, DONE)

    def asked(self, agent: Agent) -> list[bytes]:
        return ordered_restores.asked_orders(self.site.vault, agent.identity)

    def shown(self) -> list[OrderSummary]:
        return restore_orders.list_all(self.site.vault, self.administrator)

    def rows(self) -> list[RestoreOrder]:
        return self._read(
            lambda view: [decode("restore_orders", *row, RestoreOrder) for row in view.scan("restore_orders")]
        )

    def messages(self) -> dict[bytes, bytes]:
        """As they lie in the catalog, by the order's id."""
        return self._read(lambda view: {key[16:]: value for key, value in view.scan("order_messages")})

    def may(self, agent: Agent) -> bool:
        """Whether the agent gets what a restore of the job begins with."""
        try:
            return bool(restore.parameters(self.site.vault, agent.identity, "laptop", "home"))
        except NotAllowed:
            return False

    def grants(self) -> list[Grant]:
        return self._read(lambda view: [decode("grants", *row, Grant) for row in view.scan("grants")])

    def audit(self) -> list[tuple[str, str, str]]:
        rows = self._read(lambda view: [decode("audit", *row, AuditEntry) for row in view.scan("audit")])
        return [(row.actor, row.action, row.subject) for row in rows if row.action.startswith("restore.")]

    def expire(self, *heard: bytes) -> None:
        if ordered_restores.has_outlived(self.site.vault):
            ordered_restores.expire(self.site.vault, heard)

    def _read(self, look: Callable[[View], Any]) -> Any:
        with self.site.vault.catalog.read() as view:
            return look(view)

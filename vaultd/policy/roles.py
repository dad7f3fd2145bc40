"""Which role may call what. What it may then see is decided by ownership: every look-up begins with the caller's
account.
"""

from vaultd.records import Role

OPERATOR_ACTIONS = frozenset(
    {
        "account.create",
        "account.list",
        "account.show",
        "vault.status",
        "clock.accept",
        "collection.start",
        "collection.state",
        "disk.list",
        "disk.hit",
        "disk.lost",
        "scrub.begin",
        "scrub.state",
        "scrub.hit",
        "metrics",
    }
)
ADMINISTRATOR_ACTIONS = frozenset(
    {
        "computer.invite",
        "computer.list",
        "computer.show",
        "computer.remove",
        "computer.distrust",
        "computer.leaning",
        "job.create",
        "job.list",
        "job.show",
        "job.run",
        "job.request",
        "job.cancel",
        "job.remove",
        "job.freeze",
        "keyring.parameters",
        "keyring.open",
        "keyring.slots",
        "safeset.list",
        "safeset.grant",
        "safeset.grants",
        "safeset.revoke",
        "safeset.pin",
        "safeset.unpin",
        "safeset.delete",
        "safeset.undelete",
        "safeset.ended",
        "retention.set",
        "retention.confirm",
        "retention.limit",
        "retention.confirm_limit",
        "retention.list",
        "retention.simulate",
        "restore.order",
        "restore.orders",
        "restore.state",
        "restore.cancel",
    }
)
AGENT_ACTIONS = frozenset(
    {
        "agent.jobs",
        "agent.work",
        "keyring.create",
        "run.begin",
        "run.key",
        "run.progress",
        "run.end",
        "chunk.offer",
        "chunk.upload",
        "safeset.commit",
        "safeset.find",
        "safeset.roots",
        "safeset.list",
        "restore.parameters",
        "restore.open",
        "restore.take",
        "restore.progress",
        "restore.end",
        "chunk.fetch",
    }
)
OPEN_ACTIONS = frozenset({"hello", "authority", "register"})

ACTIONS: dict[Role, frozenset[str]] = {
    Role.OPERATOR: OPERATOR_ACTIONS,
    Role.ADMINISTRATOR: ADMINISTRATOR_ACTIONS,
    Role.AGENT: AGENT_ACTIONS,
}


def may(role: Role | None, action: str) -> bool:
    """`role` is None before sign-in."""
    return action in OPEN_ACTIONS or (role is not None and action in ACTIONS[role])

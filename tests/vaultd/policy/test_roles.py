"""Who may call what."""

import pytest

from vaultd.policy.roles import ACTIONS, OPEN_ACTIONS, may
from vaultd.records import Role


def test_nobody_may_only_what_is_open() -> None:
    everything = set().union(*ACTIONS.values()) | OPEN_ACTIONS
    assert {action for action in everything if may(None, action)} == {"hello", "authority", "register"}


@pytest.mark.parametrize(
    ("role", "allowed", "refused"),
    [
        (Role.OPERATOR, "account.create", "job.create"),
        (Role.OPERATOR, "vault.status", "restore.open"),
        (Role.OPERATOR, "account.list", "safeset.list"),
        (Role.OPERATOR, "disk.lost", "job.run"),
        (Role.ADMINISTRATOR, "job.run", "disk.lost"),
        (Role.ADMINISTRATOR, "job.list", "disk.hit"),
        (Role.AGENT, "agent.jobs", "disk.list"),
        (Role.OPERATOR, "scrub.begin", "job.run"),
        (Role.ADMINISTRATOR, "job.list", "scrub.hit"),
        (Role.ADMINISTRATOR, "job.create", "account.create"),
        (Role.ADMINISTRATOR, "safeset.list", "chunk.fetch"),
        (Role.AGENT, "chunk.upload", "job.create"),
        (Role.AGENT, "run.progress", "job.request"),
        (Role.ADMINISTRATOR, "job.request", "run.progress"),
        (Role.AGENT, "restore.open", "computer.invite"),
        (Role.AGENT, "agent.work", "job.cancel"),
        (Role.ADMINISTRATOR, "job.cancel", "agent.work"),
    ],
)
def test_each_role_has_its_own_part(role: Role, allowed: str, refused: str) -> None:
    assert may(role, allowed)
    assert not may(role, refused)


@pytest.mark.parametrize("role", [None, *Role])
def test_what_is_not_in_the_table_is_refused(role: Role | None) -> None:
    assert not may(role, "account.destroy")

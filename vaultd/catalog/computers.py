"""Computers of an account, by id and by name, and the look-up from an agent's TLS key."""

from collections.abc import Iterator

from blake3 import blake3

from vaultd.catalog.database import View
from vaultd.catalog.rows import decode, name_key, put, read
from vaultd.records import AgentKey, Change, Computer


def save_computer(computer: Computer) -> list[Change]:
    owner = computer.account_id
    agent_key = AgentKey(owner, computer.computer_id)
    return [
        put("computers", owner + computer.computer_id, computer),
        ("computer_names", owner + name_key(computer.name), computer.computer_id),
        put("agent_keys", tls_key_hash(computer.tls_key), agent_key),
    ]


def update_computer(computer: Computer) -> list[Change]:
    """For a computer whose name and keys stay."""
    return [put("computers", computer.account_id + computer.computer_id, computer)]


def save_replaced(computer: Computer) -> list[Change]:
    """For a computer with the keys of another agent. The row of the old agent's key stays: it is nobody's any more."""
    agent_key = AgentKey(computer.account_id, computer.computer_id)
    return [*update_computer(computer), put("agent_keys", tls_key_hash(computer.tls_key), agent_key)]


def read_computer(view: View, account_id: bytes, computer_id: bytes) -> Computer | None:
    return read(view, "computers", account_id + computer_id, Computer)


def find_computer(view: View, account_id: bytes, name: str) -> Computer | None:
    computer_id = view.get("computer_names", account_id + name_key(name))
    return None if computer_id is None else read_computer(view, account_id, computer_id)


def has_its_name(view: View, computer: Computer) -> bool:
    """Not where another computer took the name of a removed one."""
    return view.get("computer_names", computer.account_id + name_key(computer.name)) == computer.computer_id


def list_computers(view: View, account_id: bytes) -> Iterator[Computer]:
    for key, value in view.scan("computers", account_id):
        yield decode("computers", key, value, Computer)


def find_by_tls_key(view: View, spki: bytes) -> Computer | None:
    owner = read(view, "agent_keys", tls_key_hash(spki), AgentKey)
    if owner is None:
        return None
    computer = read_computer(view, owner.account_id, owner.computer_id)
    return computer if computer is not None and computer.tls_key == spki else None


def is_known_tls_key(view: View, spki: bytes) -> bool:
    """Whether any agent has this key, or had it until another one took its place."""
    return read(view, "agent_keys", tls_key_hash(spki), AgentKey) is not None


def tls_key_hash(spki: bytes) -> bytes:
    return blake3(spki).digest()

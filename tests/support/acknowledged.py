"""The judge of a vault that fell: a small model of what was asked for and what was acknowledged, held against what the
vault shows.

Every fact has a name and a value: ("record", keyring, id) and its bytes, ("account", name), ("job", id), ("slots",
keyring), ("run key", id), ("safeset", job, number), ("run", id), ("ended", run) and how, ("token", token) and whose.
`expecting` asks for facts and keeps them once the call returned; `told` is for what only the answer says.
`judge` then wants: every kept fact is there and is the same; nothing is there that was not asked for, or not as it was
asked for; everything that a listed safeset uses is there. What the vault shows it has acknowledged thereby, because
agents do not send again what is present: it counts as kept from then on.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from blake3 import blake3

from tests.vaultd.operations.sealing import id_of
from tests.vaultd.operations.small_site import BackedUp
from vaultd.catalog.keyrings import list_run_keys, list_slots
from vaultd.catalog.runs import active_run, list_runs_back
from vaultd.catalog.safesets import list_safesets
from vaultd.operations import accounts, jobs
from vaultd.operations.sign_in import sign_in_token
from vaultd.operations.vault import Vault
from vaultd.operations.wrapping import RUN_KEY, SLOT, run_key_owners, slot_owner, unwrap
from vaultd.records import Figures, Identity
from vaultd.store.errors import RecordDamaged

Name = tuple[Any, ...]
Facts = dict[Name, Any]


@dataclass
class Acknowledged:
    asked: Facts = field(default_factory=dict)
    kept: Facts = field(default_factory=dict)
    agents: dict[bytes, Identity] = field(default_factory=dict)  # by computer
    used: dict[bytes, list[bytes]] = field(default_factory=dict)  # ids that a root uses, by root

    def copy(self) -> "Acknowledged":
        return Acknowledged(dict(self.asked), dict(self.kept), dict(self.agents), dict(self.used))

    @contextmanager
    def expecting(self, facts: Mapping[Name, Any]) -> Iterator[None]:
        self.asked.update(facts)
        yield
        self.kept.update(facts)

    def told(self, facts: Mapping[Name, Any]) -> None:
        self.asked.update(facts)
        self.kept.update(facts)

    def judge(self, vault: Vault) -> Facts:
        shown = self.shown_by(vault)
        lost = {name for name in self.kept if name not in shown}
        assert not lost, f"acknowledged, but not there: {sorted(map(str, lost))}"
        wrong = {name for name, value in shown.items() if name not in self.asked or self.asked[name] != value}
        assert not wrong, f"there, but not as it was asked for: {sorted(map(str, wrong))}"
        records = {name for name in shown if name[0] == "record"}
        assert vault.store.statistics().records == len(records)
        for name, root in shown.items():
            if name[0] == "safeset":
                gone = [id_.hex() for id_ in self.used[root] if ("record", root[8:24], id_) not in records]
                assert not gone, f"safeset {name[2]} uses what is not there: {gone}"
        self.kept.update(shown)
        return shown

    def shown_by(self, vault: Vault) -> Facts:
        found: Facts = {("account", row.name): True for row in accounts.list_all(vault)}
        found |= self._tokens(vault)
        for identity in self.agents.values():
            for job in jobs.list_for_agent(vault, identity):
                account_id = identity.account_id
                found["job", job.job_id] = (job.name, job.definition, job.signature)
                if job.keyring_id is None:
                    assert job.secret
                    continue
                found |= _of_keyring(vault, account_id, job.job_id, job.keyring_id)
                found |= _of_runs(vault, account_id, job.job_id)
                with vault.catalog.read() as view:
                    rows = list(list_safesets(view, account_id, job.job_id))
                assert [row.sequence for row in rows] == list(range(1, job.head_sequence + 1))
                found |= {("safeset", job.job_id, row.sequence): row.root for row in rows}
        return found | self._records(vault)

    def _tokens(self, vault: Vault) -> Facts:
        found: Facts = {}
        for name in [name for name in self.asked if name[0] == "token"]:
            identity = sign_in_token(vault, name[1])
            if identity is not None:
                found[name] = (identity.account_id, identity.role.value)
        return found

    def _records(self, vault: Vault) -> Facts:
        found: Facts = {}
        for name in [name for name in self.asked if name[0] == "record"]:
            _, keyring_id, id_ = name
            is_missing = vault.store.missing(keyring_id, [id_]) == [True]
            (location,) = vault.store.locate(keyring_id, [id_])
            assert is_missing == (location is None or location.is_damaged)
            if location is None:
                continue
            try:
                found[name] = vault.store.read(location, id_)
            except RecordDamaged as error:
                found[name] = f"damaged: {error}"
                continue
            assert blake3(found[name]).digest()[: len(location.cid_prefix)] == location.cid_prefix
        return found


def _of_keyring(vault: Vault, account_id: bytes, job_id: bytes, keyring_id: bytes) -> Facts:
    with vault.catalog.read() as view:
        slots = list(list_slots(view, account_id, keyring_id))
        keys = list(list_run_keys(view, account_id, keyring_id))
    opened = [unwrap(vault, [slot_owner(row.slot_id)], SLOT, row.slot_id, row.wrapped) for row in slots]
    found: Facts = {("slots", keyring_id): sorted(opened)}
    for row in keys:
        owners = run_key_owners(row.job_id, keyring_id)
        found["run key", row.key_id] = unwrap(vault, owners, RUN_KEY, row.key_id, row.wrapped)
    return found


def _of_runs(vault: Vault, account_id: bytes, job_id: bytes) -> Facts:
    """A run that another one replaced is aborted, which nobody asked for and nobody was told; done and without figures
    where its complete safeset is there.
    """
    found: Facts = {}
    with vault.catalog.read() as view:
        active = active_run(view, account_id, job_id)
        rows = list(list_runs_back(view, account_id, job_id))
    assert [row.number for row in rows] == list(range(len(rows), 0, -1))
    for row in rows:
        found["run", row.run_id] = job_id
        is_active = active is not None and active.run_id == row.run_id
        assert is_active == (row.outcome == "running"), f"run {row.run_id.hex()} is {row.outcome}, active: {is_active}"
        assert (row.end_ns == 0) == is_active
        is_replaced = (row.outcome, row.figures) == ("done", Figures()) and row.sequence
        if row.outcome not in ("running", "aborted") and not is_replaced:
            found["ended", row.run_id] = (row.outcome.value, row.figures)
    return found


def record_facts(backed_up: BackedUp, records: Iterable[bytes]) -> Facts:
    return {("record", backed_up.sealer.keyring_id, id_of(record)): record for record in records}

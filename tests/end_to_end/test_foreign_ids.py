"""Two accounts: an id of the other account is answered exactly like an id that does not exist, by every method.

ROWS of foreign_ids.py has one row per method of the registry; a new method without its row fails the test. A row makes
requests from an id: once the foreign one, once a random one, and the answers are compared letter by letter, with the
ids taken out.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from protocol import messages as m
from protocol.errors import RemoteProtocolError
from protocol.methods import METHODS, Direction
from tests.end_to_end.conftest import Site
from tests.end_to_end.foreign_ids import CHUNK_ROWS, ROWS, Facts, order_for
from tests.end_to_end.hand_made_job import (
    agent_facts,
    begin,
    create_request,
    make_job,
    some_records,
    upload_records,
)
from tests.support.trees import write_tree
from tools.client.session import Endpoint, VaultSession, connect

pytestmark = pytest.mark.xdist_group("foreign ids")  # one site for all of them


def test_every_method_has_a_row() -> None:
    assert set(ROWS) == set(METHODS)
    for name, row in ROWS.items():
        names = set(METHODS[name].request.__struct_fields__)
        covered = set(row.kinds) | {"name", "secret", "sealed_key", "proof", "sequence", "request", "after", "kind"}
        covered |= {"definition", "revision", "creator_key", "signature"}
        covered |= {"number", "lengths", "cids", "outcome", "files", "new_chunks", "new_bytes", "warnings", "codes"}
        covered |= {"bytes", "bytes_total", "disk", "undo", "replace", "days", "since_ns", "dry_run", "all"}
        covered |= {"versions", "program", "program_version", "token", "certificate_request", "sealing_key"}
        covered |= {"keyring_id", "generation", "kem", "public_key", "minimum_suite", "signing_key", "slots"}
        covered |= {"message", "exit_code", "code", "is_trial", "left", "reason", "days", "copies", "over_limit"}
        covered |= {"change"} if "slot_id" in row.kinds else set()
        covered |= {"keyring"} if "keyring_id" in row.kinds else set()
        covered |= {"base"} if "root_hash" in row.kinds else set()
        assert names <= covered, f"{name} has a field that no row asks with: {sorted(names - covered)}"


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Accounts `alpha` and `beta`, each with a computer, a job and a safeset of names that the other has not."""
    directory = tmp_path_factory.mktemp("two")
    site = Site(directory)
    site.start()
    for account in ("alpha", "beta"):
        tree = write_tree(directory / f"{account}-tree", seed=len(account), small_files=5)
        site.create_account(account)
        site.register(account, f"{account}-pc")
        site.register(account, f"{account}-second")
        site.create_job(account, f"{account}-pc", f"{account}-job", tree)
        site.backup(f"{account}-pc", f"{account}-job")
    yield site
    site.kill()


def agent_endpoint(site: Site, account: str) -> Endpoint:
    state = site.state(f"{account}-pc")
    identity = json.loads((state / "identity.json").read_text())
    return Endpoint(site.url, identity["authority_pem"], None, str(state / "agent.crt"), str(state / "agent.key"))


def people_endpoint(site: Site, account: str) -> Endpoint:
    context = json.loads(site.context(account).read_text())
    return Endpoint(site.url, context["ca"], bytes.fromhex(context["token"]))


async def collect_facts(site: Site, account: str, session: VaultSession) -> Facts:
    """Begins a run and opens a restore, so that run and ticket are live ones. The run is that of a job whose keys are
    known here, so that it could commit.
    """
    facts = Facts({"computer": f"{account}-pc", "job": f"{account}-job", "to": f"{account}-second"})
    jobs, _ = await session.ask("agent.jobs", m.AgentJobsRequest(), m.AgentJobsAnswer)
    (job,) = [job for job in jobs.jobs if job.name == f"{account}-job"]
    facts.ids |= {"job_id": job.job_id, "root_hash": job.head_hash}
    async with connect(people_endpoint(site, account), "test") as people:
        facts.agent = await agent_facts(people, site.state(f"{account}-pc"), f"{account}-pc")
        facts.sealer = sealer = await make_job(people, session, facts.agent, f"{account}-pc")
        ordering = m.RestoreOrderRequest(f"{account}-pc", f"{account}-job", None, order_for(facts))
        await people.ask("restore.order", ordering, m.RestoreOrderAnswer)
        facts.ids["order_id"] = ordering.message[56:72]
    await session.ask("restore.take", m.RestoreTakeRequest(ordering.message[56:72]), m.RestoreTakeAnswer)
    await begin(session, sealer)
    facts.ids["run_id"] = sealer.run_id
    chunks = some_records(sealer, 2, 1000)
    facts.leaf = sealer.leaf(chunks)
    await upload_records(session, sealer, [*chunks, *facts.leaf])
    parameters, _ = await session.ask(
        "restore.parameters", m.RestoreParametersRequest(None, f"{account}-job"), m.RestoreParametersAnswer
    )
    slot = next(slot for slot in parameters.slots if slot.kind == 1)
    password = site.password(f"{account}-job").read_text().strip()
    stretched = Argon2id(
        salt=slot.salt, length=64, iterations=slot.passes, lanes=slot.lanes, memory_cost=slot.memory_kib
    ).derive(password.encode())
    opening = m.RestoreOpenRequest(None, f"{account}-job", slot.slot_id, stretched[32:], 0)
    opened, raw = await session.ask("restore.open", opening, m.RestoreOpenAnswer)
    facts.ids["keyring_id"] = parameters.keyring_id
    facts.ids |= {"slot_id": slot.slot_id, "proof": stretched[32:], "ticket": opened.ticket}
    facts.ids["chunk"] = bytes(raw[40:72])
    return facts


async def ask(
    session: VaultSession, name: str, request: msgspec.Struct, raw: bytes
) -> tuple[str, str, str] | msgspec.Struct:
    """The error as (code, sentence, hint), or the answer."""
    method = METHODS[name]
    try:
        if method.direction is Direction.ask:
            answer, _ = await session.ask(name, request, method.answer, raw)
            return answer
        async with session.call(name) as call:
            await call.send(request, raw)
            await call.end()
            received = await call.receive(method.answer)
            return received[0] if received else ("nothing", "", "")
    except RemoteProtocolError as error:
        return (str(error.code), error.message, error.hint)


def without(answer: Any, value: bytes | str) -> str:
    text = value if isinstance(value, str) else value.hex()
    said = repr(answer).replace(text, "ID").replace(repr(value), "ID")
    return re.sub(r"time_ns=\d+", "time_ns", said)


def random_like(value: bytes | str) -> bytes | str:
    return (
        secrets.token_bytes(len(value))
        if isinstance(value, bytes)
        else secrets.token_hex(len(value) // 2 + 1)[: len(value)]
    )


async def test_a_foreign_id_is_answered_like_one_that_does_not_exist(two: Site) -> None:
    differing = []
    async with (
        connect(agent_endpoint(two, "alpha"), "test") as alpha,
        connect(agent_endpoint(two, "beta"), "test") as agent,
        connect(people_endpoint(two, "beta"), "test") as people,
    ):
        foreign, mine = await collect_facts(two, "alpha", alpha), await collect_facts(two, "beta", agent)
        for name, request in CHUNK_ROWS.items():
            own = mine.ids["run_id" if name == "chunk.offer" else "ticket"]
            other = secrets.token_bytes(32)
            seen = await ask(agent, name, request(own), foreign.ids["chunk"])
            expected = await ask(agent, name, request(own), other)
            if without(seen, foreign.ids["chunk"]) != without(expected, other):
                differing.append(f"{name} chunk: {seen} instead of {expected}")
        # A run that begins ends the one before, so those requests come last.
        for name, row in sorted(ROWS.items(), key=lambda item: item[0] == "run.begin"):
            session = agent if row.caller == "agent" else people
            for kind, make_request in row.kinds.items():
                value = foreign.ids[kind]
                other = random_like(value)
                seen = await ask(session, name, *make_request(value, mine))
                expected = await ask(session, name, *make_request(other, mine))
                if without(seen, value) != without(expected, other):
                    differing.append(f"{name} {kind}: {seen} instead of {expected}")
    assert differing == [], "\n".join(differing)


async def test_the_same_requests_work_with_ones_own_ids(two: Site) -> None:
    """Else the test above would compare two refusals of something else."""
    async with (
        connect(agent_endpoint(two, "beta"), "test") as agent,
        connect(people_endpoint(two, "beta"), "test") as people,
    ):
        mine = await collect_facts(two, "beta", agent)
        working = {
            "computer.show": {"computer"},
            "computer.leaning": {"computer"},
            "job.create": {"computer"},
            "job.list": {"computer"},
            "job.show": {"computer", "job"},
            "job.run": {"computer", "job"},
            "safeset.list": {"computer", "job"},
            "safeset.grant": {"computer", "job", "to"},
            "run.key": {"run_id"},
            "run.progress": {"run_id"},
            "safeset.commit": {"run_id"},
            "run.begin": {"job_id"},
            "safeset.find": {"job_id", "root_hash"},
            "safeset.roots": {"job_id"},
            "restore.parameters": {"computer", "job"},
            "keyring.parameters": {"computer", "job"},
            "keyring.open": {"computer", "job", "slot_id"},
            "restore.open": {"computer", "job", "slot_id"},
            "restore.order": {"computer", "job"},
            "restore.take": {"order_id"},
            "restore.progress": {"order_id"},
            "restore.end": {"order_id"},
            "job.cancel": {"job"},
            "computer.distrust": {"computer"},  # ends the run that goes on
        }
        await ask(people, "safeset.grant", *ROWS["safeset.grant"].kinds["to"](mine.ids["to"], mine))
        revoked = await ask(people, "safeset.revoke", *ROWS["safeset.revoke"].kinds["to"](mine.ids["to"], mine))
        assert isinstance(revoked, m.SafesetRevokeAnswer)
        for name, kinds in working.items():
            session = agent if ROWS[name].caller == "agent" else people
            for kind in sorted(kinds):
                answer = await ask(session, name, *ROWS[name].kinds[kind](mine.ids[kind], mine))
                assert not isinstance(answer, tuple), f"{name} {kind}: {answer}"


async def test_a_foreign_job_id_is_not_taken(two: Site) -> None:
    """A new job under the id of another would be its owner: erase keys are named by it."""
    async with (
        connect(agent_endpoint(two, "alpha"), "test") as alpha,
        connect(people_endpoint(two, "beta"), "test") as people,
    ):
        jobs, _ = await alpha.ask("agent.jobs", m.AgentJobsRequest(), m.AgentJobsAnswer)
        mine = await agent_facts(people, two.state("beta-pc"), "beta-pc")
        for job in jobs.jobs:
            request = create_request(mine, "beta-pc", secrets.token_hex(8), job.job_id)
            code, sentence, _ = await ask(people, "job.create", request, b"")
            assert (code, sentence) == ("conflict", f"job_id {job.job_id.hex()} cannot be used")


def test_the_other_accounts_programs_see_nothing(two: Site, tmp_path: Path) -> None:
    done = two.run_administrator("beta", "job", "list", "alpha-pc")
    assert done.exit_code == 4
    restore = two.run_agent(
        "beta-pc",
        "restore",
        "alpha-job",
        "--computer",
        "alpha-pc",
        "--target",
        tmp_path / "x",
        "--password-file",
        two.password("alpha-job"),
    )
    assert restore.exit_code == 4

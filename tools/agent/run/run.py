"""A run that has begun, and the roots that it makes: provisional ones on its way, and at its end a complete one."""

import socket
import time
from dataclasses import dataclass

from protocol.messages import AgentJob
from tools.agent.state import Identity
from tools.client.keyring import Unattended
from tools.client.manifest_writer import WrittenManifest
from tools.client.root import SYSTEM_POSIX, Figures, Payload, Root
from tools.client.version import PROGRAM_VERSION


@dataclass(slots=True)
class Head:
    """The newest safeset of the job; it moves with each that the run makes."""

    timeline: int
    sequence: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Run:
    run_id: bytes
    job: AgentJob
    keys: Unattended
    head: Head
    begin_ns: int


@dataclass(frozen=True, slots=True)
class Contents:
    """What a safeset of the run holds, and what could not be taken as it was."""

    manifest: WrittenManifest
    figures: Figures
    warnings: tuple[tuple[bytes, str], ...]
    is_complete: bool


def payload_of(run: Run, identity: Identity, contents: Contents) -> Payload:
    manifest, definition = contents.manifest, run.job.definition
    return Payload(
        manifest.top_block, manifest.top_companion, manifest.level, socket.gethostname(), run.job.name,
        identity.computer, tuple(definition.include), tuple(definition.exclude), PROGRAM_VERSION, run.begin_ns,
        time.time_ns(), contents.warnings, SYSTEM_POSIX,
    )  # fmt: skip


def root_of(run: Run, identity: Identity, contents: Contents, payload_hash: bytes) -> Root:
    """It follows the head."""
    manifest = contents.manifest
    return Root(
        suite=run.job.definition.suite,
        complete=contents.is_complete,
        keyring_id=run.keys.keyring_id,
        generation=run.keys.generation,
        job_id=run.job.job_id,
        computer_id=bytes.fromhex(identity.computer_id),
        run_id=run.run_id,
        timeline=run.head.timeline,
        sequence=run.head.sequence + 1,
        previous=run.head.hash,
        agent_time_ns=time.time_ns(),
        payload_hash=payload_hash,
        top_block=manifest.top_block,
        top_companion=manifest.top_companion,
        level=manifest.level,
        figures=contents.figures,
    )

"""The life of a run: begin, its sealed keys, end. A job has at most one active run."""

from dataclasses import dataclass

import msgspec
from blake3 import blake3

from vaultd.catalog.computers import update_computer
from vaultd.catalog.database import View
from vaultd.catalog.jobs import read_secret, remove_secret, update_job
from vaultd.catalog.keyrings import read_keyring, save_run_key
from vaultd.catalog.runs import active_run, read_run, save_run, update_run
from vaultd.catalog.safesets import find_safeset
from vaultd.errors import BadRequest, Conflict, Internal
from vaultd.operations import access, ledger
from vaultd.operations.home_disk import renewed_home
from vaultd.operations.sealed_headers import parse_run_key
from vaultd.operations.standing import is_standing
from vaultd.operations.vault import Vault
from vaultd.operations.wrapping import RUN_KEY, job_owner, wrap
from vaultd.records import (
    NO_HASH,
    NO_ID,
    Change,
    Figures,
    Identity,
    Job,
    Keyring,
    Outcome,
    Run,
    RunKey,
)
from vaultd.store.journal.format import EntryKind

KEY_ID_BYTES = 16
KEYS_PER_RUN_MAX = 64
CODES_MAX = 64
CODE_CHARACTERS_MAX = 64
FIGURE_MAX = 1 << 60


@dataclass(frozen=True, slots=True)
class Begun:
    base_known: bool
    timeline: int
    head_sequence: int
    head_hash: bytes
    time_ns: int


def begin(vault: Vault, identity: Identity, job_id: bytes, run_id: bytes, base: bytes | None) -> Begun:
    """W. Ends the job's active run, if there is another one; the same begin again is answered the same way.

    `base` is a safeset of the job that was seen whole (`safesets.is_whole_base`); with None everything is offered.
    """
    now_ns = vault.clock.now_ns()
    with vault.catalog.read() as view:
        job = access.job_with_keyring(access.own_job(view, identity, job_id))
        known = read_run(view, identity.account_id, run_id)
        if known is not None and known.job_id == job_id and known.outcome is Outcome.RUNNING:
            return Begun(known.base != NO_HASH, job.timeline, job.head_sequence, job.head_hash, now_ns)
        if known is not None or run_id == NO_ID:
            raise Conflict(f"run_id {run_id.hex()} cannot be used", "draw a new random id")
        base = base and _kept_base(view, job, base)
        changes = end_active(view, job, now_ns)
        request = job.request if job.request > job.requests_taken else 0
        run = Run(
            run_id=run_id,
            account_id=job.account_id,
            job_id=job_id,
            keyring_id=job.keyring_id,
            number=job.runs + 1,
            begin_ns=now_ns,
            base=base or NO_HASH,
            request=request,
        )
        changes += _seen(view, identity, now_ns)
        changes += renewed_home(vault, view, job.account_id)
    changes += save_run(run)
    changes += update_job(msgspec.structs.replace(job, runs=run.number, requests_taken=job.request))
    ledger.record(vault, changes, EntryKind.run_begin, job=job_id, run=run_id)
    return Begun(base is not None, job.timeline, job.head_sequence, job.head_hash, now_ns)


def add_key(vault: Vault, identity: Identity, run_id: bytes, sealed_key: bytes) -> bytes:
    """W. The key's id. The sealed key is durable, wrapped, before a record under it can be taken."""
    header = parse_run_key(sealed_key)
    key_id = blake3(sealed_key).digest(length=KEY_ID_BYTES)
    with vault.catalog.read() as view:
        run, job = access.active_run(view, identity, run_id)
        keyring, sent = _keyring(view, run), read_secret(view, job)
    if key_id in run.key_ids:
        return key_id
    if (header.keyring_id, header.run_id) == (run.keyring_id, run_id) and header.generation < keyring.generation:
        raise Conflict(
            f"sealed_key: the keyring has generation {keyring.generation} by now, not {header.generation}",
            "run the backup again; else update the agent, or rotate the keys once more",
        )
    bound = {
        "kem": (header.kem, keyring.kem),
        "keyring": (header.keyring_id, run.keyring_id),
        "generation": (header.generation, keyring.generation),
        "job": (header.job_id, job.job_id),
        "run": (header.run_id, run_id),
    }
    for name, (said, expected) in bound.items():
        if said != expected:
            raise BadRequest(f"sealed_key: {name} is not that of the run")
    if len(run.key_ids) >= KEYS_PER_RUN_MAX:
        raise Conflict(f"run {run_id.hex()} has {KEYS_PER_RUN_MAX} keys already", "begin a new run")
    wrapped = wrap(vault, job_owner(job.job_id), RUN_KEY, key_id, sealed_key)
    run_key = RunKey(key_id, job.job_id, run_id, wrapped, vault.clock.now_ns())
    changes = [
        *save_run_key(job.account_id, run.keyring_id, run_key),
        *update_run(msgspec.structs.replace(run, key_ids=(*run.key_ids, key_id))),
        # An agent that seals to the newest generation has taken its keys.
        *([] if sent is None else remove_secret(job)),
    ]
    ledger.record(vault, changes, EntryKind.run_key, keyring=run.keyring_id, key=key_id, run=run_id)
    return key_id


def job_of_running(vault: Vault, identity: Identity, run_id: bytes) -> bytes:
    """Whose job the run is, while it goes on."""
    with vault.catalog.read() as view:
        return access.running_run(view, identity, run_id).job_id


def end(vault: Vault, identity: Identity, run_id: bytes, outcome: str, figures: Figures) -> bytes:
    """W. The run's job. The same end again changes nothing. No run ends well without its complete safeset."""
    ends_well = outcome in (Outcome.DONE, Outcome.WARNINGS)
    if not ends_well and outcome not in (Outcome.FAILED, Outcome.ABORTED):
        raise BadRequest(f"outcome {outcome!r} is not done, warnings, failed or aborted")
    _check_figures(figures)
    now_ns = vault.clock.now_ns()
    with vault.catalog.read() as view:
        run, job = access.own_run(view, identity, run_id)
        if run.outcome is not Outcome.RUNNING:
            if run.outcome == outcome and run.figures == figures:
                return job.job_id
            if not _lacks_figures(run) or not ends_well:
                raise Conflict(f"run {run_id.hex()} has ended as {run.outcome.value}")
        elif ends_well and not has_its_safeset(job, run):
            raise Conflict(f"run {run_id.hex()} has no complete safeset", "commit its root, or end it as failed")
        seen = _seen(view, identity, now_ns)
    ended = msgspec.structs.replace(run, outcome=Outcome(outcome), end_ns=run.end_ns or now_ns, figures=figures)
    # Another run of the job may go on by now.
    saved = save_run(ended) if run.outcome is Outcome.RUNNING else update_run(ended)
    ledger.record(vault, [*saved, *seen], EntryKind.run_end, job=job.job_id, run=run_id)
    return job.job_id


def _kept_base(view: View, job: Job, base: bytes) -> bytes | None:
    """Asked in the write thread: what it uses is kept from now on until the run ends, if it is kept up to now."""
    safeset = find_safeset(view, job.account_id, job.job_id, base)
    return None if safeset is None or not is_standing(view, job, safeset) else base


def _lacks_figures(run: Run) -> bool:
    """It was ended in its agent's place, which may tell them yet."""
    return run.outcome is Outcome.DONE and run.figures == Figures()


def has_its_safeset(job: Job, run: Run) -> bool:
    """Whether the run made its complete safeset, so that its agent only has to say that it ended."""
    return 0 < run.sequence == job.complete_sequence


def end_active(view: View, job: Job, now_ns: int) -> list[Change]:
    """The run that goes on is over, if there is one."""
    old = active_run(view, job.account_id, job.job_id)
    return [] if old is None else save_run(ended_run(job, old, now_ns))


def ended_run(job: Job, run: Run, now_ns: int) -> Run:
    """As aborted; as done where everybody can restore what it made."""
    outcome = Outcome.DONE if has_its_safeset(job, run) else Outcome.ABORTED
    return msgspec.structs.replace(run, outcome=outcome, end_ns=now_ns)


def _seen(view: View, identity: Identity, now_ns: int) -> list[Change]:
    computer = access.own_computer(view, identity)
    return update_computer(msgspec.structs.replace(computer, last_seen_ns=now_ns))


def _keyring(view: View, run: Run) -> Keyring:
    keyring = read_keyring(view, run.account_id, run.keyring_id)
    if keyring is None:
        raise Internal(f"keyring {run.keyring_id.hex()} of run {run.run_id.hex()} is not in the catalog")
    return keyring


def _check_figures(figures: Figures) -> None:
    for name in ("files", "new_chunks", "new_bytes", "warnings"):
        if not 0 <= getattr(figures, name) <= FIGURE_MAX:
            raise BadRequest(f"{name} {getattr(figures, name)} is not plausible")
    if len(figures.codes) > CODES_MAX:
        raise BadRequest(f"codes has {len(figures.codes)} rows, more than {CODES_MAX}")
    for code, count in figures.codes.items():
        if not code.isascii() or not code.isprintable() or not 1 <= len(code) <= CODE_CHARACTERS_MAX:
            raise BadRequest(f"codes: a code must have 1 to {CODE_CHARACTERS_MAX} printable ASCII characters")
        if not 0 <= count <= FIGURE_MAX:
            raise BadRequest(f"codes: the count of {code} is not plausible")

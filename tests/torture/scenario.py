"""What clients do to a simulated vault, drawn by chance: each step is made when it is reached and may be done twice.

Two computers with a keyring each, on the ground that `make_ground` lays once; chance comes from one generator alone.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from random import Random

from blake3 import blake3

from tests.support.acknowledged import Acknowledged
from tests.support.simulated_vault import SimulatedVault, State
from tests.vaultd.faults import operations
from tests.vaultd.faults.operations import Operation
from tests.vaultd.operations.sealing import DATA, id_of
from tests.vaultd.operations.small_site import BackedUp, new_job
from vaultd.operations import jobs
from vaultd.records import Identity

_SIZES = (1, 100, 900, 5_000, 9_000, 20_000)
_FULL = 20_000  # four of them fill a container


@dataclass(frozen=True)
class Ground:
    """A stopped vault with two jobs; each has its keyring, a safeset, and a run that has begun since."""

    state: State
    model: Acknowledged
    administrator: Identity
    backed_up: tuple[BackedUp, ...]


def make_ground(world: SimulatedVault) -> Ground:
    base = operations.make_base(world)
    world.restore(base.state)
    world.start()
    model = base.model
    agent = base.backed_up.agent
    third = new_job(agent, "third")
    with model.expecting(operations.job_facts(third)):
        job = jobs.create(world.vault, base.administrator, third)
    second = world.keyring(agent, job)
    model.asked["slots", second.sealer.keyring_id] = [second.slot] * 2
    operations.beginning(second)(world, model)
    model.judge(world.vault)
    return Ground(world.save(), model, base.administrator, (base.backed_up, second))


class Scenario:
    """`next` gives the next step; what it may build on stands in the model by then."""

    def __init__(self, ground: Ground, model: Acknowledged, rng: Random) -> None:
        self._administrator = ground.administrator
        self._jobs = [replace(one, sealer=copy(one.sealer)) for one in ground.backed_up]
        self._model = model
        self._rng = rng
        self._plaintexts: dict[bytes, list[bytes]] = {one.sealer.keyring_id: [] for one in self._jobs}
        self._following: list[tuple[str, Callable[[], Operation]]] = []

    def next(self) -> tuple[str, Operation]:
        if self._following:
            name, make = self._following.pop()
            return name, make()
        name = self._rng.choices(list(_STEPS), [weight for weight, _ in _STEPS.values()])[0]
        return name, _STEPS[name][1](self)

    def _upload(self) -> Operation:
        return self._uploading([self._rng.choice(_SIZES) for _ in range(self._rng.randint(1, 6))])

    def _roll_over(self) -> Operation:
        return self._uploading([_FULL] * self._rng.randint(4, 8))

    def _uploading(self, sizes: list[int]) -> Operation:
        """New chunks, and some that are there already or come twice, sealed anew."""
        backed_up = self._rng.choice(self._jobs)
        sealer = backed_up.sealer
        known = self._plaintexts[sealer.keyring_id]
        new = [self._rng.randbytes(size) for size in sizes]
        again = self._rng.sample(known, min(len(known), self._rng.randint(0, 3))) + new[: self._rng.randint(0, 1)]
        known += [plaintext for plaintext in new if len(plaintext) > 16]
        records = {id_of(record): record for record in (sealer.record(DATA, plaintext) for plaintext in new)}
        asked = {id_: self._model.asked.get(("record", sealer.keyring_id, id_), raw) for id_, raw in records.items()}
        repeated = [sealer.record(DATA, plaintext) for plaintext in again]
        return operations.uploading(backed_up, *asked.values(), repeated=repeated)

    def _commit(self) -> Operation:
        backed_up = self._rng.choice(self._jobs)
        sealer = backed_up.sealer
        held = [raw for name, raw in self._model.kept.items() if _is_chunk(name, raw, sealer.keyring_id)]
        chunks = self._rng.sample(held, min(len(held), self._rng.randint(1, 5)))
        # The same chunks make the same block, and one that is sealed anew is another record of the same id.
        if {id_of(raw) for raw in chunks} in [set(used[:-3]) for used in self._model.used.values()]:
            return self._upload()
        roots = {name[2]: root for name, root in self._model.kept.items() if name[:2] == ("safeset", sealer.job_id)}
        number = max(roots, default=0)
        previous = blake3(roots[number]).digest() if number else bytes(32)
        self._following.append(("run and run key", partial(operations.beginning, backed_up)))
        return operations.committing(backed_up, chunks, number + 1, previous)

    def _begin(self) -> Operation:
        return operations.beginning(self._rng.choice(self._jobs))

    def _end(self) -> Operation:
        backed_up = self._rng.choice(self._jobs)
        self._following.append(("run and run key", partial(operations.beginning, backed_up)))
        return operations.ending(backed_up)

    def _job(self) -> Operation:
        """Its keyring with the slots is the next step."""
        agent = self._jobs[0].agent
        new = new_job(agent, self._rng.randbytes(6).hex())
        self._following.append(("keyring and slots", partial(operations.keyring_for_job, agent, new)))
        return operations.creating(self._administrator, new)

    def _account(self) -> Operation:
        return operations.opening_account(self._administrator, self._rng.randbytes(6).hex())


def _is_chunk(name: tuple, raw: object, keyring_id: bytes) -> bool:
    return name[:2] == ("record", keyring_id) and isinstance(raw, bytes) and raw[:4] == b"SSR1" and raw[6] == DATA


_STEPS: dict[str, tuple[int, Callable[[Scenario], Operation]]] = {
    "upload": (30, Scenario._upload),
    "roll-over": (15, Scenario._roll_over),
    "safeset": (15, Scenario._commit),
    "run and run key": (6, Scenario._begin),
    "end of a run": (4, Scenario._end),
    "job": (10, Scenario._job),
    "account": (5, Scenario._account),
    "checkpoint": (8, lambda self: operations.checkpoint),
    "closing and opening": (7, lambda self: operations.closing),
}

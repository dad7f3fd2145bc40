"""Compares the vault's newest safeset of a job with the last one that this agent saw countersigned.

A vault that was rolled back is noticed here as long as the agent keeps its state; a newer head is followed in `chain`.
"""

from pathlib import Path
from typing import Protocol

from tools.agent.state import KnownHead
from tools.client.failure import Failure
from tools.client.root import Root, root_hash


class ToldHead(Protocol):
    """What the vault says, in a job or at a run's begin."""

    @property
    def timeline(self) -> int: ...
    @property
    def head_sequence(self) -> int: ...
    @property
    def head_hash(self) -> bytes: ...


def check_head(known: KnownHead, told: ToldHead, head_path: Path) -> None:
    """`head_path` is where the known head is kept: a person may decide to give it up."""
    if told.timeline != known.timeline:
        message = f"it is on timeline {told.timeline}, this agent knows timeline {known.timeline}"
        raise rolled_back(message, head_path)
    if told.head_sequence < known.sequence:
        raise rolled_back(
            f"its newest safeset of this job is {told.head_sequence}, but it countersigned safeset {known.sequence}",
            head_path,
        )
    if told.head_sequence == known.sequence and told.head_hash.hex() != known.root_hash:
        raise rolled_back(f"its safeset {known.sequence} is not the one that it countersigned", head_path)


def newer_head(head: KnownHead, kept: KnownHead | None) -> KnownHead:
    return head if kept is None or (kept.timeline, kept.sequence) <= (head.timeline, head.sequence) else kept


def check_restored(known: KnownHead | None, root: Root, encoded: bytes, wanted_sequence: int) -> None:
    """The safeset that a vault hands out must be the one that was asked for, and not older than it may be."""
    if wanted_sequence and root.sequence != wanted_sequence:
        message = f"the vault answered with safeset {root.sequence}, not {wanted_sequence}"
        raise Failure("damaged", message, "ask its operator")
    if known is None:
        return
    position, known_position = (root.timeline, root.sequence), (known.timeline, known.sequence)
    if position == known_position and root_hash(encoded).hex() != known.root_hash:
        message = f"the vault's safeset {known.sequence} is not the one that it countersigned"
        raise Failure("damaged", message, "ask its operator")
    if not wanted_sequence and position < known_position:
        raise Failure(
            "damaged",
            f"the vault calls safeset {root.sequence} its latest, but it countersigned safeset {known.sequence}",
            f"to restore what it has, name it: --safeset {root.sequence}",
        )


def rolled_back(message: str, head_path: Path) -> Failure:
    return Failure(
        "damaged",
        f"the vault went back in time or lost safesets: {message}",
        "nothing was sent; ask the vault's operator. If the vault was brought back from an older copy and you accept"
        f" that later safesets are lost, remove {head_path}: the next run goes on from the vault's newest safeset",
    )

"""The pace of a run."""

from dataclasses import dataclass

MEMORY_BUDGET_BYTES = 48 * 1024 * 1024
# Between two provisional safesets: each costs a look-up of what it holds at the vault.
PROVISIONAL_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How much contents may be under way, and how often a provisional safeset is made."""

    memory_budget_bytes: int = MEMORY_BUDGET_BYTES
    provisional_seconds: float = PROVISIONAL_SECONDS

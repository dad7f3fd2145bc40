"""The one local setting beside state directory and vault, in `agent.toml` there: how much memory the agent may take.

All else is decided where jobs are made, so every other name in the file is refused.
"""

import importlib
import re
from dataclasses import dataclass
from pathlib import Path

from tools.client.failure import Failure

NAME = "agent.toml"
MIB = 1024 * 1024
CONTENTS_BYTES_MAX = 48 * MIB
CONTENTS_BYTES_MIN = 8 * MIB
# What a backup or restore takes beside contents: the programs themselves, and what is known of the last safeset.
BESIDE_BYTES = 144 * MIB
# Contents are there as they were read, sealed, and on their way.
COPIES = 2
MEMORY_LIMIT_BYTES_MIN = BESIDE_BYTES + COPIES * CONTENTS_BYTES_MIN
_FILE_BYTES_MAX = 64 * 1024
_UNITS = {"MiB": MIB, "GiB": 1024 * MIB}
_SIZE = re.compile(r"([1-9][0-9]{0,5}) ?(MiB|GiB)")


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """None is no limit beyond the program's own budgets."""

    memory_limit_bytes: int | None = None

    @property
    def contents_bytes(self) -> int:
        """What contents of files may take that are under way."""
        if self.memory_limit_bytes is None:
            return CONTENTS_BYTES_MAX
        return min(CONTENTS_BYTES_MAX, (self.memory_limit_bytes - BESIDE_BYTES) // COPIES)


def load_local_settings(state: Path) -> LocalSettings:
    path = state / NAME
    try:
        with path.open("rb") as handle:
            data = handle.read(_FILE_BYTES_MAX)
    except FileNotFoundError:
        return LocalSettings()
    try:
        # Loaded here, because most states have no such file. Both ways not to be TOML are a ValueError.
        values: dict[str, object] = importlib.import_module("tomllib").loads(data.decode())
    except ValueError as error:
        raise _refusal(path, f"is no TOML: {error}") from None
    for name in values:
        if name != "memory_limit":
            raise _refusal(path, f"has the setting {name!r}; `memory_limit` is the only one")
    return LocalSettings(_memory_limit(path, values["memory_limit"]) if values else None)


def _memory_limit(path: Path, value: object) -> int:
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise _refusal(path, f"has memory_limit = {value!r}, which is no size")
    limit_bytes = int(found[1]) * _UNITS[found[2]]
    if limit_bytes < MEMORY_LIMIT_BYTES_MIN:
        raise _refusal(path, f"has memory_limit = {value!r}; the least is {MEMORY_LIMIT_BYTES_MIN // MIB}MiB")
    return limit_bytes


def _refusal(path: Path, what: str) -> Failure:
    return Failure("usage", f"{path} {what}", 'it looks like: memory_limit = "256MiB"')

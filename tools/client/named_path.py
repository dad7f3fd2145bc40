"""The path of an option: an empty one is refused, because it stands for a shell variable that was not set.

`Path("")` is the current directory, and nobody who wrote `--target "$target"` meant that.
"""

from pathlib import Path
from typing import Any

import click

from tools.client.failure import Failure


class NamedPath(click.Path):
    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            name = "a path" if param is None else param.opts[0]
            raise Failure("usage", f"{name} is empty", "the shell variable that should name it may not be set")
        return super().convert(value, param, ctx)

"""A safeset and whoever restores it, killed or not, each time into a target of its own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.tools.agent.conftest import PASSWORD, Site
from tests.tools.agent.restore.killer import Killer
from tests.tools.agent.restore.owned_tree import described, write_tree
from tools.agent.restore.metadata import Rights
from tools.agent.restore.restore import Destination, Restored, prepare_root, restore
from tools.agent.restore.survey import Overwrite
from tools.agent.safeset.entries import wanted_paths
from tools.agent.safeset.unlock import Unlocked, Wanted, unlock


@dataclass
class Case:
    """`owner` restores; `target` is made anew for each number. `paths` are asked for; without any, everything."""

    site: Site
    unlocked: Unlocked
    overwrite: Overwrite
    owner: int
    directory: Path
    paths: tuple[str, ...] = ()
    included: tuple[str, ...] = ()

    @property
    def target(self) -> Path:
        return self.directory / "target"

    @property
    def restored_source(self) -> Path:
        return self.target / self.site.source.relative_to("/")

    async def restore(self) -> Restored:
        destination = Destination(self.target, self.overwrite, Rights())
        paths = wanted_paths([bytes(self.site.source / path) for path in self.paths])
        os.setegid(self.owner)
        os.seteuid(self.owner)
        try:
            return await restore(self.unlocked, paths, destination, lambda *_: None)
        finally:
            os.seteuid(0)
            os.setegid(0)

    async def killed_at(self, number: int) -> bool:
        """Whether it had so many calls."""
        with pytest.MonkeyPatch.context() as patch:
            killer = Killer(patch, number)
            try:
                await self.restore()
            except BaseException:
                if not killer.is_dead:
                    raise
            return killer.is_dead

    def wanted(self) -> dict[str, tuple[object, ...]]:
        """The source, or of it the files that are asked for or included, with what is above them."""
        everything, files = described(self.site.source), self.paths or self.included
        way = {str(part) for path in files for part in (Path(path), *Path(path).parents)}
        return {name: facts for name, facts in everything.items() if not files or name in way}

    def of_the_source(self, told: Sequence[tuple[bytes, str]]) -> list[tuple[bytes, str]]:
        """What is above it has an owner whom not everybody can set."""
        return [(path, code) for path, code in told if path.startswith(bytes(self.site.source)[1:])]

    @contextmanager
    def begun(self, prepare: Callable[[Path], None] | None = None) -> Iterator[Case]:
        """With a target of its own."""
        with tempfile.TemporaryDirectory(dir=self.directory) as name:
            os.chmod(name, 0o711)
            one = replace(self, directory=Path(name))
            prepare_root(one.target)
            os.chown(one.target, self.owner, self.owner)
            if prepare is not None:
                prepare(one.restored_source)
            yield one


async def made_case(site: Site, overwrite: Overwrite, owner: int, directory: Path) -> Case:
    write_tree(site.source, owner)
    assert (await site.back_up()).missed.kept == []
    unlocked = await unlock(site.agent.session, site.state, Wanted("job", None, 0), PASSWORD)
    return Case(site, unlocked, overwrite, owner, directory)

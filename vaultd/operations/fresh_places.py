"""Directories in which something new is made: where the making fails, what was made goes and what was there stays."""

import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


class FreshPlaces:
    """Looks at directories, which may be missing, before anything is made in them."""

    def __init__(self, places: Iterable[Path]) -> None:
        self._places = list(places)
        self._there = {place: set(os.listdir(place)) for place in self._places if place.is_dir()}
        self._missing = {path for place in self._places for path in (place, *place.parents) if not path.exists()}

    def remove_made(self) -> None:
        """As far as that can be done: the failure that led here is the one to tell of."""
        for place in self._places:
            with suppress(OSError):
                for name in set(os.listdir(place)) - self._there.get(place, set()):
                    _remove(place / name)
        # The deepest first; one that somebody else has put something into meanwhile stays.
        for path in sorted(self._missing, key=lambda path: len(path.parts), reverse=True):
            with suppress(OSError):
                path.rmdir()


def _remove(path: Path) -> None:
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()

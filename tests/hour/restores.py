"""The end of the hour: every live safeset is restored and held against what its source was."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.end_to_end.conftest import restored
from tests.hour.computer import Computer
from tests.hour.manifest import compare, manifest_of
from tests.hour.report import Restored
from tests.hour.site import HourSite

Live = list[tuple[Computer, dict[str, Any]]]
_DONE, _PROVISIONAL = 0, 3


def list_live(site: HourSite, computers: Sequence[Computer]) -> Live:
    """As the vault says it now; what it should say besides is told."""
    live = []
    for computer in computers:
        done = site.run_safeset(computer.place, "list")
        if done.exit_code:
            raise RuntimeError(f"the safesets of {computer.place.job} cannot be listed: {done.error}")
        computer.miss(done.last)
        live += [(computer, one) for one in done.last]
    return live


def restore_all(site: HourSite, live: Live, tell: Callable[[int], None]) -> Restored:
    found = Restored()
    for done, (computer, listed) in enumerate(live, 1):
        target = site.root / "back"
        restore_one(site, computer, listed, target, found)
        tell(done)
    return found


def restore_one(site: HourSite, computer: Computer, listed: dict[str, Any], target: Path, found: Restored) -> None:
    place, number = computer.place, listed["number"]
    where = f"{place.job}, safeset {number}"
    if number not in computer.manifests:
        found.failed.append(f"{where}: nobody made it")
        return
    done = site.restore_safeset(place, number, target)
    if done.exit_code != (_DONE if listed["complete"] else _PROVISIONAL):
        found.failed.append(f"{where}: its restore ended with {done.exit_code}: {done.error[-500:]}")
    back = manifest_of(restored(target, site.tree(place)))
    compared = compare(computer.manifests[number], back, is_part=not listed["complete"])
    found.missing += [f"{where}: {path}" for path in compared.missing]
    found.different += [f"{where}: {path}" for path in compared.different]
    found.extra += [f"{where}: {path}" for path in compared.extra]
    found.safesets += 1
    found.provisional += not listed["complete"]
    found.files += sum(facts[0] == "file" for facts in back.values())
    shutil.rmtree(target, ignore_errors=True)

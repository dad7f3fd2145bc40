"""Index or catalog cut short under a daemon that runs, as by a file system that lost a part of it: the daemon ends, and
the next start has everything that was acknowledged.
"""

import os
import shutil
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Site, differences, restored

COMPUTER, JOB = "laptop", "home"
PAGE = 4096


@pytest.fixture
def source(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    source.mkdir()
    for number in range(40):
        (source / f"file-{number}").write_bytes(os.urandom(30_000))
    (source / "large").write_bytes(os.urandom(3_000_000))
    return source


def is_gone(site: Site) -> bool:
    return site.daemon is None or site.daemon.poll() is not None


@pytest.mark.parametrize("name", ["index", "catalog"])
def test_an_image_cut_under_the_daemon_ends_it_and_loses_nothing(site: Site, source: Path, name: str) -> None:
    site.create_account("acme")
    site.register("acme", COMPUTER)
    site.create_job("acme", COMPUTER, JOB, source)
    site.backup(COMPUTER, JOB)
    before = site.directory / "before"
    shutil.copytree(source, before)
    with (site.vault / name / "data.mdb").open("r+b") as file:
        file.truncate(2 * PAGE)
    (source / "new").write_bytes(os.urandom(500_000))
    answers = [site.run_agent(COMPUTER, "backup", JOB).exit_code for _ in range(2)]
    assert 0 not in answers, "an image without pages acknowledged a run"
    assert site.daemon is not None
    if not is_gone(site):
        site.kill()
    else:
        assert site.daemon.returncode != 0
        assert site.daemon.stdout is not None
        site.daemon.stdout.close()
        site.daemon = None
    site.start()
    told = [line for line in site.log_lines() if line.get("event") == "recovery"]
    assert [line["place"] for line in told] == [str(site.vault / name)]
    assert f"renamed to {name}.damaged" in told[0]["problem"]
    target = site.directory / "target"
    site.restore(COMPUTER, JOB, target)
    assert differences(before, restored(target, source)) == []
    summary = site.backup(COMPUTER, JOB)
    assert site.stop() == 0
    checked = site.check()
    assert (checked.exit_code, checked.last["findings"]) == (0, [])
    assert summary["safeset"] == 2

"""Each tool backs up and restores what it was given; peers are small fakes under their names."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from benchmarks.measure import Command, measure_together
from benchmarks.tools.every_tool import TOOLS, versions
from benchmarks.tools.syncs import Syncs
from tests.benchmarks.fake_programs import write_programs

MEASURED = {
    "wall_seconds",
    "agent_cpu_seconds",
    "vault_cpu_seconds",
    "agent_peak_anonymous_bytes",
    "vault_peak_anonymous_bytes",
}


@pytest.fixture
def peers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Fakes in front of the PATH."""
    directory = tmp_path / "programs"
    directory.mkdir()
    write_programs(directory)
    monkeypatch.setenv("PATH", f"{directory}{os.pathsep}{os.environ['PATH']}")
    return directory


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", list(TOOLS))
@pytest.mark.usefixtures("peers")
def test_what_was_backed_up_comes_back(name: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "below").mkdir(parents=True)
    (source / "below" / "one").write_bytes(os.urandom(70_000))
    (source / "two").write_bytes(b"two" * 2000)
    old = contents(source)
    with TOOLS[name](tmp_path / "place") as tool:
        first = tool.backup("first", 3, source)
        (source / "two").write_bytes(os.urandom(9_000))
        tool.backup("changed", 3, source)
        tool.restore("restore", 3, tmp_path / "newest")
        tool.restore("older", 3, tmp_path / "older", back=1)
        with tool.cold():
            tool.restore("one", 3, tmp_path / "one", path=source / "below" / "one")
        kept = tool.stored_bytes()
    assert contents(tmp_path / "newest" / source.relative_to("/")) == contents(source)
    assert contents(tmp_path / "older" / source.relative_to("/")) == old
    assert contents(tmp_path / "one") == {str((source / "below" / "one").relative_to("/")): old["below/one"]}
    assert (first["tool"], first["case"], first["round"]) == (name, "first", 3)
    assert first.keys() >= MEASURED
    assert first["added_bytes"] >= 70_000
    assert kept >= first["stored_bytes"] + 9_000
    assert first["suite"] == {"safeset": "aes-256-cbc", "safeset-gcm": "aes-256-gcm"}.get(name, first["suite"])
    assert first["compression"]
    assert "restore" in first["durability"]


@pytest.mark.parametrize("name", ["safeset", "restic"])
@pytest.mark.usefixtures("peers")
def test_agents_at_once_store_all_that_they_have(name: str, tmp_path: Path) -> None:
    sources = [tmp_path / "data" / str(agent) for agent in range(3)]
    for source in sources:
        source.mkdir(parents=True)
        (source / "own").write_bytes(os.urandom(40_000))
    with TOOLS[name](tmp_path / "place") as tool:
        sample = tool.backup_together("together", 0, sources)
    assert sample["added_bytes"] >= 120_000


@pytest.mark.usefixtures("peers")
def test_borg_lets_one_agent_in(tmp_path: Path) -> None:
    with TOOLS["borg"](tmp_path / "place") as tool, pytest.raises(ValueError, match="one agent"):
        tool.backup_together("together", 0, [tmp_path, tmp_path])


@pytest.mark.usefixtures("peers")
def test_what_serves_below_an_agent_is_the_vaults(tmp_path: Path) -> None:
    """The fake counts for a while in its `serve`."""
    (tmp_path / "source").mkdir()
    with TOOLS["borg-serve"](tmp_path / "place") as tool:
        sample = tool.backup("first", 0, tmp_path / "source")
    assert sample["vault_cpu_seconds"] > 0.1
    assert sample["agent_cpu_seconds"] >= 0
    assert sample["vault_peak_anonymous_bytes"] > 8 << 20


@pytest.mark.usefixtures("peers")
def test_an_end_that_is_not_good_is_told(tmp_path: Path) -> None:
    with TOOLS["restic"](tmp_path / "place") as tool, pytest.raises(RuntimeError, match="No such file"):
        tool.backup("first", 0, tmp_path / "nowhere")


@pytest.mark.usefixtures("peers")
def test_programs_say_their_versions() -> None:
    assert versions()["borg"] == "7.8.9"
    assert versions()["rclone"] == "v9.8.7"


def test_a_file_system_that_is_synced_counts(tmp_path: Path) -> None:
    syncs = Syncs(tmp_path / "syncs")
    code = "import ctypes, os, sys; ctypes.CDLL(None).syncfs(os.open(sys.argv[1], os.O_RDONLY))"
    measure_together([syncs.traced(Command([sys.executable, "-c", code, str(tmp_path)]), "agent-0")])
    assert syncs.counted([]) == {"agent_syncs": 1, "vault_syncs": 0}


def test_syncs_are_counted_for_the_side_that_makes_them(tmp_path: Path) -> None:
    """One of an agent, two of what it started for the vault, three of the vault's own, the first of which is older."""
    syncs = Syncs(tmp_path / "syncs")
    code = "import os, sys; f = open(sys.argv[1], 'w'); [os.fsync(f.fileno()) for _ in range(int(sys.argv[2]))]"
    writes = [sys.executable, "-c", code, str(tmp_path / "file")]

    def vault(times: int) -> None:
        trace = tmp_path / "syncs" / "vault"
        before = trace.read_bytes() if trace.exists() else b""
        measure_together([syncs.traced(Command([*writes, str(times)]), "vault")])
        trace.write_bytes(before + trace.read_bytes())

    vault(1)
    syncs.begin()
    vault(2)
    both = f'{sys.executable} -c "{code}" file 1; echo $$ >pid; exec {sys.executable} -c "{code}" file 2'
    started = Command(["sh", "-c", both], None, tmp_path)
    measure_together([syncs.traced(started, "agent-0")])
    served = [int((tmp_path / "pid").read_text())]
    assert syncs.counted(served) == {"agent_syncs": 1, "vault_syncs": 4}
    assert syncs.counted([]) == {"agent_syncs": 3, "vault_syncs": 2}

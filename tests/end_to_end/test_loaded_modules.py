"""What a backup has loaded at its end, where it did what nearly every backup does."""

from pathlib import Path

from tests.end_to_end.conftest import Site, run_python
from tests.support.trees import write_tree

PROGRAM = """
import sys
from tools.agent.__main__ import main
try:
    main()
finally:
    print(*sys.modules, file=sys.stderr)
"""
# For excludes, for a state with settings, for the first run and new keys, for restores, for people and for a service.
UNUSED = (
    "pathspec", "tomllib", "tools.agent.keys.first_keyring", "tools.agent.keys.newer_keys", "tools.client.slot",
    "cryptography.x509", "cryptography.hazmat.primitives.serialization", "pickle", "tools.agent.restore",
    "tools.agent.safeset.unlock", "tools.client.passwords", "getpass", "tools.client.invite_code", "rich",
    "tools.agent.service", "asyncio", "multiprocessing", "http", "email",
)  # fmt: skip


def test_a_backup_loads_only_what_it_uses(site: Site, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    write_tree(source, small_files=10)
    site.create_account("acme")
    site.register("acme", "pc")
    site.create_job("acme", "pc", "all", source)
    site.backup("pc", "all")
    done = run_python("-c", PROGRAM, "--state", site.state("pc"), "backup", "all")
    loaded = done.error.split()
    assert (done.exit_code, done.last["safeset"]) == (0, 2)
    assert [name for name in UNUSED if name in loaded] == []
    assert "tools.agent.run.pipeline" in loaded

"""The unit file: systemd takes it, it names the right program and place, and locks nothing that a restore needs."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tools.agent.local_settings import MIB
from tools.agent.service.service_unit import unit_text

# Each makes a mount namespace, a device filter, or forbids what a restore to / does.
NEVER = ["Protect", "Private", "ReadOnly", "ReadWrite", "Inaccessible", "TemporaryFileSystem", "RestrictSUIDSGID"]
NEVER += ["DynamicUser", "DevicePolicy", "SystemCallFilter", "RootDirectory", "BindPaths"]


def values(text: str, key: str) -> list[str]:
    return [line.partition("=")[2] for line in text.splitlines() if line.startswith(f"{key}=")]


def test_it_says_what_is_run_and_how() -> None:
    text = unit_text(Path("/opt/safeset/bin/vault-agent"), Path("/var/lib/vault-agent"), None)
    assert values(text, "ExecStart") == ['"/opt/safeset/bin/vault-agent" --state "/var/lib/vault-agent" serve']
    wanted = {
        "Type": ["notify"], "Restart": ["on-failure"], "KillMode": ["mixed"], "Nice": ["10"],
        "IOSchedulingClass": ["best-effort"], "IOSchedulingPriority": ["7"], "NoNewPrivileges": ["yes"],
        "MemoryMax": [], "LimitCORE": ["0"],
    }  # fmt: skip
    assert {key: values(text, key) for key in wanted} == wanted


def test_the_limit_holds_for_a_backup_a_restore_and_the_service_itself() -> None:
    text = unit_text(Path("/v"), Path("/s"), 256 * MIB)
    assert values(text, "MemoryMax") == ["576M"]


def test_it_hides_nothing_from_a_backup_and_forbids_no_restore() -> None:
    lines = unit_text(Path("/v"), Path("/s"), 256 * MIB).splitlines()
    assert [line for line in lines if line.startswith(tuple(NEVER))] == []
    capabilities = " ".join(values("\n".join(lines), "CapabilityBoundingSet")).split()
    # Owners, modes, devices, attributes, and reading what is somebody else's.
    assert {"CAP_CHOWN", "CAP_FOWNER", "CAP_FSETID", "CAP_MKNOD", "CAP_SETFCAP", "CAP_DAC_READ_SEARCH"} <= set(
        capabilities
    )


@pytest.mark.parametrize("name", ["state", "state of a $pc 100%\"'\\"])
def test_systemd_takes_it(tmp_path: Path, name: str) -> None:
    verify = shutil.which("systemd-analyze")
    assert verify, "systemd-analyze is missing: apt-get install systemd"
    program = tmp_path / "vault-agent"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / "safeset-agent.service"
    unit.write_text(unit_text(program, tmp_path / name, 256 * MIB))
    done = subprocess.run([verify, "verify", str(unit)], capture_output=True, text=True, check=False)
    assert [line for line in done.stderr.splitlines() if "safeset-agent" in line or str(tmp_path) in line] == []
    assert done.returncode == 0, done.stderr

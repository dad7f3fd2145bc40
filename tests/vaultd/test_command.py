"""The vaultd command from outside: init, check, errors and exit codes."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def vaultd(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vaultd", *map(str, words)], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_init_makes_a_vault_whose_files_the_documents_name(tmp_path: Path) -> None:
    done = vaultd("init", tmp_path / "v", "--name", "Nord", "--place", "Ort", "--listen", "127.0.0.1:0", "--json")
    assert done.returncode == 0
    created = json.loads(done.stdout)
    assert set(created) == {"url", "ca", "context"}
    settings = tomllib.loads((tmp_path / "v" / "vault.toml").read_text())
    assert (settings["name"], settings["place"]) == ("Nord", "Ort")
    assert created["url"] == f"https://{settings['listen']}"
    assert not settings["listen"].endswith(":0")
    context = json.loads(Path(created["context"]).read_text())
    assert os.stat(created["context"]).st_mode & 0o777 == 0o600
    assert context["url"] == created["url"]
    assert context["ca"] == Path(created["ca"]).read_text()
    assert (context["version"], context["role"], context["account"], context["agent_keys"]) == (1, "operator", None, {})
    assert len(bytes.fromhex(context["token"])) == 32
    assert os.stat(tmp_path / "v").st_mode & 0o777 == 0o700


def test_init_verifies_with_openssl(tmp_path: Path) -> None:
    vaultd("init", tmp_path / "v", "--listen", "127.0.0.1:0")
    wanted = ["-verify_ip", "127.0.0.1", "-purpose", "sslserver"]
    verified = subprocess.run(
        ["openssl", "verify", "-CAfile", "authority.pem", *wanted, "server.pem"],
        cwd=tmp_path / "v", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert verified.stdout == "server.pem: OK\n"


def test_init_refuses_a_directory_that_is_not_empty(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = vaultd("--json", "init", tmp_path)
    assert done.returncode == 6
    assert done.stderr.startswith(f"error: {tmp_path} is not empty\nhint: ")
    assert json.loads(done.stdout)["code"] == "conflict"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_init_uses_the_named_disks(tmp_path: Path) -> None:
    done = vaultd("init", tmp_path / "v", "--listen", "127.0.0.1:0", "--disk", tmp_path / "a", "--disk", tmp_path / "b")
    assert done.returncode == 0
    assert (tmp_path / "a" / "disk.id").stat().st_size == (tmp_path / "b" / "disk.id").stat().st_size == 64
    assert not (tmp_path / "v" / "disk-1").exists()


def test_a_wrong_address_is_a_usage_error(tmp_path: Path) -> None:
    done = vaultd("init", tmp_path / "v", "--listen", "8443")
    assert done.returncode == 2
    assert "--listen: listen must be HOST:PORT" in done.stderr
    assert not (tmp_path / "v").exists()


def test_a_directory_without_a_vault_is_not_found(tmp_path: Path) -> None:
    for command in ("serve", "check"):
        done = vaultd(command, tmp_path)
        assert done.returncode == 4
        assert "vault.toml does not exist" in done.stderr


def test_unknown_words_are_usage_errors_with_json_too() -> None:
    done = vaultd("paint", "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["type"] == "error"


def test_check_of_a_new_vault_finds_nothing(tmp_path: Path) -> None:
    vaultd("init", tmp_path / "v", "--listen", "127.0.0.1:0")
    done = vaultd("check", tmp_path / "v", "--read-data", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["findings"] == []


def test_check_exits_9_on_damage(tmp_path: Path) -> None:
    vaultd("init", tmp_path / "v", "--listen", "127.0.0.1:0")
    (journal,) = (tmp_path / "v" / "disk-1" / "journal").iterdir()
    with journal.open("r+b") as handle:
        handle.seek(120)
        handle.write(b"\xff\xff\xff\xff")
    done = vaultd("check", tmp_path / "v")
    assert done.returncode == 9
    assert "damage found" in done.stdout


def test_help_does_not_wait_for_the_heavy_parts() -> None:
    code = (
        "import sys, vaultd.__main__; sys.exit(any(m in sys.modules for m in ('trio', 'cryptography', 'h2', 'lmdb')))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_the_version_is_that_of_the_distribution() -> None:
    code = "from vaultd.server.version import VAULTD_VERSION; print(VAULTD_VERSION)"
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert told.strip() == project["version"]

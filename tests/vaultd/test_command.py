"""The vaultd command from outside: init, check, errors and exit codes."""

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import pytest

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


def holds_for(directory: Path, *wanted: str) -> bool:
    done = subprocess.run(
        ["openssl", "verify", "-CAfile", "authority.pem", *wanted, "-purpose", "sslserver", "server.pem"],
        cwd=directory, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout == "server.pem: OK\n"


def test_init_takes_the_names_by_which_others_reach_it(tmp_path: Path) -> None:
    hosts = ("--host", "vault.example", "--host", "192.0.2.10", "--host", "2001:db8::7")
    done = vaultd("init", tmp_path / "v", "--listen", "0.0.0.0:8443", *hosts, "--json")
    assert json.loads(done.stdout)["url"] == "https://vault.example:8443"
    assert holds_for(tmp_path / "v", "-verify_hostname", "vault.example")
    assert holds_for(tmp_path / "v", "-verify_ip", "192.0.2.10")
    assert holds_for(tmp_path / "v", "-verify_ip", "2001:db8::7")
    assert not holds_for(tmp_path / "v", "-verify_hostname", "other.example")
    assert "vault.example, 192.0.2.10, 2001:db8::7" in done.stderr


def test_init_on_every_address_takes_those_of_the_machine(tmp_path: Path) -> None:
    done = vaultd("init", tmp_path / "v", "--listen", "0.0.0.0:8443", "--json")
    local = re.findall(r"\|-- ([0-9.]+)\n +/32 host LOCAL", Path("/proc/net/fib_trie").read_text())
    own = [address for address in local if not address.startswith("127.")]
    host = str(urlsplit(json.loads(done.stdout)["url"]).hostname)
    if own:
        assert host in own
        assert holds_for(tmp_path / "v", "-verify_ip", host)
    assert holds_for(tmp_path / "v", "-verify_hostname", socket.gethostname())
    assert "note: its certificate is for " in done.stderr


def test_the_page_says_how_to_be_known_by_another_name(tmp_path: Path) -> None:
    vaultd("init", tmp_path / "v", "--listen", "127.0.0.1:0")
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    lines = [line.removeprefix("$ ").removeprefix("cd /srv/vault && ") for line in page.splitlines()]
    commands = [line for line in lines if line.startswith(("openssl ", "printf "))]
    assert len(commands) == 3
    subprocess.run(["sh", "-ec", "\n".join(commands)], cwd=tmp_path / "v", capture_output=True, check=True)
    assert holds_for(tmp_path / "v", "-verify_hostname", "vault.example", "-x509_strict")
    assert holds_for(tmp_path / "v", "-verify_ip", "192.0.2.10", "-x509_strict")


def test_init_refuses_a_host_that_is_none(tmp_path: Path) -> None:
    done = vaultd("init", tmp_path / "v", "--host", "https://vault.example")
    assert done.returncode == 2
    assert "--host: 'https://vault.example' is neither a host name nor an address" in done.stderr
    assert not (tmp_path / "v").exists()


def test_the_page_says_how_to_make_another_operator(tmp_path: Path) -> None:
    directory = tmp_path / "v"
    vaultd("init", directory, "--listen", "127.0.0.1:0")
    lost = json.loads((directory / "operator.context").read_text())
    (directory / "operator.context").unlink()
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    (command,) = [line for line in page.splitlines() if "create_operator" in line]
    words = shlex.split(command.removeprefix("$ "))[1:-2]
    subprocess.run([sys.executable, *words, directory, lost["url"]], cwd=ROOT, check=True)
    made = json.loads((directory / "operator.context").read_text())
    assert made.pop("token") != lost.pop("token")
    assert made == lost


def test_init_refuses_a_directory_that_is_not_empty(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = vaultd("--json", "init", tmp_path)
    assert done.returncode == 6
    assert done.stderr.startswith(f"error: {tmp_path} is not empty\nhint: ")
    assert json.loads(done.stdout)["code"] == "conflict"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("disks", [["a", "a"], ["a", "a/b"], ["a/b", "a"], ["v"], ["."], ["a", "link"]])
def test_init_refuses_a_directory_that_is_named_twice_or_lies_in_another(tmp_path: Path, disks: list[str]) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "a")
    words = [word for disk in disks for word in ("--disk", str(tmp_path / disk))]
    done = vaultd("init", tmp_path / "v", "--listen", "127.0.0.1:0", *words)
    assert (done.returncode, "give each disk a directory of its own" in done.stderr) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["link"]


@pytest.mark.parametrize(
    "disk",
    [
        "v/index", "v/catalog", "v/index/disk", "v/index.rebuilding", "v/catalog.before-rebuild", "v/index.damaged",
        "v/catalog.damaged.newest", "v/lock", "v/vault.toml", "v/operator.context", "other.before-rebuild", "link",
    ],
)  # fmt: skip
def test_init_refuses_a_disk_where_the_vault_keeps_its_own(tmp_path: Path, disk: str) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "v/index")
    done = vaultd("init", tmp_path / "v", "--listen", "127.0.0.1:0", "--disk", tmp_path / disk)
    assert (done.returncode, "give each disk a directory of its own" in done.stderr) == (2, True)
    (sentence, hint) = done.stderr.splitlines()
    assert str(tmp_path / disk) in sentence
    assert [path.name for path in tmp_path.iterdir()] == ["link"]


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


def test_the_hint_of_a_wrong_word_names_the_help_of_its_command(tmp_path: Path) -> None:
    assert vaultd("check", tmp_path, "--readdata").stderr.endswith("\nhint: see `vaultd check --help`\n")
    assert vaultd("serve").stderr.endswith("\nhint: see `vaultd serve --help`\n")
    assert vaultd("unknown").stderr.endswith("\nhint: see `vaultd --help`\n")


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
    assert done.stdout.splitlines()[-1] == "damage found; records were not read (--read-data)"
    assert "checked 1 disk, " in done.stdout
    assert "_" not in done.stdout.splitlines()[-2]


def test_help_does_not_wait_for_the_heavy_parts() -> None:
    code = (
        "import sys, vaultd.__main__; sys.exit(any(m in sys.modules for m in ('trio', 'cryptography', 'h2', 'lmdb')))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_every_program_tells_its_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for module, name in (("vaultd", "vaultd"), ("tools.vaultctl", "vaultctl"), ("tools.agent", "vault-agent")):
        done = subprocess.run(
            [sys.executable, "-m", module, "--version"], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.stdout == f"{name} {project['version']}\n"


def test_the_version_is_that_of_the_distribution() -> None:
    code = "from vaultd.server.version import VAULTD_VERSION; print(VAULTD_VERSION)"
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert told.strip() == project["version"]


def test_an_empty_directory_is_not_the_current_one(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for words, name in (
        (("init", ""), "the directory"),
        (("init", "v", "--disk", ""), "--disk"),
        (("serve", ""), "the directory"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "vaultd", *words],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr.splitlines()[0]) == (2, f"error: {name} is empty")
        assert not list(tmp_path.iterdir())

"""Small programs under the names of peers: they copy directories where the real ones store."""

from __future__ import annotations

import sys
from pathlib import Path

RESTIC = """
import json, os, pathlib, shutil, sys, tempfile
if sys.argv[1] == "version":
    print("restic 1.2.3 compiled with care")
    sys.exit()
assert os.environ["RESTIC_PASSWORD"] and pathlib.Path(os.environ["RESTIC_CACHE_DIR"]).name.startswith("cache-")
url, certificate, (verb, *words) = sys.argv[2], pathlib.Path(sys.argv[4]), sys.argv[5:]
assert url.startswith("rest:https://127.0.0.1:"), url
pathlib.Path(os.environ["RESTIC_CACHE_DIR"]).mkdir(exist_ok=True)
tempfile.NamedTemporaryFile().close()
store = certificate.parent / "stored"
made = sorted(path.name for path in store.iterdir())
if verb == "init":
    assert words == ["--repository-version", "2"]
elif verb == "backup":
    source = pathlib.Path(words[-1])
    shutil.copytree(source, store / f"{len(made):04}" / source.relative_to("/"))
elif verb == "snapshots":
    print(json.dumps([{"id": name} for name in made]))
elif verb == "restore":
    if "--include" in words:
        path = pathlib.Path(words[-1])
        target = pathlib.Path(words[2]) / path.relative_to("/")
        target.parent.mkdir(parents=True)
        shutil.copy(store / words[0] / path.relative_to("/"), target)
    else:
        shutil.copytree(store / words[0], words[2], dirs_exist_ok=True)
"""
RCLONE = """
import socket, sys
if sys.argv[1] == "version":
    print("rclone v9.8.7")
    sys.exit()
host, port = sys.argv[sys.argv.index("--addr") + 1].split(":")
with socket.create_server((host, int(port))) as listening:
    while True:
        listening.accept()[0].close()
"""
BORG = """
import os, pathlib, shutil, subprocess, sys, tempfile
if sys.argv[1] == "--version":
    print("borg 7.8.9")
    sys.exit()
if sys.argv[1] == "serve":
    kept = b"x" * (8 << 20)
    spent = sum(number * number for number in range(8_000_000))
    sys.exit()
verb, words = sys.argv[1], sys.argv[2:]
assert os.environ["BORG_PASSPHRASE"]
pathlib.Path(os.environ["BORG_BASE_DIR"]).mkdir(exist_ok=True)
tempfile.NamedTemporaryFile().close()
place, _, name = next(word for word in words if "/stored" in word).partition("::")
if place.startswith("ssh://localhost/"):
    subprocess.run([os.environ["BORG_RSH"], "localhost", "borg", "serve"], check=True)
    place = place.removeprefix("ssh://localhost")
store = pathlib.Path(place)
if verb == "init":
    assert words[:2] == ["--encryption", "repokey-blake2"]
    store.mkdir()
elif verb == "create":
    assert words[:2] == ["--compression", "zstd,3"]
    source = pathlib.Path(words[-1])
    shutil.copytree(source, store / name / source.relative_to("/"))
elif len(words) == 2:
    pathlib.Path(words[1]).parent.mkdir(parents=True)
    shutil.copy(store / name / words[1], words[1])
else:
    shutil.copytree(store / name, ".", dirs_exist_ok=True)
"""
PROGRAMS = {"restic": RESTIC, "rclone": RCLONE, "borg": BORG}


def write_programs(directory: Path, *names: str) -> None:
    for name in names or PROGRAMS:
        path = directory / name
        path.write_text(f"#!{sys.executable}\n{PROGRAMS[name]}", encoding="utf-8")
        path.chmod(0o755)

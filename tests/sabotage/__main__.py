"""Runs every patch of this folder: `python -m tests.sabotage [NAME…]`.

A patch begins with two lines, `promise:` and `test:`. The test must pass on a copy as it is, and fail on one with the
patch applied; a patch that does not apply, or a test that passes all the same, is an error. Exit 1 unless all were
noticed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
WORKERS = 2


@dataclass(frozen=True, slots=True)
class Patch:
    path: Path
    promise: str
    test: str


def read_patch(path: Path) -> Patch:
    fields = dict(line.split(": ", 1) for line in path.read_text(encoding="utf-8").splitlines()[:2])
    return Patch(path, fields["promise"], fields["test"])


def copy_project(target: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def run_tests(tree: Path, tests: Iterable[str]) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", *tests]
    environment = os.environ | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("CI", None)  # there pytest draws differences of megabytes, for minutes; here only the exit counts
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, check=False)


def pass_as_they_are(tests: set[str]) -> bool:
    """All of them at once, in one copy: a test that fails anyway would notice every patch."""
    with tempfile.TemporaryDirectory(prefix="safeset-sabotage-") as name:
        tree = Path(name)
        copy_project(tree)
        done = run_tests(tree, sorted(tests))
    if done.returncode != 0:
        print(f"the tests do not pass as they are:\n{done.stdout.decode()[-4000:]}")
    return done.returncode == 0


def judge(patch: Patch) -> str | None:
    """None when the test noticed, else what went wrong."""
    with tempfile.TemporaryDirectory(prefix="safeset-sabotage-") as name:
        tree = Path(name)
        copy_project(tree)
        applied = subprocess.run(
            ["patch", "-p1", "--quiet", "--fuzz=0", "-i", str(patch.path)], cwd=tree, capture_output=True, check=False
        )
        if applied.returncode != 0:
            return f"the patch does not apply: {applied.stdout.decode()}{applied.stderr.decode()}"
        after = run_tests(tree, patch.test.split())
        if after.returncode == 0:
            return "NOT NOTICED: the test passes with the patch applied"
        if after.returncode != 1:
            return f"the test did not run (exit {after.returncode}):\n{after.stdout.decode()[-2000:]}"
    return None


def main(names: list[str]) -> int:
    patches = [read_patch(path) for path in sorted(HERE.glob("*.patch")) if not names or path.stem in names]
    if not pass_as_they_are({test for patch in patches for test in patch.test.split()}):
        return 1
    with ThreadPoolExecutor(WORKERS) as pool:
        verdicts = list(pool.map(judge, patches))
    for patch, verdict in zip(patches, verdicts, strict=True):
        print(f"{'noticed' if verdict is None else 'FAILED ':8} {patch.path.stem:36} {patch.promise}")
        if verdict:
            print(f"         {verdict}")
    noticed = sum(verdict is None for verdict in verdicts)
    print(f"{noticed} of {len(patches)} noticed")
    return 0 if patches and noticed == len(patches) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

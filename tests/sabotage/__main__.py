"""Runs every patch of this folder: `python -m tests.sabotage [NAME…]`.

A patch begins with two lines, `promise:` and `test:`. The test must pass on a copy as it is, and fail on one with the
patch applied; a patch that does not apply, or a test that passes all the same, is an error. Exit 1 unless all were
noticed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
WORKERS = 2
BATCHES = 4 * WORKERS  # of the tests as they are
_OPTIONS = ("-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", "-W", "ignore::pytest.PytestAssertRewriteWarning")
_CHANGED_FILE = re.compile(r"^--- a/(.+)$", re.MULTILINE)

T = TypeVar("T")
R = TypeVar("R")


# What a failed test left open may end pytest with another code, after it has said so.
_FAILED = re.compile(r"^(=+ )?[0-9]+ failed\b", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Patch:
    path: Path
    promise: str
    test: str
    files: list[str]


def read_patch(path: Path) -> Patch:
    text = path.read_text(encoding="utf-8")
    fields = dict(line.split(": ", 1) for line in text.splitlines()[:2])
    return Patch(path, fields["promise"], fields["test"], _CHANGED_FILE.findall(text))


class Tree:
    """A copy of the project, broken by one patch after another. What is compiled of the other files stays valid."""

    def __init__(self, path: Path) -> None:
        self._path = path
        for name in project_files():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, path / name)
        self._environment = os.environ | {"PYTHONPATH": str(path)}
        self._environment.pop("CI", None)  # there pytest draws differences of megabytes, for minutes
        self._runner = subprocess.Popen(
            [sys.executable, "-m", "tests.sabotage.forked_pytest"],
            cwd=path,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def close(self) -> None:
        self._runner.communicate()

    def judge(self, patch: Patch) -> str | None:
        """None when the test noticed, else what went wrong."""
        with self._broken(patch) as refusal:
            if refusal:
                return f"the patch does not apply: {refusal}"
            code, output = self.run_tests(patch.test.split())
            if code == 0:
                return "NOT NOTICED: the test passes with the patch applied"
            if code != 1 and not _FAILED.search(output):
                return f"the test did not run (exit {code}):\n{output[-2000:]}"
        return None

    def run_tests(self, tests: list[str]) -> tuple[int, str]:
        assert self._runner.stdin is not None
        assert self._runner.stdout is not None
        self._runner.stdin.write(json.dumps([*_OPTIONS, *tests]) + "\n")
        self._runner.stdin.flush()
        code, output = json.loads(self._runner.stdout.readline())
        return code, output

    @contextmanager
    def _broken(self, patch: Patch) -> Iterator[str]:
        """With the patch applied; what is wrong where it does not apply."""
        command = ["patch", "-p1", "--quiet", "--fuzz=0", "-i", str(patch.path)]
        try:
            applied = subprocess.run(command, cwd=self._path, capture_output=True, text=True, check=False)
            yield applied.stdout + applied.stderr if applied.returncode else ""
        finally:
            for name in patch.files:
                shutil.copy2(ROOT / name, self._path / name)
                self._forget_compiled(self._path / name)

    @staticmethod
    def _forget_compiled(source: Path) -> None:
        """It is told from another version of the file by size and second alone: too little for the next patch."""
        for compiled in (source.parent / "__pycache__").glob(f"{source.stem}.*"):
            compiled.unlink()


def project_files() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    return [name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


@contextmanager
def make_trees() -> Iterator[list[Tree]]:
    with ExitStack() as opened:
        trees = []
        for _ in range(WORKERS):
            place = opened.enter_context(tempfile.TemporaryDirectory(prefix="safeset-sabotage-"))
            trees.append(Tree(Path(place)))
            opened.callback(trees[-1].close)
        yield trees


def on_free_trees(trees: list[Tree], ask: Callable[[Tree, T], R], things: Iterable[T]) -> Iterator[R]:
    """The answers in the order of the things; each tree is asked one thing at a time."""
    free: SimpleQueue[Tree] = SimpleQueue()
    for tree in trees:
        free.put(tree)

    def ask_one(thing: T) -> R:
        tree = free.get()
        try:
            return ask(tree, thing)
        finally:
            free.put(tree)

    with ThreadPoolExecutor(len(trees)) as pool:
        yield from pool.map(ask_one, things)


def pass_as_they_are(trees: list[Tree], patches: list[Patch]) -> bool:
    """A test that fails anyway would notice every patch."""
    tests = sorted({test for patch in patches for test in patch.test.split()})
    by_file = [list(group) for _, group in groupby(tests, lambda test: test.split("::")[0])]
    batches = [sum(by_file[number::BATCHES], []) for number in range(min(BATCHES, len(by_file)))]
    is_good = True
    for code, output in on_free_trees(trees, Tree.run_tests, batches):
        if code:
            print(f"the tests do not pass as they are:\n{output[-2000:]}")
            is_good = False
    return is_good


def main(names: list[str]) -> int:
    patches = [read_patch(path) for path in sorted(HERE.glob("*.patch")) if not names or path.stem in names]
    noticed = 0
    with make_trees() as trees:
        if not pass_as_they_are(trees, patches):
            return 1
        for patch, verdict in zip(patches, on_free_trees(trees, Tree.judge, patches), strict=True):
            print(f"{'noticed' if verdict is None else 'FAILED ':8} {patch.path.stem:36} {patch.promise}", flush=True)
            if verdict:
                print(f"         {verdict}", flush=True)
            noticed += verdict is None
    print(f"{noticed} of {len(patches)} noticed")
    return 0 if patches and noticed == len(patches) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The layer order, sizes and names that CONTRIBUTING.md promises, read from the code itself."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("protocol", "vaultd", "tools", "benchmarks")

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "base"}

# Upper may import lower, never the other way; parts of one row do not import each other.
LAYERS: list[tuple[str, ...]] = [
    ("vaultd.__main__",),
    ("vaultd.daemon", "vaultd.demo"),
    ("vaultd.server", "vaultd.maintenance"),
    ("vaultd.offload",),
    ("vaultd.operations",),
    ("vaultd.store", "vaultd.catalog", "vaultd.policy"),
    (
        "vaultd.records",
        "vaultd.errors",
        "vaultd.clock",
        "vaultd.config",
        "vaultd.metrics",
        "vaultd.logs",
        "vaultd.systemd",
        "vaultd.checksum",
        "vaultd.image",
    ),
]
BOTTOM = set(LAYERS[-1])
# The rooms of the store; a part that lies in none of them is below all, or above all where it is named here.
STORE_ROOMS: list[tuple[str, ...]] = [
    ("chunk_store",),
    ("housekeeping",),
    ("pending_records", "commit_entries", "check", "recovery", "store_parts"),
    ("record_reads", "scrub", "store_settings", "statistics", "damage_looks"),
    ("index", "damage_notes"),
    ("journal", "erase_keys"),
    ("containers",),
    ("disks",),
]
# The same for the rooms of the agent; `serve` is the one command that the service stands below.
AGENT_ROOMS: list[tuple[str, ...]] = [
    ("__main__",),
    ("commands.serve", "commands.unit"),
    ("service",),
    ("commands",),
    ("run", "restore"),
    ("keys",),
    ("safeset", "scan"),
    ("history", "cache", "upload"),
    ("vault", "chunks", "local"),
    ("system",),
]
TOOLS = ("tools.vaultctl", "tools.agent")
NO_TRIO = (
    "protocol",
    "vaultd.store",
    "vaultd.catalog",
    "vaultd.policy",
    "vaultd.operations",
    "vaultd.records",
    "vaultd.errors",
)
TRIO_MAY = {"protocol.tls", "protocol.transport"}
THREAD_HOPS = {"vaultd.offload", "tools.client.offload"}


def module_name(path: Path) -> str:
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> dict[str, tuple[Path, ast.Module]]:
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            found[module_name(path)] = (path, ast.parse(path.read_text(encoding="utf-8")))
    return found


def imported_names(name: str, tree: ast.Module, path: Path) -> set[str]:
    """Every module that `name` imports, as far as it is one of ours or a top-level name of somebody else."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                start = name if path.name == "__init__.py" else name.rpartition(".")[0]
                for _ in range(node.level - 1):
                    start = start.rpartition(".")[0]
                target = f"{start}.{node.module}" if node.module else start
            else:
                target = node.module or ""
            parts = {f"{target}.{alias.name}" for alias in node.names if f"{target}.{alias.name}" in modules()}
            names.update(parts)
            if len(parts) < len(node.names):
                names.add(target)
    if "importlib" in names:  # it loads modules later, by their names
        texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        names.update(texts & modules().keys())
    return names


@cache
def imports() -> dict[str, set[str]]:
    return {name: imported_names(name, tree, path) for name, (path, tree) in modules().items()}


def within(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


def layer(name: str) -> tuple[int, str] | None:
    for number, row in enumerate(LAYERS):
        for prefix in row:
            if within(name, prefix):
                return number, prefix
    return None


def test_every_module_of_the_daemon_has_a_layer() -> None:
    strangers = [name for name in modules() if within(name, "vaultd") and name != "vaultd" and layer(name) is None]
    assert strangers == []


def test_imports_go_down_only() -> None:
    wrong = []
    for name, targets in imports().items():
        mine = layer(name)
        for target in targets:
            theirs = layer(target)
            if mine and theirs and mine[1] != theirs[1]:
                siblings = mine[0] == theirs[0] and not {mine[1], theirs[1]} <= BOTTOM
                if theirs[0] < mine[0] or siblings:
                    wrong.append(f"{name} imports {target}")
            if (
                within(name, "vaultd")
                and within(target, "protocol")
                and mine
                and mine[1] not in ("vaultd.server", "vaultd.maintenance", "vaultd.daemon")
            ):
                wrong.append(f"{name} imports {target}: only the server speaks the protocol")
            if within(name, "vaultd") and within(target, "tools"):
                wrong.append(f"{name} imports {target}")
            if within(name, "tools") and within(target, "vaultd"):
                wrong.append(f"{name} imports {target}")
            if within(name, "protocol") and (within(target, "vaultd") or within(target, "tools")):
                wrong.append(f"{name} imports {target}")
    assert wrong == []


@pytest.mark.parametrize(("package", "rooms"), [("vaultd.store", STORE_ROOMS), ("tools.agent", AGENT_ROOMS)])
def test_rooms_import_down_only(package: str, rooms: list[tuple[str, ...]]) -> None:
    height = {f"{package}.{name}": number for number, row in enumerate(rooms) for name in row}

    def place(name: str) -> tuple[int, str]:
        found = [prefix for prefix in height if within(name, prefix)]
        return (height[max(found, key=len)], max(found, key=len)) if found else (len(rooms), "")

    wrong = []
    for name, targets in imports().items():
        if within(name, package):
            for target in targets:
                mine, theirs = place(name), place(target)
                if within(target, package) and mine[1] != theirs[1] and theirs[0] <= mine[0]:
                    wrong.append(f"{name} imports {target}")
    assert wrong == []
    assert {prefix for prefix in height if not any(within(name, prefix) for name in modules())} == set()


def test_tools_do_not_import_each_other() -> None:
    wrong = []
    for name, targets in imports().items():
        for tool in TOOLS:
            others = [other for other in TOOLS if other != tool]
            if within(name, tool):
                wrong += [f"{name} imports {t}" for t in targets if any(within(t, other) for other in others)]
            if within(name, "tools.client"):
                wrong += [f"{name} imports {t}" for t in targets if within(t, tool)]
    assert wrong == []


def test_only_the_shells_know_trio() -> None:
    wrong = []
    for name, targets in imports().items():
        if name in TRIO_MAY:
            continue
        if any(within(name, prefix) for prefix in NO_TRIO):
            wrong += [f"{name} imports {t}" for t in targets if within(t, "trio")]
        if within(name, "protocol"):
            wrong += [f"{name} imports {t}" for t in targets if t in ("ssl", "socket", "threading", "time")]
    assert wrong == []


def test_one_file_per_program_hops_to_threads() -> None:
    hops = {name for name, (path, _) in modules().items() if "trio.to_thread" in path.read_text(encoding="utf-8")}
    hops |= {
        name
        for name, (path, _) in modules().items()
        if "from_thread" in path.read_text(encoding="utf-8") and name not in hops
    }
    assert hops <= THREAD_HOPS


def test_no_cycles() -> None:
    graph = {name: {t for t in targets if t in modules() and t != name} for name, targets in imports().items()}
    # A part that imports its own package is a cycle: the package imports its parts.
    done: set[str] = set()
    trail: list[str] = []

    def visit(name: str) -> None:
        if name in trail:
            pytest.fail("cycle: " + " > ".join([*trail[trail.index(name) :], name]))
        if name in done:
            return
        trail.append(name)
        for target in sorted(graph[name]):
            visit(target)
        trail.pop()
        done.add(name)

    for name in graph:
        visit(name)


def test_no_import_hides_in_a_function() -> None:
    hidden = []
    for name, (_, tree) in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                hidden += [
                    f"{name}.{node.name}" for part in ast.walk(node) if isinstance(part, ast.Import | ast.ImportFrom)
                ]
    assert hidden == []


def test_sizes() -> None:
    too_long = []
    for name, (path, tree) in modules().items():
        lines = path.read_text(encoding="utf-8").count("\n")
        if lines > FILE_LINES_MAX:
            too_long.append(f"{name}: {lines} lines")
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > FUNCTION_LINES_MAX:
                    too_long.append(f"{name}.{node.name}: {length} lines")
    assert too_long == []


def test_sizes_of_tests() -> None:
    lines = {path: path.read_text(encoding="utf-8").count("\n") for path in (ROOT / "tests").rglob("*.py")}
    assert [f"{path}: {count} lines" for path, count in lines.items() if count > FILE_LINES_MAX] == []


def test_names_say_what_is_inside() -> None:
    bad = [name for name in modules() if name.rpartition(".")[2] in FORBIDDEN_NAMES]
    assert bad == []
    bare = [name for name, (_, tree) in modules().items() if not ast.get_docstring(tree)]
    assert bare == [], "each module opens with the sentence that says what it is"


def test_no_dead_public_function() -> None:
    """A function or class that nothing names, tests aside, is dead: this finds the plain cases."""
    text = "\n".join(path.read_text(encoding="utf-8") for path, _ in modules().values())
    unused = []
    for name, (_, tree) in modules().items():
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith(
                "_"
            ):
                decorated = bool(node.decorator_list) and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                if not decorated and text.count(node.name) < 2:
                    unused.append(f"{name}.{node.name}")
    assert unused == []


def test_commands_start_without_the_heavy_parts() -> None:
    code = "import sys, tools.vaultctl.__main__; sys.exit('cryptography' in sys.modules or 'trio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0

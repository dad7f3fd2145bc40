"""The documents say what the code does: promises, settings, metrics, commands, figures, words."""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from itertools import pairwise
from pathlib import Path

import click
import pytest

from benchmarks.picture import PICTURE, read_result, render_picture
from benchmarks.tables import render_tables
from tests.conftest import promised_tests
from tools.agent.__main__ import main as agent_command
from tools.vaultctl.__main__ import main as vaultctl_command
from vaultd.__main__ import main as vaultd_command
from vaultd.config import SETTINGS
from vaultd.metrics import METRICS

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"


def table_rows(page: str, heading: str) -> list[list[str]]:
    """Cells of the first table below a heading."""
    text = (DOCS / page).read_text(encoding="utf-8")
    part = text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def command_paths(command: click.Command, words: tuple[str, ...]) -> list[str]:
    if not isinstance(command, click.Group):
        return [" ".join(words)]
    context = click.Context(command)
    found = []
    for name in command.list_commands(context):
        part = command.get_command(context, name)
        assert part is not None
        found += command_paths(part, (*words, name))
    return found


def test_each_promise_has_a_test_that_exists() -> None:
    missing = []
    for node in promised_tests():
        path, _, name = node.partition("::")
        text = (ROOT / path).read_text(encoding="utf-8") if (ROOT / path).exists() else ""
        if f"def {name.split('::')[-1].split('[')[0]}(" not in text:
            missing.append(node)
    assert promised_tests()
    assert missing == []


def test_no_promise_is_written_twice() -> None:
    rows = re.findall(r"^\|[^|]+\| `tests/[^`]+` \|", (DOCS / "promises.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert [row for row, times in Counter(rows).items() if times > 1] == []


def test_each_sabotage_names_a_promised_test() -> None:
    promised = set(promised_tests())
    patches = sorted((ROOT / "tests/sabotage").glob("*.patch"))
    named = {patch.stem: patch.read_text(encoding="utf-8").splitlines()[1].removeprefix("test: ") for patch in patches}
    assert {stem: test for stem, test in named.items() if test not in promised} == {}


def test_settings_page() -> None:
    rows = table_rows("operations.md", "Settings")
    written = [(row[0].strip("`"), row[1], row[2].strip("`"), row[3]) for row in rows]
    assert written == [(s.name, s.type_name, s.default_text, s.range_text) for s in SETTINGS]


def test_metrics_page() -> None:
    written = [row[0].strip("`") for row in table_rows("operations.md", "Metrics")]
    assert written == list(METRICS)


def test_commands_page() -> None:
    text = (DOCS / "operations.md").read_text(encoding="utf-8")
    commands = [
        *command_paths(vaultd_command, ("vaultd",)),
        *command_paths(vaultctl_command, ("vaultctl",)),
        *command_paths(agent_command, ("vault-agent",)),
    ]
    assert [name for name in commands if f"`{name}`" not in text] == []
    written = re.findall(r"^\| `((?:vaultd|vaultctl|vault-agent) [a-z -]+)` \|", text, re.MULTILINE)
    assert sorted(written) == sorted(commands)


def test_tables_of_figures_are_made_from_the_raw_files() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in DOCS.glob("*.md"))
    for name, table in render_tables(DOCS / "results").items():
        assert f"<!-- table {name} -->\n{table}<!-- end -->" in text, (
            f"run `python -m benchmarks.tables`: {name} is stale"
        )


def test_fault_cases_name_tests_that_exist() -> None:
    rows = table_rows("reliability.md", "Fault cases")
    named = [name for row in rows for name in re.findall(r"`(tests/[^`]+)`", row[2])]
    assert len(rows) > 10
    assert [row[0] for row in rows if "`tests/" not in row[2]] == []
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_raw_figures_say_where_they_come_from() -> None:
    for path in (DOCS / "results").glob("*.json"):
        result = json.loads(path.read_text(encoding="utf-8"))
        assert {"commit", "versions", "seed", "start", "end", "samples"} <= result.keys(), path.name


def test_every_dependency_has_its_reason() -> None:
    text = (DOCS / "dependencies.md").read_text(encoding="utf-8")
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    names = re.findall(r'^    "([a-z0-9-]+)>=', project, re.MULTILINE)
    assert [name for name in names if f"| `{name}` |" not in text] == []


@pytest.mark.parametrize("word", ["snapshot for", "tenant", "blob", "repository of chunks"])
def test_words_of_other_projects_stay_out(word: str) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "docs", "README.md", "vaultd", "tools", "protocol"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    hits = [
        name
        for name in tracked.stdout.split()
        if name.endswith((".py", ".md"))
        and (ROOT / name).exists()
        and re.search(rf"\b{word}\b", (ROOT / name).read_text(encoding="utf-8"))
    ]
    assert hits == []


def test_readme_links_lead_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.glob("*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_what_a_restore_or_run_leaves_out_has_a_row() -> None:
    seen = {row[0].strip("`") for row in table_rows("operations.md", "When something is wrong")}
    codes = ("exists", "in the way", "exists with other metadata", "include not found", "include is empty", "offline")
    assert {f"warning: {code}" for code in codes} <= seen


def test_the_picture_of_ageing_is_of_the_raw_file() -> None:
    assert PICTURE.read_text(encoding="utf-8") == render_picture(read_result()), "run `python -m benchmarks.picture`"


def test_the_curve_of_ageing_stays_within_its_bounds() -> None:
    """Those of docs/performance.md."""
    cases: dict[str, list[dict[str, int]]] = {}
    for sample in read_result()["samples"]:
        cases.setdefault(sample["case"].partition(":")[0], []).append(sample)
    assert {case: len(samples) for case, samples in cases.items()} == {"daily": 401, "hourly": 401}
    for case, samples in cases.items():
        for before, sample in pairwise(samples):
            assert sample["chunks"] <= 2 * sample["tree_bytes"] / 2**20 + 16
            assert sample["fetched_bytes"] < 2 * sample["tree_bytes"]
            assert sample["remade_bytes"] <= max(before["tree_bytes"] / 50, 4 * 2**20)
        sent_bytes = sum(sample["sent_bytes"] for sample in samples[1:])
        assert sent_bytes < {"daily": 4, "hourly": 6}[case] * sum(sample["changed_bytes"] for sample in samples[1:])

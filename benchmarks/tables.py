"""Tables of the pages in docs/ from the raw files: `python -m benchmarks.tables`."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.compared_tables import NOT_MEASURED, compared_rows, target_rows
from benchmarks.fleet_table import fleet_rows
from benchmarks.hour_table import hour_rows
from benchmarks.judge import MET, MISSED
from benchmarks.offers_table import offers_rows
from benchmarks.targets import ALONE, COMPARED, MILLISECONDS_MAX

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
RESULTS = DOCS / "results"
MIB = 1 << 20
NOT_TRIED = "not tried"
UNITS = {"nanoseconds_per_byte": "ns per byte", "microseconds_each": "us each", "milliseconds": "ms"}


def render_tables(results: Path) -> dict[str, str]:
    """Name -> markdown table (with its line of origin): every raw file there is, what is to be compared and has none
    yet, and all targets.
    """
    found = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(results.glob("*.json"))}
    tables = {name: f"{NOT_MEASURED}\n" for name in COMPARED + ALONE}
    tables["hour"] = f"{NOT_TRIED}\n"
    tables |= {name: render(result) for name, result in found.items()}
    compared = {name: result for name, result in found.items() if name in COMPARED}
    return tables | {"targets": "\n".join(target_rows(compared)) + "\n"}


def render(result: dict[str, Any]) -> str:
    cases: dict[str, list[dict[str, Any]]] = {}
    for sample in result["samples"]:
        cases.setdefault(sample["case"], []).append(sample)
    rows = rows_of(cases, result)
    versions = ", ".join(f"{name} {version}" for name, version in sorted(result["versions"].items()))
    commit = f"commit {result['commit'][:12]}" + (" with changes" if result.get("dirty") else "")
    machine = f"{commit}, {result['machine']['processor']}, {result['machine']['cores']} cores"
    if result["machine"].get("is_shared"):
        machine += ", which others used meanwhile"
    origin = f"docs/results/{result['scenario']}.json, {result['start']}, {machine}, {versions}."
    return "\n".join(rows) + "\n\n" + origin + "\n"


def rows_of(cases: dict[str, list[dict[str, Any]]], result: dict[str, Any]) -> list[str]:
    """The scenario says it, or what is in a sample."""
    name, sample = result["scenario"], result["samples"][0]
    if name in COMPARED:
        return compared_rows(result)
    if name == "offers":
        return offers_rows(cases, result["scale"])
    if name in OF_ONE_SAMPLE:
        return OF_ONE_SAMPLE[name](sample)
    if name in OF_CASES:
        return OF_CASES[name](cases)
    if "nanoseconds_per_byte" in sample:
        return per_byte(cases)
    if "bytes_read" in sample:
        return after_a_kill(cases)
    if "changed_bytes" in sample:
        return aged(cases)
    if "agent_cpu_seconds" not in sample:
        return vault_alone(cases)
    return whole_runs(cases)


def per_byte(cases: dict[str, list[dict[str, Any]]]) -> list[str]:
    lines = ["| step, one thread | ns per byte (median, min-max) |", "|---|---|"]
    for case, samples in cases.items():
        values = [sample["nanoseconds_per_byte"] for sample in samples]
        lines.append(f"| {case} | {median(values):.2f} ({min(values):.2f}-{max(values):.2f}) |")
    return lines


def each(cases: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Figures of different kinds under each other: for a byte, for each of what the case names, and for one start."""
    lines = ["| step | cost (median, min-max) |", "|---|---|"]
    for case, samples in cases.items():
        name = next(name for name in UNITS if name in samples[0])
        unit = UNITS[name]
        values = [sample[name] for sample in samples]
        figure = f"{median(values):.2f} ({min(values):.2f}-{max(values):.2f}) {unit}"
        if case in MILLISECONDS_MAX:
            verdict = MET if median(values) <= MILLISECONDS_MAX[case] else MISSED
            case, figure = f"{case} (at most {MILLISECONDS_MAX[case]} ms)", f"{figure}, {verdict}"
        lines.append(f"| {case} | {figure} |")
    return lines


def profiled(cases: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Seconds of each kind of work, the largest first."""
    lines = ["| case | side | wall s | CPU s | of it |", "|---|---|---|---|---|"]
    for case, samples in cases.items():
        for side in dict.fromkeys(sample["side"] for sample in samples):
            parts = sorted((one for one in samples if one["side"] == side), key=lambda one: -one["cpu_seconds"])
            together = sum(one["cpu_seconds"] for one in parts)
            named = ", ".join(f"{one['part']} {one['cpu_seconds']:.2f}" for one in parts if one["cpu_seconds"] >= 0.01)
            lines.append(f"| {case} | {side} | {parts[0]['wall_seconds']:.2f} | {together:.2f} | {named} |")
    return lines


def lined(cases: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Medians of the parts, in the order of time."""
    lines = [
        "| round trip | rounds | wall s (median, min-max) | until the first byte | questions before the file "
        "| its bytes at the line's rate | line not filled meanwhile | after its last byte |",
        "|---|---|---|---|---|---|---|---|",
    ]
    parts = ("started_seconds", "asked_seconds", "sent_seconds", "not_filled_seconds", "ended_seconds")
    for case, samples in cases.items():
        walls = [sample["wall_seconds"] for sample in samples]
        figures = " | ".join(f"{median(sample[part] for sample in samples):.2f}" for part in parts)
        spread = f"{median(walls):.2f} ({min(walls):.2f}-{max(walls):.2f})"
        lines.append(f"| {case} | {len(samples)} | {spread} | {figures} |")
    return lines


def vault_alone(cases: dict[str, list[dict[str, Any]]]) -> list[str]:
    lines = ["| case | rounds | wall s (median, min-max) | CPU s | peak anonymous MiB |", "|---|---|---|---|---|"]
    for case, samples in cases.items():
        walls = [sample["wall_seconds"] for sample in samples]
        processor = median(sample["vault_cpu_seconds"] for sample in samples)
        memory = max(sample["vault_peak_anonymous_bytes"] for sample in samples) / MIB
        spread = f"{median(walls):.2f} ({min(walls):.2f}-{max(walls):.2f})"
        lines.append(f"| {case} | {len(samples)} | {spread} | {processor:.1f} | {memory:.0f} |")
    return lines


def after_a_kill(cases: dict[str, list[dict[str, Any]]]) -> list[str]:
    (whole,), (killed,), (again,) = cases.values()
    lines = ["| case | wall s | files | read MiB | uploaded MiB | in the vault, MiB |", "|---|---|---|---|---|---|"]
    for case, (sample,) in cases.items():
        read, stored = sample["bytes_read"] / MIB, sample["stored_bytes"] / MIB
        figures = f"{sample['files']:,} | {read:.1f} | {shown(sample, 'uploaded_bytes', MIB)} | {stored:.1f}"
        lines.append(f"| {case} | {sample['wall_seconds']:.2f} | {figures} |")
    seconds = killed["wall_seconds"] + again["wall_seconds"]
    read_again = killed["bytes_read"] + again["bytes_read"] - whole["bytes_read"]
    stored_again = again["stored_bytes"] - whole["stored_bytes"]
    together = f"{seconds:.2f} s together, {seconds / whole['wall_seconds']:.2f} times the unbroken run"
    more = f"{read_again / MIB:.1f} MiB read again, {stored_again / MIB:.1f} MiB stored beside what that run stores"
    return [*lines, "", f"{together}; {more}."]


def aged(cases: dict[str, list[dict[str, Any]]]) -> list[str]:
    """The first sample of a case is the first backup; the most of the others counts."""
    lines = [
        "| before each run | runs | tree MiB | chunks first / most | chunks for each MiB, most "
        "| bytes fetched for each that is restored, most | read again in one run, most "
        "| bytes sent for each that changed | stored MiB first / last |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for case, (first, *samples) in cases.items():
        last, changed_bytes = samples[-1], sum(sample["changed_bytes"] for sample in samples)
        shares = [sample["fetched_bytes"] / sample["tree_bytes"] for sample in samples]
        remade = [100 * sample["remade_bytes"] / sample["tree_bytes"] for sample in samples]
        lines.append(
            f"| {case} | {len(samples)} | {last['tree_bytes'] / MIB:.1f} "
            f"| {first['chunks']} / {max(sample['chunks'] for sample in samples)} "
            f"| {max(MIB * sample['chunks'] / sample['tree_bytes'] for sample in samples):.2f} | {max(shares):.2f} "
            f"| {max(sample['remade_bytes'] for sample in samples) / MIB:.1f} MiB ({max(remade):.1f} %) "
            f"| {sum(sample['sent_bytes'] for sample in samples) / changed_bytes:.2f} "
            f"| {first['stored_bytes'] / MIB:.1f} / {last['stored_bytes'] / MIB:.1f} |"
        )
    return lines


def tortured(cases: dict[str, list[dict[str, Any]]]) -> list[str]:
    (losses,), (under_kills,), kills = cases["power losses"], cases["kills"], cases.get("kill", [])
    rows = losses_in_power(losses) if losses["seeds"] else [("simulated power losses: seeds", NOT_TRIED)]
    is_tried = kills or any(under_kills[found] for found in ("losses", "resent", "other"))
    rows += losses_under_kills(under_kills, kills) if is_tried else [("real kills -9", NOT_TRIED)]
    return ["| what | figure |", "|---|---|", *(f"| {name} | {figure} |" for name, figure in rows)]


def losses_in_power(losses: dict[str, Any]) -> list[tuple[str, str]]:
    failed = len(losses["failures"])
    return [
        ("simulated power losses: seeds", f"{losses['seeds']:,}"),
        ("falls in them, also in recovery", f"{losses['falls']:,}"),
        ("points (step, call, file) hit", f"{len(losses['points']):,}"),
        ("seeds that lost something", f"{failed:,}"),
        ("95 % bound of a loss, a seed (a seed is one trial, its falls are not)", below(losses["seeds"], failed)),
    ]


def losses_under_kills(found: dict[str, Any], kills: list[dict[str, Any]]) -> list[tuple[str, str]]:
    lost = len(found["losses"])
    restarts = [kill["restart_seconds"] for kill in kills if kill["restart_seconds"] is not None]
    return [
        ("real kills -9", f"{len(kills):,}"),
        *((f"of them: {target}", f"{count:,}") for target, count in Counter(kill["target"] for kill in kills).items()),
        ("kills during upload", f"{sum(kill['waiting_bytes'] > 0 for kill in kills):,}"),
        ("records acknowledged under kills", f"{found['acknowledged_records']:,}"),
        ("restores compared", f"{found['restores']:,}"),
        ("losses under kills", f"{lost:,}"),
        ("acknowledged bytes sent again", f"{found['resent_bytes']:,}"),
        ("slowest restart", f"{max(restarts):.2f} s" if restarts else NOT_TRIED),
        ("95 % bound of a loss, a kill (a kill is one trial)", below(len(kills), lost)),
    ]


def below(trials: int, lost: int) -> str:
    """The rule of three."""
    return f"{300 / trials:.3f} %" if trials and not lost else "none"


def whole_runs(cases: dict[str, list[dict[str, Any]]]) -> list[str]:
    lines = [
        "| case | rounds | wall s (median, min-max) | CPU s agent / vault | peak anonymous MiB agent / vault "
        "| chunks | uploaded MiB |",
        "|---|---|---|---|---|---|---|",
    ]
    for case, samples in cases.items():
        walls = [sample["wall_seconds"] for sample in samples]
        agent, vault = (
            max(sample[f"{side}_peak_anonymous_bytes"] for sample in samples) / MIB for side in ("agent", "vault")
        )
        cpu = " / ".join(
            f"{median(sample[f'{side}_cpu_seconds'] for sample in samples):.1f}" for side in ("agent", "vault")
        )
        last = samples[-1]
        lines.append(
            f"| {case} | {len(samples)} | {median(walls):.2f} ({min(walls):.2f}-{max(walls):.2f}) "
            f"| {cpu} | {agent:.0f} / {vault:.0f} "
            f"| {shown(last, 'new_chunks', 1)} | {shown(last, 'uploaded_bytes', MIB)} |"
        )
    return lines


def shown(sample: dict[str, Any], name: str, unit: int) -> str:
    if name not in sample:
        return "-"
    return f"{sample[name]:,}" if unit == 1 else f"{sample[name] / unit:.1f}"


# By scenario, where its name says how it is shown.
OF_CASES: dict[str, Callable[[dict[str, list[dict[str, Any]]]], list[str]]] = {
    "torture": tortured,
    "micro": each,
    "start": each,
    "profile": profiled,
    "long_line": lined,
}
OF_ONE_SAMPLE: dict[str, Callable[[dict[str, Any]], list[str]]] = {"hour": hour_rows, "agents": fleet_rows}


def write_tables() -> None:
    tables = render_tables(RESULTS)
    for page in sorted(DOCS.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        for name, table in tables.items():
            marked = f"<!-- table {name} -->\n{table}<!-- end -->"
            text = re.sub(
                rf"<!-- table {name} -->\n.*?<!-- end -->", lambda _, marked=marked: marked, text, flags=re.DOTALL
            )
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_tables()

"""Compares two raw files of one scenario: `python -m benchmarks.compare OLD.json NEW.json [--json]`.

Exit 1 when a figure of ours is more than 10 % higher than before, 2 when the files cannot be compared, or when the new
one lacks a case of ours. Peers that stand in both files say how much slower or faster the machine itself was; they
never change the exit code.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.targets import OURS

SLOWER_MAX = 1.10
FIGURES = {"wall_seconds": "s", "nanoseconds_per_byte": "ns/B", "microseconds_each": "us"}

Key = tuple[str, str, str]
"""Case, tool, figure; a file of ours alone names no tool."""


class NotComparable(ValueError):
    """Says why, in one sentence."""


@dataclass(frozen=True, slots=True)
class Compared:
    """`ratio`: new median over old; `peers`: the same of the peers in this case, 0 where there are none in both."""

    case: str
    tool: str
    unit: str
    old: float
    new: float
    ratio: float
    peers: float

    @property
    def is_slower(self) -> bool:
        return self.ratio > SLOWER_MAX


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("old", type=Path, help="a raw file of docs/results, as it was before")
    parser.add_argument("new", type=Path, help="one of the same scenario, scale and machine")
    parser.add_argument("--json", action="store_true", help="one JSON object for each case in place of the table")
    arguments = parser.parse_args(words)
    try:
        rows = compare(read_result(arguments.old), read_result(arguments.new))
    except NotComparable as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    for line in map(json.dumps, map(asdict, rows)) if arguments.json else table(rows):
        print(line)
    return int(any(row.is_slower for row in rows))


def read_result(path: Path) -> dict[str, Any]:
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NotComparable(f"{path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise NotComparable(f"{path} is no JSON: name a raw file of docs/results") from None
    lacking = {"scenario", "machine", "samples"} - (result.keys() if isinstance(result, dict) else set())
    if lacking:
        raise NotComparable(f"{path} has no {min(lacking)}: name a raw file of docs/results")
    return dict(result)


def compare(old: dict[str, Any], new: dict[str, Any]) -> list[Compared]:
    """Of each case of ours, sorted. Errors: NotComparable."""
    for name, values in facts_of(old, new):
        if values[0] != values[1]:
            raise NotComparable(f"the {name} differs ({values[0]}, {values[1]}): measure both on one")
    before, after = medians(old), medians(new)
    ours = sorted(key for key in before if key[1] in ("", *OURS))
    lost = [" ".join(key[:2]).strip() for key in ours if key not in after]
    if lost:
        raise NotComparable(f"the new file lacks what the old one has: {', '.join(dict.fromkeys(lost))}")
    rows = []
    for key in ours:
        case, tool, figure = key
        peers = [
            after[other] / before[other]
            for other in before.keys() & after.keys()
            if other[0] == case and other[2] == figure and other[1] and other[1] not in OURS
        ]
        ratio = after[key] / before[key]
        rows.append(
            Compared(case, tool, FIGURES[figure], before[key], after[key], ratio, median(peers) if peers else 0.0)
        )
    if not rows:
        raise NotComparable("the old file has no case of ours")
    return rows


def facts_of(old: dict[str, Any], new: dict[str, Any]) -> Iterator[tuple[str, tuple[Any, Any]]]:
    yield "scenario", (old["scenario"], new["scenario"])
    yield "scale", (old.get("scale"), new.get("scale"))
    sizes_before, sizes_after = source_bytes(old), source_bytes(new)
    for case in sizes_before.keys() & sizes_after.keys():
        yield f"size of the data of {case}", (sizes_before[case], sizes_after[case])
    for name in ("processor", "cores"):
        yield f"machine's {name}", (old["machine"].get(name), new["machine"].get(name))
    before, after = settings(old), settings(new)
    for key in before.keys() & after.keys():
        yield f"{key[1]} of {key[0]}", (before[key], after[key])


def source_bytes(result: dict[str, Any]) -> dict[str, int | None]:
    """Of the first sample of each case; a scale may have been made larger or smaller since."""
    return {sample["case"]: sample.get("source_bytes") for sample in reversed(result["samples"])}


def settings(result: dict[str, Any]) -> dict[tuple[str, str], str]:
    """Suite and compression of each tool of ours."""
    samples = [sample for sample in result["samples"] if sample.get("tool") in OURS]
    names = ("suite", "compression")
    return {(sample["tool"], name): sample[name] for sample in samples for name in names if name in sample}


def medians(result: dict[str, Any]) -> dict[Key, float]:
    found: dict[Key, list[float]] = {}
    for sample in result["samples"]:
        for figure in FIGURES.keys() & sample.keys():
            found.setdefault((sample["case"], sample.get("tool", ""), figure), []).append(sample[figure])
    return {key: median(values) for key, values in found.items() if median(values) > 0}


def table(rows: Sequence[Compared]) -> list[str]:
    cells = [("case", "tool", "old", "new", "new / old", "peers", "")]
    for row in rows:
        peers = f"{row.peers:.2f}" if row.peers else "-"
        figures = (f"{row.old:.3f} {row.unit}", f"{row.new:.3f} {row.unit}", f"{row.ratio:.2f}")
        cells.append((row.case, row.tool or "-", *figures, peers, remark(row)))
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]


def remark(row: Compared) -> str:
    if not row.is_slower:
        return ""
    return "slower, and so were the peers: the machine" if row.peers > SLOWER_MAX else "slower"


if __name__ == "__main__":
    sys.exit(main())

"""The curves of docs/results/ageing.json as docs/ageing.svg: `python -m benchmarks.picture`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.tables import DOCS, MIB, RESULTS

PICTURE = DOCS / "ageing.svg"
WIDTH, HEIGHT, LEFT, TOP, GAP = 640, 180, 60, 40, 70
TOP_VALUE = 2.5
BOUND = 2.0
COLORS = ("#0b6e99", "#c05621")
PANELS = {
    "bytes fetched for each that is restored": lambda sample: sample["fetched_bytes"] / sample["tree_bytes"],
    "chunks for each MiB": lambda sample: MIB * sample["chunks"] / sample["tree_bytes"],
}


def render_picture(result: dict[str, Any]) -> str:
    cases: dict[str, list[dict[str, Any]]] = {}
    for sample in result["samples"]:
        cases.setdefault(sample["case"], []).append(sample)
    height = TOP + len(PANELS) * (HEIGHT + GAP)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 20} {height}" '
        'font-family="sans-serif" font-size="13">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for number, case in enumerate(cases):
        lines.append(text(LEFT + number * 260, 22, case, COLORS[number]))
    for number, (title, value) in enumerate(PANELS.items()):
        top = TOP + number * (HEIGHT + GAP)
        lines += frame(top, title, max(sample["run"] for sample in result["samples"]))
        for color, samples in zip(COLORS, cases.values(), strict=True):
            points = " ".join(f"{x(sample['run'], samples):.1f},{y(top, value(sample)):.1f}" for sample in samples)
            lines.append(f'<polyline fill="none" stroke="{color}" stroke-width="1.5" points="{points}"/>')
    return "\n".join([*lines, "</svg>"]) + "\n"


def frame(top: int, title: str, runs: int) -> list[str]:
    lines = [text(LEFT, top + 14, title, "black")]
    for step in range(6):
        value = step * TOP_VALUE / 5
        dashes = ' stroke-dasharray="6 4"' if value == BOUND else ""
        color = "#b00020" if value == BOUND else "#dddddd"
        height = y(top, value)
        lines.append(
            f'<line x1="{LEFT}" x2="{LEFT + WIDTH}" y1="{height:.1f}" y2="{height:.1f}" stroke="{color}"{dashes}/>'
        )
        lines.append(text(LEFT - 32, height + 4, f"{value:.1f}", "black"))
    bottom = y(top, 0) + 18
    return [
        *lines,
        text(LEFT, bottom, "first backup", "black"),
        text(LEFT + WIDTH - 60, bottom, f"run {runs}", "black"),
    ]


def text(x: float, y: float, words: str, color: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{color}">{words}</text>'


def x(run: int, samples: list[dict[str, Any]]) -> float:
    return LEFT + WIDTH * run / (len(samples) - 1)


def y(top: int, value: float) -> float:
    return top + 20 + HEIGHT * (1 - min(value, TOP_VALUE) / TOP_VALUE)


def read_result(path: Path = RESULTS / "ageing.json") -> dict[str, Any]:
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return result


def write_picture() -> None:
    PICTURE.write_text(render_picture(read_result()), encoding="utf-8")


if __name__ == "__main__":
    write_picture()

"""What the demo shows at its end: one screen, plain and aligned."""

from dataclasses import dataclass
from typing import Any

from vaultd.demo.copy_tree import NotCopied
from vaultd.demo.tree import COMPARE, TreeSize

DIFFERENCES_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Results:
    """Figures of the two backups and the restore as the agent told them, and of the trees as they lie on disk."""

    not_copied: NotCopied
    before: TreeSize
    after: TreeSize
    first: dict[str, Any]
    second: dict[str, Any]
    restore: dict[str, Any]
    restored: TreeSize
    changed: str
    container_bytes: int
    differences: list[str]
    compare_seconds: float

    @property
    def identical(self) -> bool:
        return not self.differences and self.restored == self.after

    @property
    def sentence(self) -> str:
        verdict = "identical" if self.identical else "DIFFERENT"
        return f"restored {self.restored.files} files, {self.restored.size_bytes} bytes: {verdict}"


def render_results(results: Results) -> str:
    protected = results.before.size_bytes + results.after.size_bytes
    ratio = protected / results.container_bytes if results.container_bytes else 0.0
    rows = [
        ("tree", f"{results.before.files:,} files, {size_text(results.before.size_bytes)}"),
        ("not copied", results.not_copied.text),
        ("backup 1", _backup_text(results.first)),
        ("change", results.changed),
        ("backup 2", _backup_text(results.second)),
        ("restore", _restore_text(results)),
        ("stored", f"2 safesets of together {size_text(protected)} take {size_text(results.container_bytes)} on disk"),
        ("saved", f"{ratio:.1f} : 1, equal content is stored once and compressed before encryption"),
        ("proved", f"{' '.join(COMPARE)}: {_verdict(results)} ({results.compare_seconds:.1f} s)"),
    ]
    lines = [f"{label:<12}{text}" for label, text in rows if text]
    lines += [f"{'':<12}{line}" for line in results.differences[:DIFFERENCES_SHOWN]]
    return "\n".join([*lines, "", results.sentence])


def render_commands(commands: list[str]) -> str:
    return "\n".join(["", "The vault is up. Try:", *(f"  {command}" for command in commands), "Ctrl-C ends the demo."])


def size_text(size_bytes: int) -> str:
    """Decimal units, three digits or so."""
    value = float(size_bytes)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "bytes" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def _backup_text(summary: dict[str, Any]) -> str:
    return (
        f"{summary['seconds']:.1f} s: {summary['files']:,} files, read {size_text(summary['bytes_read'])},"
        f" sent {size_text(summary['uploaded_bytes'])}, {size_text(summary['reused_bytes'])} known already"
    )


def _restore_text(results: Results) -> str:
    summary = results.restore
    pace = size_text(round(summary["bytes"] / max(summary["seconds"], 0.001)))
    return (
        f"{summary['seconds']:.1f} s: {summary['files']:,} files, {size_text(summary['bytes'])}"
        f" of safeset {results.second['safeset']} ({pace}/s)"
    )


def _verdict(results: Results) -> str:
    """rsync compares contents by checksum, and modes, owners, times and links."""
    count = len(results.differences)
    return {0: "no difference", 1: "1 difference"}.get(count, f"{count} differences")


def summary(results: Results) -> dict[str, object]:
    """The same for scripts."""
    return {
        "type": "summary",
        "identical": results.identical,
        "files": results.restored.files,
        "bytes": results.restored.size_bytes,
        "differences": results.differences[:DIFFERENCES_SHOWN],
        "container_bytes": results.container_bytes,
        "backups": [results.first, results.second],
        "restore": results.restore,
    }

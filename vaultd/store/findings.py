"""What recovery and the offline check report: where, how bad, one sentence."""

from enum import StrEnum

from msgspec import Struct


class Severity(StrEnum):
    damage = "damage"  # bytes that were acknowledged are wrong or gone
    warning = "warning"  # nothing is lost, but an operator should look
    note = "note"  # nothing is lost, and nobody has to do anything


class Finding(Struct, frozen=True):
    severity: Severity
    place: str
    sentence: str


class Findings:
    """Those of one recovery, in the order in which they were met."""

    def __init__(self) -> None:
        self.all: list[Finding] = []

    def report(self, severity: Severity, place: str, sentence: str) -> None:
        self.all.append(Finding(severity, place, sentence))

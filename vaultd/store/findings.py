"""What recovery and the offline check report: where, how bad, one sentence."""

from enum import StrEnum

from msgspec import Struct


class Severity(StrEnum):
    damage = "damage"  # bytes that were acknowledged are wrong or gone
    warning = "warning"  # nothing is lost, but an operator should look


class Finding(Struct, frozen=True):
    severity: Severity
    place: str
    sentence: str

"""How far the scrub of a vault is, in lines for people."""

from protocol import messages as m
from tools.client.units import count_text, size_text, time_text

NEVER = "no scrub of everything has ended yet"


def scrub_fields(state: m.ScrubStateAnswer | None) -> list[tuple[str, str]]:
    """Name and value of each line; none of a vault that has no scrub."""
    if state is None:
        return []
    fields = [("last scrub", NEVER if state.last is None else _last(state.last))]
    if (going := state.going) is not None:
        total = max(state.bytes_total, going.bytes)  # what was read may have been moved or removed since
        text = f"{size_text(going.bytes)} of {size_text(total)} ({100 * going.bytes // max(total, 1)} %)"
        fields.append(("scrub now", f"{text} since {time_text(going.begin_ns)}; {damage_text(going)}"))
    return fields


def damage_text(found: m.ScrubPass) -> str:
    damages = found.records_damaged + found.places_damaged
    text = f"{count_text(damages)} damaged"
    if found.records_unused:
        text += f", {count_text(found.records_unused)} more that nothing uses"
    return f"{text}, {count_text(found.unread)} containers not read" if found.unread else text


def _last(found: m.ScrubPass) -> str:
    return f"ended {time_text(found.ended_ns)} (UTC), {size_text(found.bytes)}; {damage_text(found)}"

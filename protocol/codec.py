"""Messages to msgpack and back, strictly: anything else is refused with a sentence that names the field.

Invariant: a message's bytes are capped (framing) before they come here, and a declared length is never believed: memory
follows the bytes that are there. Depth is bounded because no message type nests beyond three levels.
"""

import re
from functools import cache
from typing import TypeVar

import msgspec

from protocol.errors import ErrorCode, RemoteProtocolError
from protocol.limits import ANSWER_HEADER_BYTES_MAX

T = TypeVar("T", bound=msgspec.Struct)

_ENCODER = msgspec.msgpack.Encoder()
_PLACE = re.compile(r"^(?P<what>.*) - at `\$\.?(?P<field>[^`]*)`$", re.DOTALL)
_LENGTH = re.compile(r"^Expected `(?P<type>str|bytes|array)` of length (?P<bound>>=|<=) (?P<count>\d+)$")
_UNITS = {"str": "character", "bytes": "byte", "array": "item"}
_NAMED = re.compile(r"^Object (?P<what>contains unknown|missing required) field `(?P<field>.*)`$", re.DOTALL)


def encode(message: msgspec.Struct) -> bytes:
    return _ENCODER.encode(message)


def decode(data: bytes | bytearray | memoryview, type: type[T]) -> T:
    """Raises RemoteProtocolError(bad_request) for anything that is not exactly one `type`."""
    if len(data) > ANSWER_HEADER_BYTES_MAX:
        raise _bad(type, f"has {len(data)} bytes, the limit is {ANSWER_HEADER_BYTES_MAX}")
    try:
        return _decoder(type).decode(data)
    except msgspec.ValidationError as error:
        raise RemoteProtocolError(ErrorCode.bad_request, _sentence(type, str(error))) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _bad(type, f"is not one whole msgpack map ({str(error).rstrip('.')})") from None


@cache
def _decoder(type: type[T]) -> msgspec.msgpack.Decoder[T]:
    return msgspec.msgpack.Decoder(type)


def _sentence(type: type[msgspec.Struct], text: str) -> str:
    """What is wrong with a field, which stands first: people may have typed it. Else what is wrong with the message.

    'Expected `int`, got `str` - at `$.versions[0]`' becomes 'versions[0]: expected int, got str'.
    """
    place = _PLACE.match(text)
    what, outer = (place["what"], place["field"]) if place else (text, "")
    named = _NAMED.match(what)
    if named:
        field = f"{outer}.{named['field']}" if outer else named["field"]
        verb = "has an unknown" if named["what"].startswith("contains") else "lacks the"
        return f"the message {type.__name__} {verb} field {field[:100]}"
    if not outer:
        return f"the message {type.__name__} is wrong: {_plain(what)}"
    return f"{outer[:100]}: {_length(what) or _plain(what)}"


def _plain(what: str) -> str:
    return (what[:1].lower() + what[1:].replace("`", ""))[:200]


def _length(what: str) -> str:
    """For a length out of bounds; a lone lower bound reads as what is needed."""
    found = _LENGTH.match(what)
    if not found:
        return ""
    count, unit = int(found["count"]), _UNITS[found["type"]]
    noun = f"{unit} is" if count == 1 else f"{unit}s are"
    return f"at least {count} {noun} needed" if found["bound"] == ">=" else f"at most {count} {noun} allowed"


def _bad(type: type[msgspec.Struct], what: str) -> RemoteProtocolError:
    return RemoteProtocolError(ErrorCode.bad_request, f"the message {type.__name__} {what}")

"""The pages of an LMDB 0.9 file, read without LMDB: every tree is walked, and every page has one use.

A page that was damaged raises PageFault, whatever is in it. What a whole walk proves: every row can be found by its
key, no row is out of order or hidden from a look-up, and no page that the next write may take holds a row. What rows
say is not judged here.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from mmap import mmap
from operator import lt
from struct import Struct
from typing import NamedTuple

_PAGE = Struct("<QHHHH")  # number, padding, flags, lower, upper
_PAGES_AT = 12  # of an overflow page: how many follow one another
_META = Struct("<IIQQ")  # behind the header: magic, version, address, map size
_TREE = Struct("<IHHQQQQQ")
_END = Struct("<QQ")  # last page, transaction
_NODE = Struct("<HHHH")  # data size or page, low and high; flags; key size
_NUMBER = Struct("<Q")
_MAGIC, _VERSION = 0xBEEFC0DE, 1
_BRANCH, _LEAF, _OVERFLOW, _META_PAGE = 1, 2, 4, 8
_BIG, _TREE_ROW = 1, 2  # flags of a row: the value lies on pages of its own; it is a tree
_INTEGER_KEYS = 8
_NOTHING = 2**64 - 1
_DEPTH_MAX = 32
_FILE_BYTES_MAX = 1 << 46  # a process can map no more


class PageFault(Exception):
    """A page is not what was written; the sentence names it."""


class Tree(NamedTuple):
    padding: int
    flags: int
    depth: int
    branch_pages: int
    leaf_pages: int
    overflow_pages: int
    rows: int
    root: int


class Rows(NamedTuple):
    """Those of one leaf; a value that lies on pages of its own was put together."""

    keys: Sequence[bytes]
    values: Sequence[bytes]
    flags: Sequence[int]


class ImagePages:
    """One look through the file: read `tables`, walk each with `rows`, then call `check_free`."""

    def __init__(self, data: mmap) -> None:
        self._data = data
        self.page_bytes = self._page_bytes()
        self._last, _, self._free, self._main = max((self._meta(number) for number in (0, 1)), key=lambda meta: meta[1])
        if not 1 <= self._last < _FILE_BYTES_MAX // self.page_bytes:
            raise PageFault(f"page 0 or 1 says that the last page is {self._last}")
        # A page that nothing ever wrote may lie behind the end of the file.
        self._used = bytearray(len(data) // self.page_bytes)
        self._used[0] = self._used[1] = 1

    def tables(self) -> dict[str, Tree]:
        found = {}
        for rows in self._walk(self._main, "the list of tables"):
            for key, value, flags in zip(rows.keys, rows.values, rows.flags, strict=True):
                if flags != _TREE_ROW or len(value) != _TREE.size:
                    raise PageFault(f"the list of tables has a row {key!r} that is no table")
                tree = Tree(*_TREE.unpack(value))
                if tree.flags:
                    raise PageFault(f"the table {key!r} has the flags {tree.flags:x}")
                found[key.decode("ascii", "replace")] = tree
        return found

    def rows(self, name: str, tree: Tree) -> Iterator[Rows]:
        """Leaf by leaf, in the order of the keys."""
        for rows in self._walk(tree, f"table {name}"):
            if any(rows.flags):
                raise PageFault(f"the table {name} has a row with the flags {max(rows.flags):x}")
            yield rows

    def check_free(self) -> None:
        """Pages that the next write may take hold nothing; what nobody uses and nobody takes is no harm."""
        if self._free.flags != _INTEGER_KEYS:
            raise PageFault(f"the list of free pages has the flags {self._free.flags:x}")
        numbers: list[int] = []
        for rows in self._walk(self._free, "the list of free pages", is_free=True):
            for value in rows.values:
                numbers += _numbers(value)
        for number in numbers:
            if not 2 <= number <= self._last:
                raise PageFault(f"the list of free pages names page {number} of {self._last + 1}")
            if number < len(self._used):
                self._use(number, 1, "the list of free pages")
        if len(set(numbers)) != len(numbers):
            raise PageFault("the list of free pages names one twice")

    def _page_bytes(self) -> int:
        if len(self._data) < _PAGE.size + _META.size + _TREE.size:
            raise PageFault("the file is shorter than a page")
        page_bytes = Tree(*_TREE.unpack_from(self._data, _PAGE.size + _META.size)).padding
        if not 512 <= page_bytes <= 65536 or page_bytes & (page_bytes - 1) or 2 * page_bytes > len(self._data):
            raise PageFault(f"page 0 says that pages have {page_bytes} bytes")
        return page_bytes

    def _meta(self, number: int) -> tuple[int, int, Tree, Tree]:
        """(last page, transaction, free pages, tables)"""
        at = number * self.page_bytes
        _, _, flags, _, _ = _PAGE.unpack_from(self._data, at)
        magic, version, _, _ = _META.unpack_from(self._data, at + _PAGE.size)
        if not flags & _META_PAGE or (magic, version) != (_MAGIC, _VERSION):
            raise PageFault(f"page {number} is not the begin of an LMDB file of this version")
        at += _PAGE.size + _META.size
        free, tables = (Tree(*_TREE.unpack_from(self._data, at + place * _TREE.size)) for place in (0, 1))
        last, transaction = _END.unpack_from(self._data, at + 2 * _TREE.size)
        if tables.flags:
            raise PageFault(f"page {number} gives the list of tables the flags {tables.flags:x}")
        return last, transaction, free, tables

    def _walk(self, tree: Tree, place: str, *, is_free: bool = False) -> Iterator[Rows]:
        """Every leaf from the first to the last; the counts of the tree are compared at its end."""
        if tree.root == _NOTHING:
            if tree.rows or tree.depth:
                raise PageFault(f"{place} has no pages and should have {tree.rows} rows")
            return
        if not 1 <= tree.depth <= _DEPTH_MAX:
            raise PageFault(f"{place} should have a depth of {tree.depth}")
        branches = leaves = overflows = count = 0
        waiting: list[tuple[int, int, bytes | None, bytes | None]] = [(tree.root, 1, None, None)]
        while waiting:
            number, depth, low, high = waiting.pop()
            page = self._page(number, place)
            if depth < tree.depth:
                branches += 1
                children, keys = _branch(page, number)
                keys = [*map(_in_order, keys)] if is_free else keys
                _check_order(keys, number, low, high)
                bounds = zip(children, [low, *keys], [*keys, high], strict=True)
                waiting += [(child, depth + 1, first, end) for child, first, end in reversed(list(bounds))]
                continue
            rows, pages = self._leaf(page, number, place)
            _check_order([*map(_in_order, rows.keys)] if is_free else rows.keys, number, low, high)
            leaves, overflows, count = leaves + 1, overflows + pages, count + len(rows.keys)
            yield rows
        found = (branches, leaves, overflows, count)
        wanted = (tree.branch_pages, tree.leaf_pages, tree.overflow_pages, tree.rows)
        if found != wanted:
            raise PageFault(f"{place} has {found} branches, leaves, overflow pages and rows and should have {wanted}")

    def _leaf(self, page: bytes, number: int, place: str) -> tuple[Rows, int]:
        """The rows, and how many pages their large values take."""
        pages = 0
        offsets = _offsets(page, number, _LEAF)
        nodes = [_NODE.unpack_from(page, offset) for offset in offsets]
        keys, values = [], []
        taken = 0
        for offset, (low, high, flags, key_bytes) in zip(offsets, nodes, strict=True):
            key_end = offset + _NODE.size + key_bytes
            size = low | high << 16
            end = key_end + (_NUMBER.size if flags & _BIG else size)
            if end > len(page) or not key_bytes:
                raise PageFault(f"page {number} has a row that ends outside of it")
            taken += end - offset + 1 & ~1
            keys.append(page[offset + _NODE.size : key_end])
            if flags & _BIG:
                value, more = self._large(_NUMBER.unpack_from(page, key_end)[0], size, place)
                values.append(value)
                pages += more
            else:
                values.append(page[key_end:end])
        _check_filled(page, number, offsets, taken)
        return Rows(keys, values, [node[2] & ~_BIG for node in nodes]), pages

    def _large(self, number: int, size: int, place: str) -> tuple[bytes, int]:
        head = self._page(number, place)
        pages = int.from_bytes(head[_PAGES_AT : _PAGES_AT + 4], "little")
        if _PAGE.unpack_from(head)[2] != _OVERFLOW or not _PAGE.size + size <= pages * self.page_bytes:
            raise PageFault(f"page {number} does not begin a value of {size} bytes")
        if pages > 1:
            self._use(number + 1, pages - 1, place)
        begin = number * self.page_bytes + _PAGE.size
        return self._data[begin : begin + size], pages

    def _page(self, number: int, place: str) -> bytes:
        self._use(number, 1, place)
        page = self._data[number * self.page_bytes : (number + 1) * self.page_bytes]
        if _PAGE.unpack_from(page)[0] != number:
            raise PageFault(f"page {number} of {place} calls itself page {_PAGE.unpack_from(page)[0]}")
        return page

    def _use(self, number: int, pages: int, place: str) -> None:
        if number < 2 or number + pages - 1 > self._last:
            raise PageFault(f"{place} leads to page {number} of {self._last + 1}")
        if number + pages > len(self._data) // self.page_bytes:
            raise PageFault(f"the file ends before page {number + pages - 1} of {place}")
        if any(self._used[number : number + pages]):
            raise PageFault(f"page {number} of {place} is used twice")
        self._used[number : number + pages] = b"\1" * pages


def _offsets(page: bytes, number: int, kind: int) -> tuple[int, ...]:
    """Where the rows of a page begin; it is filled from both ends."""
    _, _, flags, lower, upper = _PAGE.unpack_from(page)
    if flags != kind or not _PAGE.size < lower <= upper <= len(page) or lower & 1:
        raise PageFault(f"page {number} is no {'leaf' if kind == _LEAF else 'branch'} with rows")
    count = (lower - _PAGE.size) // 2
    offsets = Struct(f"<{count}H").unpack_from(page, _PAGE.size)
    if min(offsets) < upper or max(offsets) > len(page) - _NODE.size:
        raise PageFault(f"page {number} has a row that begins outside of it")
    return offsets


def _in_order(key: bytes) -> bytes:
    """A number of the list of free pages, as bytes that sort as it does."""
    return key[::-1]


def _branch(page: bytes, number: int) -> tuple[list[int], list[bytes]]:
    """The children, and the first key that may be in each of them but the first."""
    offsets = _offsets(page, number, _BRANCH)
    children, keys, taken = [], [], 0
    for offset in offsets:
        least, middle, most, key_bytes = _NODE.unpack_from(page, offset)
        end = offset + _NODE.size + key_bytes
        if end > len(page):
            raise PageFault(f"page {number} has a row that ends outside of it")
        taken += end - offset + 1 & ~1
        children.append(least | middle << 16 | most << 32)
        keys.append(page[offset + _NODE.size : end])
    _check_filled(page, number, offsets, taken)
    return children, keys[1:]


def _check_order(keys: Sequence[bytes], number: int, low: bytes | None, high: bytes | None) -> None:
    if not all(map(lt, keys, keys[1:])):
        raise PageFault(f"page {number} has keys that are not in order")
    if keys and ((low is not None and keys[0] < low) or (high is not None and keys[-1] >= high)):
        raise PageFault(f"page {number} has keys that belong elsewhere")


def _check_filled(page: bytes, number: int, offsets: Sequence[int], taken: int) -> None:
    upper = _PAGE.unpack_from(page)[4]
    if taken != len(page) - upper or len(set(offsets)) != len(offsets):
        raise PageFault(f"page {number} has rows of {taken} bytes in {len(page) - upper}")


def _numbers(value: bytes) -> list[int]:
    """Page numbers of a row of the list of free pages, from the greatest to the least."""
    count = _NUMBER.unpack_from(value)[0] if len(value) >= _NUMBER.size else -1
    if not 0 <= count <= len(value) // _NUMBER.size - 1:
        raise PageFault("the list of free pages has a row that is too short")
    numbers = list(Struct(f"<{count}Q").unpack_from(value, _NUMBER.size))
    if not all(earlier > later for earlier, later in pairwise(numbers)):
        raise PageFault("the list of free pages is not in order")
    return numbers

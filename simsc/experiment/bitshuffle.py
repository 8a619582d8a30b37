"""Compressed chunks of bitshuffle, looked at before they are opened: its filter trusts every size in them.

A chunk begins with its size, 8 bytes, and that of a block, 4 bytes; then come the compressed blocks, each after its own
size, 4 bytes, and at last fewer than 8 elements as they are (https://github.com/kiyo-masui/bitshuffle, README and
`bitshuffle.c`). All sizes are big-endian. A wrong one makes the filter read beyond its memory, and ends the program.
"""

import itertools
import math
from pathlib import Path
from struct import Struct

import h5py

from simsc.core.errors import InputError

_FILTER, _WITH_SIZES = 32008, (2, 3)  # its number; LZ4 and Zstandard in it
_HEAD, _SIZE = Struct(">QI"), Struct(">I")


def check_frame(path: Path, dataset: h5py.Dataset, number: int) -> None:
    """Refuse a frame of which the sizes of compressed blocks cannot be right.

    Args:
        path: the file of the dataset.
        dataset: (n, rows, columns) frames; only those compressed by bitshuffle alone are looked at.
        number: of the frame.

    Raises:
        InputError: if they cannot.
    """
    if dataset.chunks is None or dataset.file.userblock_size:
        return
    plist = dataset.id.get_create_plist()
    if plist.get_nfilters() != 1 or plist.get_filter(0)[0] != _FILTER:
        return
    settings = plist.get_filter(0)[2]  # version, version, bytes of an element, elements of a block, compression
    if len(settings) < 5 or settings[4] not in _WITH_SIZES:
        return
    itemsize = dataset.dtype.itemsize
    edges = [range(0, n, k) for n, k in zip(dataset.shape[1:], dataset.chunks[1:], strict=True)]
    with open(path, "rb") as file:
        for corner in itertools.product([number], *edges):
            chunk = dataset.id.get_chunk_info_by_coord(corner)
            if chunk.byte_offset is None or chunk.filter_mask:
                continue
            file.seek(chunk.byte_offset)
            sizes_fit = _sizes_fit(file.read(chunk.size), math.prod(dataset.chunks), itemsize)
            if settings[2] != itemsize or not sizes_fit:
                raise InputError(
                    f"{path}: frame {number + 1} of {dataset.shape[0]} is damaged; sizes of its compressed parts do "
                    "not fit"
                )


def _sizes_fit(content: bytes, n_elements: int, itemsize: int) -> bool:
    if len(content) < _HEAD.size:
        return False
    whole, block = _HEAD.unpack_from(content)
    elements = block // itemsize
    if whole != n_elements * itemsize or block % (8 * itemsize) or not elements:
        return False
    n_blocks, rest = divmod(n_elements, elements)
    place, end, size_at = _HEAD.size, len(content) - rest % 8 * itemsize, _SIZE.unpack_from
    for _ in range(n_blocks + (rest >= 8)):
        if place + 4 > end:
            return False
        place += 4 + size_at(content, place)[0]
    return place == end

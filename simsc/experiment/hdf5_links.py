"""HDF5 files of others: links are followed within their folder only, and what was never written is not read as zeros.

A file is data, so it does not decide what else is read: HDF5 itself would follow external links, raw storage in other
files, and the sources of virtual datasets to wherever they point.
"""

import contextlib
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

from simsc.core.errors import InputError
from simsc.io.hdf5 import open_hdf5

_DEEPEST = 16  # links after one another


class LinkedFiles:
    """Open HDF5 files of one folder.

    Args:
        path: the file to begin with.
        stack: closes the files.
    """

    def __init__(self, path: Path, stack: contextlib.ExitStack) -> None:
        self.folder = path.parent.resolve()
        self._stack = stack
        self._open: dict[Path, h5py.File] = {}
        self.root = LinkedGroup(self, path, self.file(path)["/"])

    def file(self, path: Path) -> h5py.File:
        """Return an open file."""
        if path not in self._open:
            self._open[path] = self._stack.enter_context(open_hdf5(path))
        return self._open[path]

    def beside(self, path: Path, name: str, what: str) -> Path:
        """Return the file to which another refers by a name.

        Raises:
            InputError: if it is missing, or outside of the folder.
        """
        target = path.parent / name
        if not target.resolve().is_relative_to(self.folder):
            raise InputError(f"{path}: {what} links to {name}, outside of its folder; put the file beside it")
        if not target.is_file():
            raise InputError(f"{path}: {what} links to {name}, which is missing in {path.parent}")
        return target


@dataclass(frozen=True)
class LinkedGroup:
    """A group of an HDF5 file, whose links are looked at before they are followed.

    Args:
        files: to which it belongs.
        path: the file it is in.
        group: what it is for h5py.
    """

    files: LinkedFiles
    path: Path
    group: h5py.Group

    @property
    def name(self) -> str:
        """In its file."""
        return str(self.group.name)

    @property
    def attrs(self) -> Any:
        """Attributes."""
        return self.group.attrs

    def __iter__(self) -> Iterator[str]:
        return iter(self.group)

    def get(self, name: str, depth: int = 0) -> "LinkedGroup | h5py.Dataset | None":
        """Return what a name leads to, relative to the group, or from the root if it begins with a slash.

        Raises:
            InputError: if a link leads out of the folder, to a missing file, or in a circle.
        """
        if depth > _DEEPEST:
            raise InputError(f"{self.path}: the links of {self.name} go in a circle")
        here: LinkedGroup | h5py.Dataset | None = self._root() if name.startswith("/") else self
        for part in name.split("/"):
            if part in ("", "."):
                continue
            if not isinstance(here, LinkedGroup):
                return None
            here = here._step(part, depth)
        return here

    def _root(self) -> "LinkedGroup":
        return LinkedGroup(self.files, self.path, self.files.file(self.path)["/"])

    def _step(self, part: str, depth: int) -> "LinkedGroup | h5py.Dataset | None":
        link = self.group.get(part, getlink=True)
        if isinstance(link, h5py.SoftLink):
            return self.get(link.path, depth + 1)
        if isinstance(link, h5py.ExternalLink):
            target = self.files.beside(self.path, link.filename, f"{self.name.rstrip('/')}/{part}")
            return LinkedGroup(self.files, target, self.files.file(target)["/"]).get(link.path, depth + 1)
        if link is None:
            return None
        found = self.group[part]
        if isinstance(found, h5py.Group):
            return LinkedGroup(self.files, self.path, found)
        if not isinstance(found, h5py.Dataset):
            return None
        if found.external:
            raise InputError(f"{self.path}: {found.name} keeps its numbers in another file ({found.external[0][0]})")
        if found.is_virtual:
            self._check_sources(found, depth)
        return found

    def _check_sources(self, dataset: h5py.Dataset, depth: int) -> None:
        """Refuse a virtual dataset of which something would read as zeros, or comes from outside of the folder."""
        filled = 0
        for source in dataset.virtual_sources():
            target = self.path
            if source.file_name != ".":
                target = self.files.beside(self.path, source.file_name, str(dataset.name))
            root = LinkedGroup(self.files, target, self.files.file(target)["/"])
            found = root.get(source.dset_name, depth + 1)
            if not isinstance(found, h5py.Dataset):
                raise InputError(f"{target}: has no dataset {source.dset_name}, from which {dataset.name} takes frames")
            last = source.src_space.get_select_bounds()[1]
            if len(last) != found.ndim or any(k >= n for k, n in zip(last, found.shape, strict=True)):
                raise InputError(f"{target}: {source.dset_name} is smaller than {dataset.name} of {self.path} says")
            check_written(target, found)
            filled += source.vspace.get_select_npoints()
        if filled != math.prod(dataset.shape):
            raise InputError(
                f"{self.path}: {dataset.name} is put together of {filled} numbers, but has {math.prod(dataset.shape)}"
            )


def check_written(path: Path, dataset: h5py.Dataset) -> None:
    """Refuse a dataset of which parts were never written, and would read as zeros.

    Raises:
        InputError: if so; for frames, it tells how many there are.
    """
    chunks, layout = dataset.chunks, dataset.id.get_create_plist().get_layout()
    if chunks is None:
        if layout == h5py.h5d.CONTIGUOUS and dataset.size and dataset.id.get_storage_size() == 0:
            raise InputError(f"{path}: {dataset.name} was never written")
        return
    expected = math.prod(-(-n // k) for n, k in zip(dataset.shape, chunks, strict=True))
    if dataset.id.get_num_chunks() >= expected:
        return
    first = next(k for k in range(0, dataset.shape[0], chunks[0]) if not _is_stored(dataset, k))
    a_layer = expected // -(-dataset.shape[0] // chunks[0])
    whole = dataset.id.get_num_chunks() // a_layer * chunks[0]
    raise InputError(
        f"{path}: frame {first + 1} of {dataset.shape[0]} was never written; {'at most ' * (a_layer * chunks[0] > 1)}"
        f"{whole} of them are whole"
    )


def _is_stored(dataset: h5py.Dataset, first: int) -> bool:
    edges = [range(0, n, k) for n, k in zip(dataset.shape[1:], dataset.chunks[1:], strict=True)]
    corners = itertools.product([first], *edges)
    return all(dataset.id.get_chunk_info_by_coord(corner).byte_offset is not None for corner in corners)

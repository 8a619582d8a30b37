"""Sizes in compressed chunks: all that the filter writes are accepted, and wrong ones before the filter meets them."""

from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simsc.core.errors import InputError
from simsc.experiment.bitshuffle import check_frame


def write(path: Path, data: np.ndarray, chunks: tuple[int, ...], **options) -> list[int]:
    """Write frames; return where their chunks begin."""
    with h5py.File(path, "w") as file:
        frames = file.create_dataset("frames", data=data, chunks=chunks, compression=hdf5plugin.Bitshuffle(**options))
        return [frames.id.get_chunk_info(k).byte_offset for k in range(frames.id.get_num_chunks())]


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 2), st.integers(1, 90), st.integers(1, 90)),
    dtype=st.sampled_from(["u1", "u2", "u4", "i4", "u8"]),
    cname=st.sampled_from(["none", "lz4", "zstd"]),
    block=st.sampled_from([0, 8, 128, 1024]),
    split=st.booleans(),
    largest=st.integers(1, 200),
)
def test_what_the_filter_writes_is_accepted(shape, dtype, cname, block, split, largest, tmp_path_factory):
    path = tmp_path_factory.mktemp("frames") / "a.h5"
    data = np.random.default_rng(largest).integers(0, largest, shape).astype(dtype)
    write(path, data, (1, max(1, shape[1] // (1 + split)), shape[2]), cname=cname, nelems=block)
    with h5py.File(path) as file:
        for number in range(shape[0]):
            check_frame(path, file["frames"], number)
            assert (file["frames"][number] == data[number]).all()


@pytest.mark.parametrize("place", [0, 5, 7, 8, 11, 12, 15])
@pytest.mark.parametrize("cname", ["lz4", "zstd"])
def test_wrong_sizes_are_refused(cname, place, tmp_path):
    """In the head of the chunk and of its first block."""
    path = tmp_path / "a.h5"
    data = np.random.default_rng(1).poisson(0.5, (2, 70, 90)).astype("u4")
    begin = write(path, data, (1, 70, 90), cname=cname)[1]
    content = bytearray(path.read_bytes())
    content[begin + place] ^= 1
    path.write_bytes(content)
    with h5py.File(path) as file:
        check_frame(path, file["frames"], 0)
        with pytest.raises(InputError, match=r"a\.h5: frame 2 of 2 is damaged"):
            check_frame(path, file["frames"], 1)

"""Pools of processes."""

import threadpoolctl
from click.testing import CliRunner

from simsc.cli.main import cli
from simsc.core.processes import pool


def test_each_process_multiplies_matrices_with_one_thread(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    with pool(2, lambda: "") as processes:
        libraries = processes.submit(threadpoolctl.threadpool_info).result()
    threads = [library["num_threads"] for library in libraries if library["user_api"] == "blas"]
    assert len(threads) >= 2  # NumPy's and SciPy's
    assert set(threads) == {1}


def test_fits_multiply_matrices_with_one_thread(tmp_path):
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        CliRunner().invoke(cli, ["refine", "cell", str(tmp_path / "none.h5")])
        threads = {info["num_threads"] for info in threadpoolctl.threadpool_info() if info["user_api"] == "blas"}
    assert threads == {1}

"""How often the ranking of structures finds the one that a map comes from: 20 maps of hidden truth.

    python tests/benchmarks/structure_ranking.py [--maps 20] [--diameter 200] [--figure table.png] [--write]

Two maps each of the nine structures that come with simsc and of a pillar's cell (Table 1, pillar 3, before), d_NN =
16 nm, radii 7.4 ± 0.8 nm, as for the paper. Each crystal is drawn anew, in any orientation, and its NPs are moved by
5 % of d_NN; the candidates, told 3 %, are other draws. Each shell counts 10⁶ photons, and is measured where a
detector of 4 megapixels, 5.0 m away at 10 keV, turned about the vertical, sees: not in the gaps between its modules,
not beyond its edges. q1 is the first bright peak of the crystal, found anew. The truth of a stacking is the candidate
nearest to its own part of fcc-like layers.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from benchmark_tables import table_of, write_table
from scipy.spatial.transform import Rotation

from simsc.builders.defects import with_displacements
from simsc.builders.finite_crystal import with_normal_radii
from simsc.classify.stacking import stacking_sequence
from simsc.core.cell import Cell
from simsc.core.close_packing import layer_momentum_transfer
from simsc.core.intensity import ShellIntensity, shell_grid
from simsc.core.stacking import layer_kinds
from simsc.core.superlattice import Superlattice
from simsc.correlation.engine import correlate
from simsc.correlation.first_peak import first_bright_peak
from simsc.correlation.shells import shells_of_crystal
from simsc.refine.structure import CANDIDATES, cell_candidate, rank_structures
from simsc.scattering.counting import counted_shell

RESULT = table_of(__file__)
SEED = 41
D_NM, RADIUS_NM, RADIUS_STD_NM = 16.0, 7.4, 0.8
PHOTONS = 1e6
DELTA = np.arange(0, 90.5, 1.0)
Q2 = np.arange(0.42, 0.78, 0.015)
# EIGER X 4M: pixels of 75 µm; four modules of 514 rows with gaps of 37, 2070 × 2167 pixels; 10 keV, 5.0 m.
PIXEL_INV_NM = 75e-6 / 5.0 * 2 * np.pi * 10.0 / 1.239842
GAPS_PIXELS = [(514 * (k + 1) + 37 * k - 1083.5, 514 * (k + 1) + 37 * (k + 1) - 1083.5) for k in range(3)]
ALPHA = {"fcc": 1.0, "r-hcp 0.75": 0.75, "r-hcp 0.5": 0.5, "r-hcp 0.25": 0.25, "hcp": 0.0}
PILLAR_3 = Cell.from_parameters(18.2, 16.9, 17.0, 61.3, 58.1, 61.3)


def measured(q_inv_nm: np.ndarray) -> np.ndarray:
    """Tell which momentum transfers (n, 3), nm⁻¹, the detector sees; z is vertical, the axis of rotation."""
    vertical = q_inv_nm[:, 2] / PIXEL_INV_NM
    seen = (np.abs(vertical) < 1083) & (np.hypot(q_inv_nm[:, 0], q_inv_nm[:, 1]) < 1035 * PIXEL_INV_NM)
    for low, high in GAPS_PIXELS:
        # A direction and its opposite show the same, so that the one in a gap is known from the other.
        seen &= ~(((vertical > low) & (vertical < high)) & ((-vertical > low) & (-vertical < high)))
    return seen


def masked(shell: ShellIntensity) -> ShellIntensity:
    """Return what of a shell is measured."""
    directions = shell_grid(*shell.intensity.shape)[0].reshape(-1, 3)
    seen = measured(shell.q_inv_nm * directions).reshape(shell.intensity.shape)
    return ShellIntensity(shell.q_inv_nm, np.where(seen, shell.intensity, np.nan), seen)


def nearest_candidate(name: str, crystal: Superlattice) -> tuple[str, str]:
    """Return which candidate a perfect crystal is, and its part of fcc-like layers if it is a stacking.

    A ball of a dozen random layers has another part of fcc-like ones than its layers' probability, and may even be hcp.
    """
    if name not in ALPHA:
        return name, ""
    found = stacking_sequence(crystal)
    assert found is not None
    kinds = layer_kinds(found.sequence, periodic=False)[1:-1]
    part = kinds.count("c") / len(kinds)
    return min(ALPHA, key=lambda other: abs(ALPHA[other] - part)), f"{part:.2f}"


def draw(figure_file: Path, names: list[str], table: np.ndarray) -> None:
    """Draw the confusion table."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 5.6), layout="constrained")
    ax = figure.subplots()
    ax.imshow(table, cmap="Blues", vmin=0, vmax=table.max() * 1.4)
    for (i, j), value in np.ndenumerate(table):
        if value:
            ax.text(j, i, str(value), ha="center", va="center")
    ax.set_xticks(range(len(names)), names, rotation=45, ha="right")
    ax.set_yticks(range(len(names)), names)
    ax.set(xlabel="ranked first", ylabel="hidden truth", title="maps")
    figure.savefig(figure_file, dpi=150)


def main() -> None:
    """Rank all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maps", type=int, default=20)
    parser.add_argument("--diameter", type=float, default=200.0, help="of the crystals, nm")
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--figure", type=Path, help="draw the confusion table into this file")
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.name}")
    arguments = parser.parse_args()
    mean_d = float(np.linalg.norm(PILLAR_3.vectors_nm, axis=1).mean())
    candidates = [*CANDIDATES.values(), cell_candidate("pillar 3", PILLAR_3, mean_d)]
    names = [candidate.name for candidate in candidates]
    table = np.zeros((len(names), len(names)), dtype=int)
    rows = []
    for number in range(arguments.maps):
        truth = candidates[number % len(candidates)]
        rng = np.random.default_rng([SEED, number])
        d_nm = mean_d if truth.name == "pillar 3" else D_NM
        perfect = truth.draw(d_nm, arguments.diameter, rng)
        true_name, part = nearest_candidate(truth.name, perfect)
        crystal = with_displacements(perfect, 0.05 * d_nm, rng)
        turned = Superlattice(crystal.positions_nm @ Rotation.random(rng=rng).as_matrix())
        crystal = with_normal_radii(turned, RADIUS_NM, RADIUS_STD_NM, rng)
        expected = layer_momentum_transfer(d_nm)
        q1 = first_bright_peak([crystal], expected, arguments.threads) or expected
        first, second = shells_of_crystal([crystal], q1, Q2, 1e-5, arguments.threads)
        one, *others = (counted_shell(masked(shell), PHOTONS, rng) for shell in (first, *second))
        seen = correlate(one, others, DELTA, arguments.threads)
        begin = time.perf_counter()
        ranks = rank_structures(
            seen,
            arguments.diameter,
            RADIUS_NM,
            RADIUS_STD_NM,
            candidates,
            draws=arguments.draws,
            mask=measured,
            threads=arguments.threads,
        )
        table[names.index(true_name), names.index(ranks[0].name)] += 1
        rows.append(
            {
                "drawn_as": truth.name,
                "fcc_part": part,
                "truth": true_name,
                "n": str(crystal.n),
                "first": ranks[0].name,
                "stability": f"{ranks[0].stability:.2f}",
                "second": ranks[1].name,
                "log_likelihood_of_second": f"{ranks[1].log_likelihood:.1f}",
                "d_nn_nm_of_first": f"{ranks[0].d_nn_nm:.2f}",
                "true_d_nn_nm": f"{d_nm:.2f}",
            }
        )
        print(*rows[-1].values(), f"{time.perf_counter() - begin:.0f} s", sep="  ", flush=True)
    print(f"right: {np.trace(table)} of {table.sum()}")
    if arguments.figure:
        draw(arguments.figure, names, table)
    if arguments.write:
        write_table(RESULT, rows, arguments)


if __name__ == "__main__":
    main()

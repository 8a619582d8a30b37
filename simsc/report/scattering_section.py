"""What a report says about scattering: the intensity of the crystals before and after, and their correlation maps."""

import numpy as np

from simsc.core.close_packing import d_nn_of_111_nm
from simsc.core.correlation_map import CorrelationMap
from simsc.core.label_classes import CLOSE_PACKED
from simsc.correlation.compare import CLEAR_OF_SELF_DEG
from simsc.correlation.peaks import expected_peaks
from simsc.plot.correlation import correlation_difference, correlation_line, correlation_maps
from simsc.plot.scattering import intensity, radial_profile, zeros_of_sphere
from simsc.report import interactive
from simsc.report.document import PAPER
from simsc.report.embed import figure_html, png, svg
from simsc.study.results import Results
from simsc.study.run_folder import STATES

_BETWEEN_111_DEG = float(np.degrees(np.arccos(1 / 3)))
_NEAR_ZERO = 0.03  # of q: so near to a zero of the form factor a reflection cannot be seen


def scattering_section(results: Results) -> str:
    """Return the slices of log I(q) and the radial profiles."""
    maps = {state: results.states[state].correlation for state in STATES}
    volumes = {state: results.states[state].intensity for state in STATES}
    q1 = maps["after"].q1_inv_nm
    step = float(np.diff(volumes["after"].q_axes_inv_nm[0][:2])[0])
    slices = png(
        intensity(volumes, q1),
        "Slices of the logarithm of the scattered intensity through the planes nearest qz = 0, qy = 0 and qx = 0, "
        "before (top) and after (bottom): Bragg peaks, with streaks along qz where the stacking is faulted.",
        dpi=110,
    )
    profile = svg(
        radial_profile(maps, radius_nm=results.study.nanoparticle.core_radius_nm),
        "profile",
        "Mean intensity on spheres of q before and after, with the reflections of fcc and hcp marked.",
    )
    return (
        interactive.surface_html(volumes)
        + "<h3>Slices</h3>"
        + figure_html(
            slices,
            "Intensity of the finite crystal, logarithmic, one colour scale for all; layers were built normal to z. "
            f"Each plane is the one of the grid nearest the origin (within {step / 2:.2g} nm⁻¹). Dotted ring: "
            f"|q| = q₁ = {q1:.3f} nm⁻¹. Streaks along qz are Bragg rods: the intensity along them follows from the "
            "sequence of layers. As the cell was replicated, its stacking is periodic, so that a rod is a row of "
            "spots, like that of a polytype; in a crystal with faults at random it is continuous. The noise between "
            "the peaks comes from the spread of core radii.",
        )
        + "<h3>Radial profile</h3>"
        + figure_html(
            profile,
            "Mean intensity on each sphere. Lines: reflections of fcc and hcp with d from q₁ (after: "
            f"{d_nn_of_111_nm(q1):.2f} nm, as along the stacking; d_NN above is the mean of all twelve "
            "neighbours in a cell that may be strained). Intensity at reflections that only hcp has comes from hcp "
            f"layers or from rods.{_zeros(results)}",
        )
    )


def _zeros(results: Results) -> str:
    """Say where the form factor of the cores has zeros, and which reflections they hide."""
    last = results.states["after"].correlation
    q_low, q_high = float(last.q2_inv_nm[0]), float(last.q2_inv_nm[-1])
    zeros = zeros_of_sphere(results.study.nanoparticle.core_radius_nm, q_low, q_high)
    if not zeros:
        return ""
    said = ", ".join(f"{q:.3f}" for q in zeros)
    near = sorted(
        {
            f"{peak.family} of {structure}"
            for structure in CLOSE_PACKED
            for peak in expected_peaks(structure, d_nn_of_111_nm(last.q1_inv_nm), (q_low, q_high))
            if any(abs(peak.q2_inv_nm - q) < _NEAR_ZERO * q for q in zeros)
        }
    )
    lost = f" They hide {', '.join(near)}, here and in the maps." if near else ""
    return f" Black dotted lines: zeros of the form factor of the cores (|q| = {said} nm⁻¹).{lost}"


def correlation_section(results: Results) -> str:
    """Return the maps, their difference and the line at q2 ≈ q1."""
    before, after = (results.states[state].correlation for state in STATES)
    maps = {"before": before, "after": after}
    angle = CLEAR_OF_SELF_DEG
    coverage = min(float(m.coverage.min()) for m in maps.values())
    measured = (
        "All pairs of directions" if coverage > 0.9999 else f"{100 * coverage:.0f} % or more of pairs of directions"
    )
    return (
        "<p>C(q₁, q₂, Δ) is the correlation of the intensity on the sphere q₁, where fcc has 111, with that on the "
        f"sphere q₂ at the angle Δ, as in Fig. 3c of {PAPER}. Colour scales leave out Δ below {angle:.0f}° and "
        f"above {180 - angle:.0f}°, where peaks meet themselves. {measured} contribute.</p>"
        + figure_html(
            png(
                correlation_maps(maps),
                "Correlation maps before and after, Δ from 0 to 180 degrees against q2; circles mark peaks expected in "
                "fcc, squares those only in hcp, dashed lines the Bragg rods.",
            ),
            "How to read the maps: bright spots within circles come from fcc (those at 0°, 90° and 180° from hcp "
            "too), spots within squares from hcp or from rods, and intensity along the dashed arcs from stacking "
            "faults, which extend peaks into rods. Grey: outside the range of q₂ of that map.",
        )
        + interactive.readout_html(maps)
        + "<h3>What annealing changed</h3>"
        + figure_html(
            png(
                correlation_difference(before, after),
                "Difference of the correlation maps, after minus before.",
            ),
            "Orange: increase; purple: decrease; white: no change. The colour scale spans far less than that of the "
            "maps. Healing of faults would show as arcs that are purple along their whole length (heavy dashes: 111 "
            "along the stacking). Orange next to purple means that a spot moved, for example because the cell is "
            "strained; expect it even where the stacking is unchanged.",
        )
        + "<h3>At q₂ ≈ q₁</h3>"
        + figure_html(
            svg(
                correlation_line(maps),
                "line",
                "Correlation at q2 near q1 against Δ, before and after; dotted lines at 70.5 and 109.5 degrees.",
            ),
            "Different 111 reflections of fcc correlate at the dotted lines, 70.5° and 109.5°: the higher the maxima "
            f"at these lines, the more fcc. {_nearest_maxima(maps)} Maxima next to the lines come from rods of other "
            "stackings.",
        )
    )


def _nearest_maxima(maps: dict[str, CorrelationMap]) -> str:
    """Say where the maxima nearest to the angle between 111 reflections of fcc are."""
    said = []
    for name, correlation in maps.items():
        row = int(np.abs(correlation.q2_inv_nm - correlation.q1_inv_nm).argmin())
        line, delta = correlation.ccf[row], correlation.delta_deg
        inner = (line[1:-1] > line[:-2]) & (line[1:-1] > line[2:])
        inner &= np.abs(delta[1:-1] - 90) < 90 - CLEAR_OF_SELF_DEG
        if inner.any():
            tops = delta[1:-1][inner]
            said.append(f"{name} at {tops[np.abs(tops - _BETWEEN_111_DEG).argmin()]:.1f}°")
    return f"The maximum nearest to the first line is {', '.join(said)}." if said else ""

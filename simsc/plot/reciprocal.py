"""What a measured volume looks like along directions of its lattice."""

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy import ndimage

from simsc.core.centring import FACE_CENTRED, face_centred_cell
from simsc.core.intensity import IntensityVolume
from simsc.correlation.first_peak import peak_of_profile, radial_profile
from simsc.experiment.bragg import BraggPeaks, Orientation
from simsc.plot.scattering import UNMEASURED, not_measured

_VIEWS = ((1, 0, 0), (0, 1, 1), (1, 1, 1))  # of the face-centred cell, in real space
_POINTS = 220
_INNER = 0.35  # of the largest |q|: what is nearer to the beam outshines the rest
_ALONG = 0.999  # cosine


def reciprocal_space(volume: IntensityVolume, found: Orientation, peaks: BraggPeaks) -> Figure:
    """Draw the brightest intensity along each line of sight, for views along three axes, and the radial profile.

    Intensity is drawn over its mean at the same |q|. What was not measured anywhere along a line is grey. Rings are
    Bragg peaks that are indexed, crosses those that are not. Spots without either are cut by what was not measured, or
    lie nearer than the smallest |q| that peaks were looked for at.
    """
    figure = Figure(figsize=(11.0, 9.6), layout="constrained")
    panels = figure.subplots(2, 2)
    q_max = volume.q_max_inv_nm
    q, profile = radial_profile(volume)
    contrast = _contrast(volume, q, profile)
    cell = face_centred_cell(found.cell).vectors_nm
    for ax, view in zip(panels.ravel()[:3], _VIEWS, strict=True):
        frame = _frame(np.array(view) @ cell)
        image = _brightest(volume, contrast, frame, q_max)
        axis = np.linspace(-q_max, q_max, _POINTS)
        ax.set_facecolor(UNMEASURED)
        mesh = ax.pcolormesh(axis, axis, image.T, norm=LogNorm(0.5, 200), cmap="inferno", rasterized=True)
        flat = peaks.q_inv_nm @ frame[:2].T
        indexed = found.hkl.any(axis=1)
        ax.scatter(*flat[indexed].T, s=46, facecolors="none", edgecolors="#37c8e8", linewidths=0.9)
        ax.scatter(*flat[~indexed].T, s=16, marker="x", color="white", linewidths=0.6)
        vertical = "qz" if abs(frame[1, 2]) > _ALONG else "qy" if abs(frame[1, 1]) > _ALONG else "q up, towards qz"
        ax.set(aspect="equal", xlim=(-q_max, q_max), ylim=(-q_max, q_max))
        ax.set(xlabel="q across the line of sight (nm⁻¹)", ylabel=f"{vertical} (nm⁻¹)")
        along = np.array(view) @ FACE_CENTRED
        own = "".join(f"{i}" if i >= 0 else f"{-i}\u0305" for i in along // np.gcd.reduce(along))
        ax.set_title(f"seen along [{own}] of the cell,\n[{''.join(map(str, view))}] if it is made face-centred")
    figure.colorbar(mesh, ax=panels[0], label="brightest I / ⟨I⟩ at the same |q|", shrink=0.8, extend="both")
    marks = [
        Line2D([], [], linestyle="", marker="o", markerfacecolor="none", color="#2aa5c0", label="indexed peak"),
        Line2D([], [], linestyle="", marker="x", color="#777777", label="peak that no reflection is near"),
    ]
    marks.append(Line2D([], [], linestyle="", label="without: cut by gaps, or below --q-min"))
    figure.legend(handles=[*marks, not_measured()], loc="outside lower center", ncols=4, frameon=False)
    ax = panels[1, 1]
    shown = (q > 0.05) & np.isfinite(profile) & (profile > 0)
    ax.semilogy(q[shown], profile[shown], color="#1f6fb4")
    if (first := peak_of_profile(q[q > 0.2], profile[q > 0.2])) is not None:
        ax.axvline(first, color="#d1701c", linewidth=1, linestyle="--", label=f"q₁ = {first:.3f} nm⁻¹")
        ax.legend(frameon=False)
    ax.set(xlabel="q (nm⁻¹)", ylabel="mean intensity (as in the file)", title="radial profile")
    return figure


def _contrast(volume: IntensityVolume, q: np.ndarray, profile: np.ndarray) -> np.ndarray:
    """Return intensity over its mean at the same |q|, 0 where it is not known."""
    x, y, z = np.meshgrid(*volume.q_axes_inv_nm, indexing="ij", sparse=True)
    length = np.sqrt(x**2 + y**2 + z**2)
    known = np.isfinite(profile) & (profile > 0)
    mean = np.interp(length, q[known], profile[known])
    outside = (length > volume.q_max_inv_nm) | (length < _INNER * volume.q_max_inv_nm)
    return np.where(outside, 0, np.nan_to_num(volume.intensity) / mean).astype(np.float32)


def _frame(direction: np.ndarray) -> np.ndarray:
    """Return rows (3, 3): two axes of a picture, and the direction towards the eye."""
    normal = direction / np.linalg.norm(direction)
    up = np.array([0.0, 0.0, 1.0]) if abs(normal[2]) < 0.9 else np.array([0.0, 1.0, 0.0])
    across = np.cross(up, normal)
    across /= np.linalg.norm(across)
    return np.array([across, np.cross(normal, across), normal])


def _brightest(volume: IntensityVolume, contrast: np.ndarray, frame: np.ndarray, q_max: float) -> np.ndarray:
    axis = np.linspace(-q_max, q_max, _POINTS)
    origin = np.array([a[0] for a in volume.q_axes_inv_nm])[:, None, None]
    steps = np.array([a[1] - a[0] for a in volume.q_axes_inv_nm])[:, None, None]
    seen = np.isfinite(volume.intensity) if volume.measured is None else volume.measured
    measured = seen.astype(np.float32)
    plane = np.tensordot(frame[:2].T, np.stack(np.meshgrid(axis, axis, indexing="ij")), 1)
    result = np.full((_POINTS, _POINTS), np.nan)
    for depth in axis:
        index = (plane + depth * frame[2][:, None, None] - origin) / steps
        values = ndimage.map_coordinates(contrast, index, order=1)
        known = ndimage.map_coordinates(measured, index, order=0) > 0
        result = np.where(known, np.fmax(result, values), result)
    return result

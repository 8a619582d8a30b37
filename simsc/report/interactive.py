"""What the page's script draws of scattering: the intensity as a surface in 3D, and maps whose values can be read."""

import base64
from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_rgb
from numpy.typing import ArrayLike

from simsc.core.close_packing import d_nn_of_111_nm
from simsc.core.correlation_map import CorrelationMap
from simsc.core.intensity import IntensityVolume
from simsc.core.label_classes import CLOSE_PACKED
from simsc.correlation.peaks import expected_peaks
from simsc.plot.correlation import colour_limits
from simsc.plot.style import CORRELATION_MAP, UNMEASURED

_MOST_POINTS = 90  # along each axis of what is drawn
_FORWARD = 0.5  # of q1: what lies within is left out, the forward peak outshines all reflections
_DECADES = 4.0  # of intensity below the strongest reflection that can be looked at
_FIRST_LEVEL = -1.8  # decades below the strongest reflection
_STEPS = 255
_MAP_STEPS = 65534
_STOPS = 10  # colours of the scale, between which the page interpolates


def surface_html(volumes: Mapping[str, IntensityVolume]) -> str:
    """Return the views of the intensity in 3D with their controls, without data."""
    views = "".join(
        f'<figure class="view"><figcaption>{escape(name.capitalize())}</figcaption>'
        f'<canvas id="surface-{escape(name)}" tabindex="0" role="img" aria-label="Surface of equal intensity, '
        f"{escape(name)}: Bragg peaks as blobs, rods along qz where the stacking is faulted. Arrow keys turn both, "
        'plus and minus zoom, 0 resets."></canvas></figure>'
        for name in volumes
    )
    buttons = "".join(
        f'<button type="button" id="surface-{key}">{text}</button>'
        for key, text in (("side", "Along the layers"), ("top", "Down qz"), ("reset", "Reset"))
    )
    return f"""
<p>Surfaces of equal intensity: blobs are Bragg peaks, and columns along qz, the normal of the layers, are Bragg rods,
from faults or from a stacking with a long period. Drag to turn both together.</p>
<div class="views fields">{views}<div class="controls">
<label for="surface-level">Level, relative to the strongest reflection</label>
<input type="range" id="surface-level" min="{-_DECADES:g}" max="-0.1" step="0.05" value="{_FIRST_LEVEL:g}">
<output id="surface-value" for="surface-level"></output>
<p class="soft">Colour: |q|, dark near the origin. The forward peak is left out. Each voxel has the highest intensity of
its neighbourhood, so that no narrow peak is lost.</p>{buttons}</div></div>
<noscript><p class="note">These views need JavaScript.</p></noscript>"""


def readout_html(maps: Mapping[str, CorrelationMap]) -> str:
    """Return the maps whose values can be read, without data."""
    views = "".join(
        f'<figure class="view"><figcaption>{escape(name.capitalize())}</figcaption>'
        f'<canvas id="map-{escape(name)}" tabindex="0" role="img" aria-label="Correlation map, {escape(name)}. Arrow '
        'keys move the cursor, with Shift by ten points; what lies under it is shown below."></canvas>'
        f'<output id="readout-{escape(name)}" aria-live="polite">Point at the map, or select it and use the arrow keys.'
        "</output></figure>"
        for name in maps
    )
    return f"""
<h3>Values in the maps</h3>
<p>Δ runs from left to right, q₂ from the bottom to the top, on the scales of the maps above. Both share one cursor.</p>
<div class="views maps">{views}</div>
<noscript><p class="note">Reading values needs JavaScript.</p></noscript>"""


def field_data(volumes: Mapping[str, IntensityVolume], maps: Mapping[str, CorrelationMap]) -> dict[str, Any]:
    """Return what fields.js draws.

    Args:
        volumes: intensity of each state.
        maps: correlation map of each state.

    Returns:
        `surfaces` and `maps` by state: numbers as bytes in base64, on scales that are given beside them.
    """
    pooled = {name: _pooled(volume, _FORWARD * maps[name].q1_inv_nm) for name, volume in volumes.items()}
    strongest = max(float(values.max()) for values, _ in pooled.values()) or 1.0
    return {
        "decades": _DECADES,
        "stops": _rgb(colormaps[CORRELATION_MAP](np.linspace(0, 1, _STOPS))),
        "unmeasured": _rgb(to_rgb(UNMEASURED)),
        "surfaces": {name: _surface(values, ends, strongest) for name, (values, ends) in pooled.items()},
        "maps": {name: _map(correlation) for name, correlation in maps.items()},
    }


def _pooled(volume: IntensityVolume, q_least_inv_nm: float) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """Return the highest intensity of each block of voxels, 0 where none was measured, and the ends of the axes."""
    intensity = np.nan_to_num(volume.intensity.astype(np.float32))
    if volume.measured is not None:
        intensity = np.where(volume.measured, intensity, 0)
    qx, qy, qz = volume.q_axes_inv_nm
    inside = qx[:, None, None] ** 2 + qy[:, None] ** 2 + qz**2 < q_least_inv_nm**2
    intensity[inside] = 0
    ends = []
    for axis, q in enumerate((qx, qy, qz)):
        size = -(-len(q) // _MOST_POINTS)
        starts = np.arange(0, len(q), size)
        intensity = np.maximum.reduceat(intensity, starts, axis=axis)
        middle = (q[starts] + q[np.minimum(starts + size, len(q)) - 1]) / 2
        ends.append((float(middle[0]), float(middle[-1])))
    return intensity, ends


def _surface(values: np.ndarray, ends: list[tuple[float, float]], strongest: float) -> dict[str, Any]:
    with np.errstate(divide="ignore"):
        decades = np.log10(np.maximum(values, 0) / strongest)
    scaled = np.clip(np.round((decades / _DECADES + 1) * _STEPS), 0, _STEPS).astype(np.uint8)
    return {"shape": list(values.shape), "ends": np.round(ends, 6).tolist(), "values": _base64(scaled)}


def _map(correlation: CorrelationMap) -> dict[str, Any]:
    ccf, delta, q2 = correlation.ccf, correlation.delta_deg, correlation.q2_inv_nm
    known = np.isfinite(ccf)
    low, high = (float(ccf[known].min()), float(ccf[known].max())) if known.any() else (0.0, 1.0)
    step = (high - low) / (_MAP_STEPS - 1) or 1.0
    scaled = np.where(known, np.round((np.where(known, ccf, low) - low) / step) + 1, 0).astype("<u2")
    d_nn_nm, span = d_nn_of_111_nm(correlation.q1_inv_nm), (float(q2[0]), float(q2[-1]))
    return {
        "shape": list(ccf.shape),
        "q1": round(correlation.q1_inv_nm, 5),
        "q2": q2.round(5).tolist(),
        "delta": delta.round(4).tolist(),
        "low": low,
        "step": step,
        "colours": colour_limits([correlation]) or (low, high),
        "values": _base64(scaled),
        "peaks": [
            [round(peak.q2_inv_nm, 4), round(peak.delta_deg, 2), f"{structure} {peak.family}"]
            for structure in CLOSE_PACKED
            for peak in expected_peaks(structure, d_nn_nm, span)
        ],
    }


def _rgb(colours: ArrayLike) -> Any:
    """Return colours, (…, 3 or 4) of 0 to 1, as numbers to 255."""
    return np.round(255 * np.asarray(colours)[..., :3]).astype(int).tolist()


def _base64(values: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()

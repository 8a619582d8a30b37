"""One self-contained page for a run: it works offline, on paper and with a screen reader.

Nothing that comes from a study reaches the page unescaped, and the page's policy lets only its own script run.
"""

import base64
import functools
import hashlib
import tomllib
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from simsc.core.cell import Cell
from simsc.core.errors import InputError
from simsc.core.files import write_text
from simsc.report import figures, scattering_figures
from simsc.report.embed import json_script, png, style, svg
from simsc.report.results import STAGES, STATES, Results, State, layer_kinds, read_results, same_stacking
from simsc.study.schema import Study, preset_text

_DOI = "https://doi.org/10.1021/acsnano.5c15256"

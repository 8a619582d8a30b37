"""The page around sections: head, policy, contents, data and the scripts that draw it."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from simsc.report.embed import css_of_labels, json_script, text

_DOI = "https://doi.org/10.1021/acsnano.5c16138"
PAPER = f'<a href="{_DOI}" rel="noreferrer">Lapkin et al., ACS Nano 2025, 19, 42881</a>'
COARSE = """<p><strong>An accelerated preview.</strong> The model is coarse-grained: its ligands are
soft and its dynamics fast, so its time is not real time, and it has not been shown to prefer fcc over hcp.</p>"""
_SCRIPTS = ("orbit.js", "viewer.js", "fields.js")


def document(
    title: str, below_title: str, sections: Sequence[tuple[str, str, str]], data: Mapping[str, Any] | None = None
) -> str:
    """Return a whole page as HTML, whose policy lets only its own script run, and nothing be loaded.

    Args:
        title: of the page, as text.
        below_title: a line below it, as text.
        sections: key (an id), name and HTML of each.
        data: what the scripts draw, by id; None for a page without scripts.
    """
    contents = "".join(f'<li><a href="#{key}">{name}</a></li>' for key, name, _ in sections)
    body = "".join(
        f'<section id="{key}" aria-labelledby="{key}-title"><h2 id="{key}-title">{name}</h2>{content}</section>'
        for key, name, content in sections
    )
    policy, end = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; ", ""
    if data is not None:
        script = "".join(_asset(name) for name in _SCRIPTS)
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        policy += f"script-src 'sha256-{digest}'; "
        end = "\n".join(json_script(name, values) for name, values in data.items()) + f"\n<script>{script}</script>\n"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}base-uri 'none'; form-action 'none'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{text(title)}</title>\n<link rel="icon" href="data:,">\n'
        f"<style>\n{_asset('page.css')}{css_of_labels()}</style>\n</head>\n"
        f'<body>\n<div class="wrap">\n<header><h1>{text(title)}</h1><p class="soft">{text(below_title)}</p>'
        f'<nav aria-label="Sections"><ul>{contents}</ul></nav></header>\n<main>\n{body}\n</main>\n'
        f"<footer><p>Written by simsc. The study follows {PAPER}.</p></footer>\n</div>\n{end}</body>\n</html>\n"
    )


def _asset(name: str) -> str:
    return (resources.files("simsc.report") / name).read_text(encoding="utf-8")

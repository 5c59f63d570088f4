"""Putting code and data into one page so that data can never become code.

Data goes into `<script type="application/json">` blocks, which browsers do not run, with every
character escaped that could end the block. Scripts and styles are admitted by the hash of their
text (Content-Security-Policy), so an injected one would not run even if it got in, and nothing can
be loaded from or sent to a network.
"""

import base64
import hashlib
import json
import re
from functools import cache
from typing import Any

from markupsafe import Markup

_ESCAPES = {
    "<": "\\u003c",
    ">": "\\u003e",
    "&": "\\u0026",
    "\u2028": "\\u2028",
    "\u2029": "\\u2029",
}


def json_text(value: Any) -> Markup:
    """JSON that is safe inside a script element, as markup."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # Marked safe because no character that HTML gives a meaning to is left.
    return Markup(re.sub("[<>&\u2028\u2029]", lambda m: _ESCAPES[m.group()], text))


def source_text(code: str, kind: str) -> Markup:
    """Our own script or style text as markup.

    Raises:
        ValueError: the text holds a sequence that would end or confuse its element. Only files of
            this package and of the Vega bundle come here, so that would be a defect of a release.
    """
    if re.search(rf"</{kind}|<!--|<script", code, re.IGNORECASE):
        raise ValueError(f"The report's own {kind} text cannot be placed inside a {kind} element.")
    return Markup(code)


def digest(code: str) -> str:
    """Content-Security-Policy source of an inline script or style."""
    raw = hashlib.sha256(code.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(raw).decode()}'"


def policy(scripts: list[str], styles: list[str]) -> str:
    """The page's Content-Security-Policy: these inline scripts and styles, and nothing else."""
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {' '.join(digest(s) for s in scripts)}",
            f"style-src {' '.join(digest(s) for s in styles)}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


@cache
def vega_bundle() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script, from vl-convert; no network.

    Vega-Embed brings Vega's expression interpreter along, so charts need neither `eval` nor
    `new Function` and the policy can forbid both.
    """
    import vl_convert

    bundle = vl_convert.javascript_bundle(
        "window.vegaEmbed = vegaEmbed;", vl_version=vegalite_version()
    )
    return own_scope(str(bundle))


def own_scope(code: str) -> str:
    """A script that leaves no names behind: the bundle has thousands at its top level."""
    return f"(() => {{\n{code}\n}})();"


def vegalite_version() -> str:
    """The Vega-Lite version that Altair writes for, as vl-convert names it."""
    import altair
    import vl_convert

    written = ".".join(altair.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
    known = [str(v) for v in vl_convert.get_vegalite_versions()]
    return written if written in known else known[-1]

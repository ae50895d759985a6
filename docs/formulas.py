"""A hook of MkDocs that turns the LaTeX of a page into MathML.

`pymdownx.arithmatex` marks the formulas between dollar signs in pages and docstrings; this replaces them. A command
that `math_core` does not know is an error.
"""

import re
from html import unescape
from typing import Any

from math_core import LatexToMathML

_LATEX = LatexToMathML()
_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)


def on_page_content(html: str, **_: Any) -> str:
    """Return the page with each formula as MathML."""
    return _FORMULA.sub(_mathml, html)


def _mathml(formula: re.Match[str]) -> str:
    return _LATEX.convert_with_local_state(unescape(formula[2]), displaystyle=formula[1] == "div")

"""The HTML around the page, with its style sheet."""

from __future__ import annotations

from typing import Final

_STYLE: Final = """
:root { --ink: #1d2327; --soft: #5d686f; --line: #d9dee1; --wash: #f5f7f8; --accent: #0072b2; }
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Arial, sans-serif; }
header { padding: 1rem 1.5rem .8rem; border-bottom: 1px solid var(--line); }
h1 { margin: 0; font-size: 1.3rem; overflow-wrap: anywhere; }
h2 { margin: 0 0 .2rem; font-size: 1.25rem; }
h3 { margin: 1.6rem 0 .4rem; font-size: 1rem; }
p { margin: .2rem 0; color: var(--soft); }
a { color: var(--accent); text-decoration: none; }
.page { display: flex; flex-direction: column; height: 100vh; }
.columns { display: grid; grid-template-columns: minmax(31rem, 32%) 1fr; flex: 1; min-height: 0; }
#classes { padding: 1rem 1.5rem; border-right: 1px solid var(--line); overflow-y: auto; }
#detail { padding: 1rem 1.5rem 3rem; overflow-y: auto; }
#detail img { display: block; max-width: 100%; }
#find { width: 100%; padding: .4rem .6rem; border: 1px solid #9aa5ab; border-radius: 4px; font: inherit; }
#sort { display: flex; flex-wrap: wrap; gap: .2rem .9rem; margin: .5rem 0; font-size: .87rem; }
#sort label { display: inline-flex; gap: .3rem; align-items: center; }
table { width: 100%; border-collapse: collapse; font-size: .87rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .3rem; text-align: right; border-bottom: 1px solid var(--line); vertical-align: baseline; }
th { font-weight: 600; }
th:first-child, td:first-child { min-width: 8rem; text-align: left; overflow-wrap: anywhere; }
tr:hover > td { background: var(--wash); }
#scores { width: auto; margin-top: .6rem; }
#scores th, #scores td { min-width: 0; padding: .25rem .9rem .25rem 0; }
"""
INDEX: Final = """<!DOCTYPE html>
<html lang="en"><head>{%metas%}<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{%title%}</title>{%favicon%}{%css%}<style>STYLE</style></head>
<body>{%app_entry%}<footer>{%config%}{%scripts%}{%renderer%}</footer></body></html>
""".replace("STYLE", _STYLE)

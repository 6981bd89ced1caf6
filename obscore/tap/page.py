"""The service as a page for a browser: a form for queries, the tables, where all else is."""

from __future__ import annotations

from collections.abc import Sequence

from obscore.adql.schema import Schema
from obscore.tap.examples import Example
from obscore.tap.settings import TapSettings
from vodal.tables.formats import FORMATS
from vodal.tables.markup import escape

__all__ = ["service_page"]

_STYLE = """
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
textarea { width: 100%; box-sizing: border-box; font: .9rem ui-monospace, monospace }
table { border-collapse: collapse }
th, td { text-align: left; vertical-align: top; padding: .2rem 1rem .2rem 0 }
label { margin-right: 1rem }
"""

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'"

_START = "SELECT TOP 10 *\nFROM ivoa.obscore"

_LINKS = (
    ("examples", "examples made of what this site holds"),
    ("tables", "tables and columns (VOSI)"),
    ("capabilities", "what the service can, and its limits (TAPRegExt)"),
    ("availability", "whether it is up"),
)


def service_page(
    published: Schema,
    examples: Sequence[Example],
    settings: TapSettings,
    *,
    jobs: bool,
    moc_path: str | None = None,
) -> str:
    """Write the page.

    Parameters
    ----------
    published
        The tables that a query can name.
    examples
        The first one that needs no upload is in the form.
    settings
        Limits.
    jobs
        Whether there are asynchronous queries.
    moc_path
        Where the site serves coverage maps, if it does.
    """
    query = next((item.query for item in examples if item.upload is None), _START)
    formats = "".join(
        f'<option value="{escape(item.name)}"'
        f"{' selected' if item.name == 'html' else ''}>{escape(item.name)}</option>"
        for item in FORMATS
    )
    later = (
        ' <button formaction="async" formmethod="post" name="PHASE" value="RUN">'
        "Run in the background</button>"
        if jobs
        else ""
    )
    links = [*_LINKS, *([("async", "your queries in the background")] if jobs else [])]
    if moc_path is not None:
        links.append((f"..{moc_path}/", "the part of the sky that the images cover (MOC)"))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>Queries by TAP</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>Queries by TAP</h1>
<p>The address of this page is that of the service, for TOPCAT, pyvo, Firefly and others.</p>
<form action="sync">
<input type="hidden" name="LANG" value="ADQL">
<textarea name="QUERY" rows="8" aria-label="Query in ADQL">{escape(query)}</textarea>
<p><label>Rows at most <input name="MAXREC" value="{min(1000, settings.max_rows)}" size="8"></label>
<label>Format <select name="RESPONSEFORMAT">{formats}</select></label>
<button>Run</button> <button name="EXPLAIN" value="1">Explain</button>{later}</p>
</form>
<ul>
{"".join(f'<li><a href="{name}">{name}</a>: {what}</li>' for name, what in links)}
</ul>
<h2>Tables</h2>
<table>
{"".join(_rows(published))}
</table>
</body>
</html>
"""


def _rows(published: Schema) -> list[str]:
    return [
        f"<tr><th>{escape(table.full_name)}</th><td>{escape(table.description or '')}</td></tr>\n"
        for table in published.tables
    ]

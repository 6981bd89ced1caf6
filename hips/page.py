"""A HiPS's own page: it in Aladin Lite, which the site serves itself."""

from __future__ import annotations

import html
import json
import re

from hips.view import View

__all__ = ["index_page"]

_PAGE = r"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>@title@</title>
<link rel="icon" href="data:,">
<style>
html, body { margin: 0; height: 100%; font: 15px/1.5 system-ui, sans-serif; }
body { display: flex; flex-direction: column; background: #111; color: #ddd; }
header { padding: .5rem 1rem; }
h1 { margin: 0; font-size: 1.1rem; }
p { margin: 0; }
a { color: #8cf; }
#sky { flex: 1; min-height: 0; }
</style>
</head>
<body>
<header>
<h1>@title@</h1>
<p>@description@
&middot; <a href="properties">properties</a> &middot; <a href="Moc.fits">MOC</a></p>
</header>
<div id="sky"></div>
<script type="module">
const view = @view@;
// Aladin Lite puts a slash of its own after the address.
const here = new URL(".", location.href).href.replace(/\/$/, "");
try {
  const A = (await import(view.aladin)).default;
  await A.init;
  A.aladin("#sky", {
    survey: here,
    hipsList: [here],
    target: `${view.ra} ${view.dec}`,
    fov: view.fov,
    cooFrame: "ICRSd",
    log: false, // nothing is told to other hosts
  });
} catch (error) {
  const note = document.createElement("p");
  note.style.padding = "1rem";
  // Aladin Lite throws texts too, where the browser lacks WebGL2.
  note.textContent = `The sky view did not start: ${error?.message ?? error}.`;
  document.getElementById("sky").replaceChildren(note);
}
</script>
</body>
</html>
"""


def index_page(title: str, description: str, view: View, aladin_lite_url: str) -> str:
    """Make the page.

    Parameters
    ----------
    title, description
        Plain text.
    view
        Where it opens.
    aladin_lite_url
        Of Aladin Lite's ES module; nothing is loaded from another host.
    """
    values = {
        "ra": round(view.ra_deg, 6),
        "dec": round(view.dec_deg, 6),
        "fov": round(view.fov_deg, 6),
        "aladin": aladin_lite_url,
    }
    # Inside a script element only "</" could end it.
    script = json.dumps(values).replace("<", "\\u003c")
    parts = {"view": script, "title": html.escape(title), "description": html.escape(description)}
    return re.sub(r"@(view|title|description)@", lambda mark: parts[mark[1]], _PAGE)

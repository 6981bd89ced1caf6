"""The portal page: the sky, a search, footprints, links and cutouts in a browser.

- `settings`  what the page shows and where Aladin Lite lies
- `routes`    the page, its scripts and Aladin Lite as a separate file
- `static/`   the page itself
"""

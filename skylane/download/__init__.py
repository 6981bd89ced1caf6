"""Many files of a site, fetched by its lists of files (``/files/bulk``).

- `server`    what is asked of the site over HTTP
- `received`  the files of an archive, written as they come, with a log to go on from
- `manifest`  what there should be, held against what there is
"""

"""The composition root: settings, the site, the command line, the portal and the demo.

- `settings`  ``skylane.toml`` and the environment -> one frozen value
- `site`      settings -> stores, pools and the services mounted on one Starlette site
- `columns`   those that the settings add to ``ivoa.obscore``, brought into the store
- `access`    who may see what: the rules, and who finds out who asks
- `policies`  what pages may load and do in a browser
- `listening` the port, and how many clients may have connections, for how long
- `log`       entries that no client can forge, without secrets
- `servers`   several server processes of one site, and what they count together
- `portal`    the page at ``/``
- `demo`      a synthetic survey from nothing to a running site
- `ingesting` the assembly line over the sources of a site; `watching`: kept running
- `query`     ADQL without a server, in every format
- `cutting`   cutouts from files, URLs and the site; `stitching`: several on one grid
- `jobs`      what the operator sees of the queue of jobs
- `cli`       the ``skylane`` command
"""

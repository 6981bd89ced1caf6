"""The composition root: settings, the site, the command line, the portal and the demo.

- `settings`  ``skylane.toml`` and the environment -> one frozen value
- `folder`    the folder of a site: where it keeps what it makes, and its stores
- `site`      settings -> stores, pools and the services mounted on one Starlette site
- `columns`   those that the settings add to ``ivoa.obscore``, brought into the store
- `access`    who may see what: the rules, and who finds out who asks
- `policies`  what pages may load and do in a browser
- `listening` the port, and how many clients may have connections, for how long
- `log`       entries that no client can forge, without secrets
- `servers`   several server processes of one site, and what they count together
- `portal`    the page at ``/``
- `demo`      a synthetic survey from nothing to a running site
- `ingesting` the assembly line over sources; `watching`: kept running
- `building`  HiPS of collections
- `serving`   the site on a port; `starting`: why it cannot be
- `query`     ADQL without a server, in every format
- `cutting`   cutouts from files, URLs and the site; `stitching`: several on one grid
- `downloading` files of any site, in a list; `download`: asked for, unpacked and checked
- `jobs`      what the operator sees of the queue of jobs
- `cli`       the ``skylane`` command
"""

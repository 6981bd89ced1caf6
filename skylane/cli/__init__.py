"""The ``skylane`` command: its commands and options.

- `frame`   what all commands have in common
- `root`    those in no group: ``demo``, ``init``, ``ingest``, ``serve``, ``query``, ``cut``
- `coverage`  ``moc``
- `registry`  ``registry``
- `download`  ``download``
- `runs`    ``runs`` and ``where-from``
- `hips`, `store`, `jobs`, `tables`, `mapping`  a group each

What they do is in a module of `skylane` each: `ingesting`, `cutting`, `query`, `serving`,
`building` (of HiPS) ...; `commands` has ``init`` and ``demo``. The modules that do the work are
imported by the command that needs them, so that ``--help`` and a mistyped option answer at once.
"""

from __future__ import annotations

from skylane.cli.coverage import moc
from skylane.cli.download import download
from skylane.cli.hips import hips_group
from skylane.cli.jobs import jobs_group
from skylane.cli.mapping import mapping_group
from skylane.cli.registry import registry
from skylane.cli.root import main
from skylane.cli.runs import runs_group, where_from
from skylane.cli.store import store_group
from skylane.cli.tables import table_group

__all__ = ["main"]

for _group in (hips_group, jobs_group, mapping_group, runs_group, store_group, table_group):
    main.add_command(_group)
main.add_command(moc)
main.add_command(download)
main.add_command(registry)
main.add_command(where_from)

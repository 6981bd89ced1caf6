"""``python -m skylane`` is the ``skylane`` command."""

from skylane.cli import main

main(prog_name="skylane")

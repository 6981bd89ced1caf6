"""What tests of commands share."""

from __future__ import annotations

from click.testing import CliRunner, Result

from skylane.cli import main

__all__ = ["call", "refused"]


def _run(arguments: tuple[object, ...]) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def call(*arguments: object) -> str:
    """Run a command in this process; gives what it says."""
    done = _run(arguments)
    assert done.exit_code == 0, done.output
    return done.output


def refused(*arguments: object, code: int = 1) -> str:
    """Run a command that must fail, with this code; gives what it says."""
    done = _run(arguments)
    assert done.exit_code == code, done.output
    assert isinstance(done.exception, SystemExit)
    return " ".join(done.output.split())

"""``skylane jobs``: asynchronous jobs."""
# ruff: noqa: FBT001, PLC0415 - flags are click's booleans; imports are late on purpose

from __future__ import annotations

from pathlib import Path

import click

from skylane.cli.frame import command, console

__all__ = ["jobs_group"]


@click.group("jobs")
def jobs_group() -> None:
    """Look after the queue of asynchronous jobs, whether servers run or not."""


@jobs_group.command("list")
@click.option("--phase", "phases", multiple=True, help="Only jobs in this phase; may be repeated.")
@click.option("--last", type=click.IntRange(min=1), default=50, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@command
def jobs_list(phases: tuple[str, ...], last: int, as_json: bool, site: Path) -> None:
    """List the newest jobs of all users, and how many are in each phase.

    Example: skylane jobs list --phase EXECUTING
    """
    from skylane import jobs

    jobs.list_jobs(console, site, phases, last, as_json=as_json)


@jobs_group.command("show")
@click.argument("job_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="As a JSON object.")
@command
def jobs_show(job_id: str, as_json: bool, site: Path) -> None:
    """Tell all that is known of a job: its query, times, progress, results, error."""
    from skylane import jobs

    jobs.show(console, site, job_id, as_json=as_json)


@jobs_group.command("abort")
@click.argument("job_ids", metavar="ID...", nargs=-1, required=True)
@command
def jobs_abort(job_ids: tuple[str, ...], site: Path) -> None:
    """Stop jobs that wait or run; their owners are told that it was the operator."""
    from skylane import jobs

    jobs.abort(console, site, job_ids)


@jobs_group.command("delete")
@click.argument("job_ids", metavar="ID...", nargs=-1, required=True)
@command
def jobs_delete(job_ids: tuple[str, ...], site: Path) -> None:
    """Forget jobs with their results; those that run are stopped."""
    from skylane import jobs

    jobs.delete(console, site, job_ids)

"""Jobs as pages for a browser: plain, without scripts, with forms for what UWS lets one do."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from vodal.uws.documents import result_url
from vodal.uws.jobs import FINAL, WAITED, Job, Phase, time_text

__all__ = ["job_page", "jobs_page"]

_REFRESH_S = 3
_LONGEST_SHOWN = 4000

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
{refresh}<title>{title}</title>
<style>
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto }}
table {{ border-collapse: collapse }}
th, td {{ text-align: left; vertical-align: top; padding: .2rem 1rem .2rem 0 }}
pre {{ white-space: pre-wrap; overflow-wrap: anywhere; margin: 0 }}
form {{ display: inline }}
.error {{ color: #a00 }}
</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""


def _page(title: str, body: Sequence[str], *, refresh: bool = False) -> bytes:
    tag = f'<meta http-equiv="refresh" content="{_REFRESH_S}">\n' if refresh else ""
    return _PAGE.format(title=escape(title), body="\n".join(body), refresh=tag).encode()


def _link(url: str, text: str) -> str:
    return f'<a href="{escape(url)}">{escape(text)}</a>'


def _row(name: str, cell: str) -> str:
    return f"<tr><th>{escape(name)}</th><td>{cell}</td></tr>"


def _button(url: str, name: str, value: str, text: str) -> str:
    return (
        f'<form method="post" action="{escape(url)}">'
        f'<button name="{name}" value="{value}">{text}</button></form>'
    )


def _field(url: str, name: str, value: str) -> str:
    return (
        f'<form method="post" action="{escape(url)}">'
        f'<input name="{name}" value="{escape(value)}" size="26"> <button>Set</button></form>'
    )


def _value(value: str) -> str:
    cut = value if len(value) <= _LONGEST_SHOWN else f"{value[:_LONGEST_SHOWN]} ..."
    return f"<pre>{escape(cut)}</pre>"


def _bytes(size: int) -> str:
    number = float(size)
    for unit in ("bytes", "kB", "MB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} GB"


def _state_rows(job: Job, job_url: str, ahead: int | None) -> list[str]:
    """Tell what happened."""
    rows = [_row("phase", f"<strong>{job.phase}</strong>")]
    if ahead is not None:
        rows.append(_row("jobs ahead", str(ahead)))
    if job.error is not None:
        rows.append(_row("error", f'<span class="error">{escape(job.error.message)}</span>'))
    for result in job.results:
        link = _link(result_url(job_url, result.name), result.name)
        told = f"{link} ({escape(result.media_type)}, {_bytes(result.size_bytes)})"
        rows.append(_row("result", told))
    rows += [_row(name, escape(value)) for name, value in job.info]
    if job.owner is not None:
        rows.append(_row("owner", escape(job.owner)))
    times = {
        "made": job.created_unix_s, "started": job.started_unix_s, "ended": job.ended_unix_s
    }  # fmt: skip
    rows += [_row(name, time_text(moment)) for name, moment in times.items() if moment is not None]
    return rows


def _limit_rows(job: Job, job_url: str) -> list[str]:
    """Tell the limits, with forms for those that can be set."""
    duration = str(job.duration_s)
    if job.phase not in FINAL:
        duration = _field(f"{job_url}/executionduration", "EXECUTIONDURATION", duration)
    destruction = time_text(job.destruction_unix_s)
    if job.phase != Phase.ARCHIVED:
        destruction = _field(f"{job_url}/destruction", "DESTRUCTION", destruction)
    return [_row("may run for (s)", duration), _row("is deleted", destruction)]


def job_page(job: Job, job_url: str, jobs_url: str, *, ahead: int | None = None) -> bytes:
    """Write the page of a job.

    Parameters
    ----------
    job
        The job.
    job_url, jobs_url
        Its URL and that of the list.
    ahead
        Jobs queued before it, if it is queued.
    """
    rows = [*_state_rows(job, job_url, ahead), *_limit_rows(job, job_url)]
    rows += [_row(name, _value(value)) for name, value in job.params]
    buttons = []
    if job.phase in {Phase.PENDING, Phase.HELD}:
        buttons.append(_button(f"{job_url}/phase", "PHASE", "RUN", "Run"))
    if job.phase not in FINAL:
        buttons.append(_button(f"{job_url}/phase", "PHASE", "ABORT", "Abort"))
    buttons.append(_button(job_url, "ACTION", "DELETE", "Delete"))
    body = [
        "<table>", *rows, "</table>",
        f"<p>{' '.join(buttons)}</p>", f"<p>{_link(jobs_url, 'All jobs')}</p>",
    ]  # fmt: skip
    moving = job.phase in WAITED - {Phase.PENDING}
    return _page(f"Job {job.run_id or job.id}", body, refresh=moving)


def jobs_page(jobs: Sequence[Job], jobs_url: str) -> bytes:
    """Write the page of a list of jobs."""
    if not jobs:
        return _page("Jobs", ["<p>There are no jobs of yours here.</p>"])
    rows = [
        f"<tr><td>{_link(f'{jobs_url}/{job.id}', job.run_id or job.id)}</td>"
        f"<td>{job.phase}</td><td>{time_text(job.created_unix_s)}</td></tr>"
        for job in jobs
    ]
    head = "<tr><th>job</th><th>phase</th><th>made</th></tr>"
    return _page("Jobs", ["<table>", head, *rows, "</table>"])

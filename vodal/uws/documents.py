"""Jobs as XML by the schema of UWS 1.1."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote
from xml.etree.ElementTree import Element, SubElement, tostring

from vodal.uws.jobs import Job, Phase, time_text
from vodal.xmltext import UNFIT, clean

__all__ = [
    "LONGEST_VALUE",
    "job_document",
    "jobs_document",
    "parameters_document",
    "result_url",
    "results_document",
]

_VERSION = "1.1"
_NAMESPACES = {
    "xmlns:uws": "http://www.ivoa.net/xml/UWS/v1.0",
    "xmlns:xlink": "http://www.w3.org/1999/xlink",
    "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
}
_NIL = {"xsi:nil": "true"}

LONGEST_VALUE = 64 * 1024
"""Characters of a parameter that is given in the document itself; longer ones by reference."""


def _document(root: Element) -> bytes:
    written: bytes = tostring(root, encoding="UTF-8", xml_declaration=True)
    return written


def _text(parent: Element, name: str, text: str | None) -> None:
    """Append an element; None is said as nil."""
    element = SubElement(parent, f"uws:{name}", _NIL if text is None else {})
    element.text = None if text is None else clean(text)


def _time(unix_s: float | None) -> str | None:
    return None if unix_s is None else time_text(unix_s)


def result_url(job_url: str, name: str) -> str:
    """Give the URL of a result."""
    return f"{job_url}/results/{quote(name, safe='')}"


def _fill_parameters(element: Element, job: Job, job_url: str) -> None:
    for name, value in job.params:
        item = SubElement(element, "uws:parameter", {"id": clean(name)})
        if len(value) > LONGEST_VALUE or UNFIT.search(value):
            item.set("byReference", "true")
            item.text = f"{job_url}/parameters/{quote(name, safe='')}"
        else:
            item.text = value


def _fill_results(element: Element, job: Job, job_url: str) -> None:
    for result in job.results:
        SubElement(
            element,
            "uws:result",
            {
                "id": result.name,
                "xlink:type": "simple",
                "xlink:href": result_url(job_url, result.name),
                "size": str(result.size_bytes),
                "mime-type": result.media_type,
            },
        )


def _fill_info(element: Element, job: Job, ahead: int | None) -> None:
    told = [*job.info, *([("jobsAhead", str(ahead))] if ahead is not None else [])]
    if job.failures and job.phase in {Phase.QUEUED, Phase.EXECUTING}:
        told.append(("restarts", str(job.failures)))
    if told:
        info = SubElement(element, "uws:jobInfo")
        for name, value in told:
            # Of no namespace: the schema takes any element here.
            SubElement(info, name).text = clean(value)


def job_document(job: Job, job_url: str, *, ahead: int | None = None) -> bytes:
    """Write a job.

    Parameters
    ----------
    job
        The job.
    job_url
        Its URL.
    ahead
        Jobs queued before it, if it is queued.
    """
    root = Element("uws:job", {**_NAMESPACES, "version": _VERSION})
    _text(root, "jobId", job.id)
    if job.run_id is not None:
        _text(root, "runId", job.run_id)
    _text(root, "ownerId", job.owner)
    _text(root, "phase", job.phase)
    _text(root, "quote", None)
    _text(root, "creationTime", _time(job.created_unix_s))
    _text(root, "startTime", _time(job.started_unix_s))
    _text(root, "endTime", _time(job.ended_unix_s))
    _text(root, "executionDuration", str(job.duration_s))
    _text(root, "destruction", _time(job.destruction_unix_s))
    _fill_parameters(SubElement(root, "uws:parameters"), job, job_url)
    _fill_results(SubElement(root, "uws:results"), job, job_url)
    if job.error is not None:
        kind = "transient" if job.error.transient else "fatal"
        summary = SubElement(root, "uws:errorSummary", {"type": kind, "hasDetail": "true"})
        _text(summary, "message", job.error.message)
    _fill_info(root, job, ahead)
    return _document(root)


def jobs_document(jobs: Sequence[Job], jobs_url: str) -> bytes:
    """Write a list of jobs.

    Parameters
    ----------
    jobs
        In the order of the list.
    jobs_url
        URL of the list, without a trailing slash.
    """
    root = Element("uws:jobs", {**_NAMESPACES, "version": _VERSION})
    for job in jobs:
        attributes = {
            "id": job.id, "xlink:type": "simple", "xlink:href": f"{jobs_url}/{job.id}"
        }  # fmt: skip
        item = SubElement(root, "uws:jobref", attributes)
        _text(item, "phase", job.phase)
        if job.run_id is not None:
            _text(item, "runId", job.run_id)
        _text(item, "ownerId", job.owner)
        _text(item, "creationTime", _time(job.created_unix_s))
    return _document(root)


def parameters_document(job: Job, job_url: str) -> bytes:
    """Write the parameters of a job."""
    root = Element("uws:parameters", _NAMESPACES)
    _fill_parameters(root, job, job_url)
    return _document(root)


def results_document(job: Job, job_url: str) -> bytes:
    """Write the list of a job's results."""
    root = Element("uws:results", _NAMESPACES)
    _fill_results(root, job, job_url)
    return _document(root)

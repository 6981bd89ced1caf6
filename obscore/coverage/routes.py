"""Coverage maps over HTTP."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from obscore.coverage.documents import FORMS, Form, find_form, write_moc
from obscore.coverage.maps import CollectionMaps
from vodal.access.asking import asking_of
from vodal.access.rules import Rights
from vodal.errors import MediaTypeError, UsageError
from vodal.web.etags import listed_tags
from vodal.web.threads import in_thread

__all__ = ["coverage_routes"]

_KEPT = 32
"""Documents that are kept in memory."""


def coverage_routes(maps: CollectionMaps) -> list[BaseRoute]:
    """Make the routes of the maps of all (``/``) and of each collection."""
    documents = _Documents(maps)

    async def answer(request: Request) -> Response:
        collection = request.path_params.get("collection")
        form = _form(request)
        asking = asking_of(request)
        made = await in_thread(partial(documents.find, collection, form, asking.rights))
        data, etag = made
        if asking.rights == asking.public:
            asking.for_all = True
        headers = {"ETag": etag, "Cache-Control": "no-cache", "Vary": "Accept"}
        if listed_tags(request.headers.get("if-none-match")) & {etag, "*"}:
            return Response(status_code=304, headers=headers)
        name = (collection or "all").replace('"', "_").encode("ascii", "replace").decode()
        name = "".join(c if c.isprintable() and c not in '/\\"' else "_" for c in name)
        headers["Content-Disposition"] = f'inline; filename="{name}.moc.{form.extension}"'
        return Response(data, media_type=form.media_type, headers=headers)

    return [Route("/", answer), Route("/{collection:path}", answer)]


def _form(request: Request) -> Form:
    """Find the form that is asked for: by the parameter, else by what the client accepts.

    Raises
    ------
    UsageError
        If there is none of the name.
    """
    given = [text for name, text in request.query_params.multi_items() if _is_format(name)]
    if given:
        form = find_form(given[-1])
        if form is None:
            names = ", ".join(form.name for form in FORMS)
            raise UsageError(f"FORMAT is one of {names}, not '{given[-1][:40]}'")
        return form
    accepted = [
        part.strip().partition(";")[0] for part in request.headers.get("accept", "").split(",")
    ]
    for media_type in accepted:
        if media_type in {"*/*", "application/*", "", "text/html"}:
            return FORMS[0]
        form = find_form(media_type)
        if form is not None:
            return form
    raise MediaTypeError(f"a map is given as {', '.join(form.media_type for form in FORMS)}")


def _is_format(name: str) -> bool:
    return name.upper() in {"FORMAT", "RESPONSEFORMAT"}


class _Documents:
    """Maps as they are sent, the last ones kept. Safe to use from several threads."""

    def __init__(self, maps: CollectionMaps) -> None:
        self._maps = maps
        self._kept: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, collection: str | None, form: Form, rights: Rights) -> tuple[bytes, str]:
        """Give a document and its ETag."""
        ranges = self._maps.find(collection, rights)
        digest = hashlib.sha256(ranges.tobytes()).hexdigest()[:32]
        key = (digest, form.name)
        with self._lock:
            data = self._kept.get(key)
        if data is None:
            data = write_moc(ranges, form)
            with self._lock:
                self._kept[key] = data
                while len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
        return data, f'"{digest}-{form.name}"'

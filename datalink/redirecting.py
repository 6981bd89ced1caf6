"""Files on other servers, fetched by clients from there."""

from __future__ import annotations

from starlette.responses import Response

from datalink.settings import DatalinkSettings
from vodal.products import Product
from vodal.storage import Storage

__all__ = ["redirect_to"]


def redirect_to(
    product: Product, method: str, storage: Storage, settings: DatalinkSettings, *, for_all: bool
) -> Response | None:
    """Give the redirect to a product's file; None where the file is to be streamed. May block.

    The URL is for whoever has it, so that the answer is kept nowhere: neither longer than the URL
    lives nor beyond the rights of who asked.

    Parameters
    ----------
    product
        That the client may have.
    method
        Of the request; a signature holds for one.
    storage
        Signs.
    settings
        Whether it is done, and how long a URL lives.
    for_all
        Whether everybody may have the file.

    Raises
    ------
    ServiceUnavailable
        If nothing can be signed now.
    DataError
        If it lies where the settings do not let it be read.
    """
    if settings.remote_files != "redirect":
        return None
    url = storage.lent_url(product.uri, method, settings.redirect_life_s, for_all=for_all)
    if url is None:
        return None
    return Response(status_code=307, headers={"Location": url, "Cache-Control": "no-store"})

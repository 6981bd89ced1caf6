"""Elements of a VOTable as text (VOTable 1.4; schema of the namespace v1.3)."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc

from vodal.links import KEPT_TEXT, InputParam, ServiceDescriptor
from vodal.tables.cells import holds
from vodal.tables.columns import Column
from vodal.tables.frames import Frame, SpaceFrame
from vodal.xmltext import UNFIT

__all__ = [
    "descriptor_pieces",
    "element",
    "escape",
    "escaped_text",
    "field_element",
    "frame_element",
    "info",
    "unique_ids",
]

_PLAIN = re.compile(r"[ !#-%'-;=?-~]*")
"""Text that is written as it is: ASCII but for the signs below."""

_ESCAPES = str.maketrans(
    {
        "&": "&amp;",
        "<": "&lt;",
        ">": "&gt;",
        '"': "&quot;",
        # Attribute values lose these otherwise (XML 1.0 section 3.3.3).
        "\t": "&#9;",
        "\n": "&#10;",
        "\r": "&#13;",
    }
)


def escape(text: str) -> str:
    """Make text fit for content and attribute values; characters XML cannot carry become ``?``."""
    if _PLAIN.fullmatch(text):
        return text
    return UNFIT.sub("?", text).translate(_ESCAPES)


def escaped_text(array: pa.Array, *, quotes: bool = False) -> pa.Array:
    """Make the cells of a conforming string array fit for content.

    Parameters
    ----------
    array
        The cells.
    quotes
        Whether quotation marks are escaped too, which attribute values need.
    """
    signs = ("&", "<", ">", "\r", *(('"',) if quotes else ()))
    if holds(array, "".join(signs).encode()):
        for sign in signs:
            array = pc.replace_substring(array, pattern=sign, replacement=sign.translate(_ESCAPES))
    return array


def element(tag: str, content: str | None = None, /, **attributes: str | None) -> str:
    """Write an element.

    Parameters
    ----------
    tag
        Its name.
    content
        Markup inside, escaped already; none makes it empty.
    **attributes
        Values, not escaped; those that are None are left out. ``id`` becomes ``ID``.
    """
    shown = "".join(
        f' {"ID" if name == "id" else name}="{escape(value)}"'
        for name, value in attributes.items()
        if value is not None
    )
    return f"<{tag}{shown}/>" if content is None else f"<{tag}{shown}>{content}</{tag}>"


def info(name: str, value: str, content: str = "") -> str:
    """Write an INFO; ``content`` is a message in plain text."""
    return element("INFO", escape(content) if content else None, name=name, value=value)


def frame_element(frame: Frame, xml_id: str) -> str:
    """Write the COOSYS or TIMESYS of a frame."""
    if isinstance(frame, SpaceFrame):
        return element(
            "COOSYS", id=xml_id, system=frame.system, equinox=frame.equinox, epoch=frame.epoch
        )
    return element(
        "TIMESYS",
        id=xml_id,
        timeorigin=frame.timeorigin,
        timescale=frame.timescale,
        refposition=frame.refposition,
    )


@lru_cache(maxsize=4096)
def field_element(column: Column, null: int | None = None, frame_id: str | None = None) -> str:
    """Write the FIELD of a column.

    Parameters
    ----------
    column
        Its metadata.
    null
        The number that stands for a null in the rows.
    frame_id
        XML ID of the frame of its values.
    """
    about = "" if column.description is None else element("DESCRIPTION", escape(column.description))
    values = "" if null is None else element("VALUES", null=str(null))
    return element(
        "FIELD",
        (about + values) or None,
        id=column.id,
        name=column.name,
        datatype=column.datatype,
        arraysize=column.arraysize,
        unit=column.unit,
        ucd=column.ucd,
        utype=column.utype,
        xtype=column.xtype,
        ref=frame_id,
    )


def _values(param: InputParam) -> str:
    least, most = param.minimum, param.maximum
    text = "" if least is None else f'<MIN value="{escape(least)}"/>'
    if most is not None:
        text += f'<MAX value="{escape(most)}"/>'
    for option in param.options:
        text += f'<OPTION value="{escape(option)}"/>'
    return text and f"<VALUES>{text}</VALUES>"


def _input(param: InputParam) -> str:
    """Write a PARAM and the end of its line; the text is kept with it."""
    begun, about = _frame(
        param.name, param.datatype, param.arraysize, param.unit, param.ucd, param.utype,
        param.xtype, param.ref, param.description,
    )  # fmt: skip
    content = about + _values(param)
    ending = f'">{content}</PARAM>\n' if content else '"/>\n'
    text = param.__dict__[KEPT_TEXT] = begun + escape(param.value) + ending
    return text


@lru_cache(maxsize=1024)
def _frame(
    name: str,
    datatype: str,
    arraysize: str | None,
    unit: str | None,
    ucd: str | None,
    utype: str | None,
    xtype: str | None,
    ref: str | None,
    description: str | None,
) -> tuple[str, str]:
    """Write what is the same for all datasets of a PARAM: up to its value, and what it is."""
    empty = element(
        "PARAM",
        name=name,
        datatype=datatype,
        arraysize=arraysize,
        unit=unit,
        ucd=ucd,
        utype=utype,
        xtype=xtype,
        ref=ref,
        value="",
    )
    about = "" if description is None else element("DESCRIPTION", escape(description))
    return empty.removesuffix('"/>'), about


def _text_param(name: str, value: str | None) -> str:
    if value is None:
        return ""
    return element("PARAM", name=name, datatype="char", arraysize="*", value=value) + "\n"


@lru_cache(maxsize=256)
def _about_service(
    description: str | None,
    access_url: str,
    standard_id: str,
    resource_identifier: str | None,
    content_type: str | None,
) -> str:
    """Write what comes before a descriptor's inputs; the same for all datasets."""
    return (
        "\n"
        + ("" if description is None else element("DESCRIPTION", escape(description)) + "\n")
        + _text_param("accessURL", access_url)
        + _text_param("standardID", standard_id or None)
        + _text_param("resourceIdentifier", resource_identifier)
        + _text_param("contentType", content_type)
    )


def descriptor_pieces(service: ServiceDescriptor) -> list[str]:
    """Write a service descriptor and the end of its line, in pieces (DataLink 1.1 section 4).

    They are put together once, with those of all others: links of many datasets have a megabyte of
    them.
    """
    about = _about_service(
        service.description,
        service.access_url,
        service.standard_id,
        service.resource_identifier,
        service.content_type,
    )
    attributes = f'ID="{escape(service.id)}" name="{escape(service.name)}"'
    head = f'<RESOURCE type="meta" utype="adhoc:service" {attributes}>{about}'
    return [
        head + '<GROUP name="inputParams">\n',
        *[one.__dict__.get(KEPT_TEXT) or _input(one) for one in service.inputs],
        "</GROUP>\n</RESOURCE>\n",
    ]


def unique_ids(
    services: Sequence[ServiceDescriptor], taken: Collection[str | None]
) -> list[ServiceDescriptor]:
    """Rename descriptors whose ID a FIELD, frame or other descriptor of the document has already.

    A document is not XML otherwise, and the names of columns in a query are the user's choice.
    """
    used = {name for name in taken if name is not None}
    done = []
    for service in services:
        name, number = service.id, 2
        while name in used:
            name = f"{service.id}-{number}"
            number += 1
        used.add(name)
        done.append(service if name == service.id else replace(service, id=name))
    return done

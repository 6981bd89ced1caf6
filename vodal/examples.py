"""The page of a service's examples: XHTML with RDFa (DALI 1.1 section 2.3)."""

from __future__ import annotations

from collections.abc import Iterable

from vodal.tables.markup import escape

__all__ = ["example_element", "examples_document"]

_STYLE = """
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
pre { background: #f3f4f6; color: #1a1a1a; padding: .7rem; overflow-x: auto }
h2 { font-size: 1.1rem; margin-bottom: 0 } p { margin: .3rem 0 }
"""


def examples_document(title: str, about: str, examples: Iterable[str]) -> str:
    """Write the page.

    Parameters
    ----------
    title, about
        Texts for people.
    examples
        Elements, by `example_element`.
    """
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE html>\n'
        '<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">\n'
        f'<head><title>{escape(title)}</title><meta charset="utf-8"/><style>{_STYLE}</style>'
        "</head>\n"
        f'<body vocab="http://www.ivoa.net/rdf/examples#">\n<h1>{escape(title)}</h1>\n'
        f"<p>{escape(about)}</p>\n" + "".join(examples) + "</body>\n</html>\n"
    )


def example_element(
    xml_id: str, name: str, about: str, content: str, *, for_clients: bool = True
) -> str:
    """Write one example.

    Parameters
    ----------
    xml_id
        An XML name, unique on the page.
    name, about
        Texts for people.
    content
        XHTML: the parameters with their RDFa properties, and what else there is.
    for_clients
        Whether clients find it as an example.
    """
    prop = kind = ""
    if for_clients:
        prop, kind = ' property="name"', f' resource="#{escape(xml_id)}" typeof="example"'
    return (
        f'<div id="{escape(xml_id)}"{kind}>\n'
        f"<h2{prop}>{escape(name)}</h2>\n<p>{escape(about)}</p>\n{content}</div>\n"
    )

"""The XML schemas of registries: those of STILTS' jar, and beside this module what is not there."""

from __future__ import annotations

import re
import shutil
import zipfile
from functools import cache
from pathlib import Path

import pytest
from lxml import etree

HERE = Path(__file__).parent / "schemas"

OURS = {
    "http://www.openarchives.org/OAI/2.0/": "OAI-PMH.xsd",
    "http://www.openarchives.org/OAI/2.0/oai_dc/": "oai_dc.xsd",
    "http://purl.org/dc/elements/1.1/": "dc.xsd",
    "http://www.ivoa.net/xml/RegistryInterface/v1.0": "RegistryInterface.xsd",
    "http://www.ivoa.net/xml/VORegistry/v1.0": "VORegistry.xsd",
    "http://www.ivoa.net/xml/STC/stc-v1.30.xsd": "stc.xsd",
}
THEIRS = {
    "http://www.ivoa.net/xml/VOResource/v1.0": "VOResource-v1.1.xsd",
    "http://www.ivoa.net/xml/VODataService/v1.1": "VODataService-v1.2.xsd",
    "http://www.ivoa.net/xml/TAPRegExt/v1.0": "TAPRegExt-v1.0-Erratum1.xsd",
}


class _Local(etree.Resolver):
    """Gives schemas by the names that others import them by."""

    def __init__(self, jar: zipfile.ZipFile) -> None:
        super().__init__()
        self._jar = jar

    def resolve(self, url, public_id, context):
        del public_id
        if url in THEIRS:
            text = self._jar.read(f"uk/ac/starlink/ttools/taplint/{THEIRS[url]}")
            return self.resolve_string(text, context, base_url=url)
        return self.resolve_filename(str(HERE / OURS.get(url, Path(url).name)), context)


@cache
def schema() -> etree.XMLSchema:
    """Give one schema of all namespaces, or skip where STILTS is not installed."""
    script = shutil.which("stilts")
    found = script and re.search(r"^appjar=(\S+)$", Path(script).read_text(), re.MULTILINE)
    if not found or not Path(found[1]).is_file():
        pytest.skip("no stilts command with the schemas of IVOA")
    # VOResource first: what imports an older one later gets this.
    imports = "".join(
        f'<xs:import namespace="{one}" schemaLocation="{one}"/>' for one in [*THEIRS, *OURS]
    )
    parser = etree.XMLParser(no_network=True)
    with zipfile.ZipFile(found[1]) as jar:
        parser.resolvers.add(_Local(jar))
        text = f'<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">{imports}</xs:schema>'
        return etree.XMLSchema(etree.fromstring(text, parser))


def check(document: bytes) -> etree._Element:
    """See that a document is valid; gives its root."""
    root = etree.fromstring(document)
    schema().assertValid(root)
    return root

"""The example of a maker of links, and what the page says of rows."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from textwrap import dedent
from types import ModuleType

from datalink.collect import collect
from datalink.document import COLUMNS
from datalink.makers.own import own_makers
from datalink.settings import DatalinkSettings, MakerSettings

DOCS = Path(__file__).parents[2] / "docs"


def test_the_example_makes_links(survey_resolver, tmp_path, monkeypatch):
    text = (DOCS / "howto/links.md").read_text("utf-8")
    (code,) = re.findall(r"<!-- test: maker -->\n```python\n(.*?)```", text, re.DOTALL)
    module = ModuleType("nightlog")
    exec(compile(code, "links.md", "exec"), module.__dict__)
    monkeypatch.setitem(sys.modules, "nightlog.links", module)
    monkeypatch.setitem(sys.modules, "nightlog", ModuleType("nightlog"))
    one, other, *_ = survey_resolver.products
    pairs = tmp_path / "pairs.csv"
    pairs.write_text(f"{one},{other}\n")
    for did in (one, other):
        survey_resolver.products[did].obscore["obs_id"] = "night 1/2"
    settings = MakerSettings.model_validate(
        {
            "class": "nightlog.links:LogPages",
            "options": {"root": "https://log.example.org", "subtracted": str(pairs)},
        }
    )
    (page, earlier), (alone,) = collect(
        [one, other], survey_resolver, own_makers([settings]), "http://a"
    )
    assert page.access_url == "https://log.example.org/exposures/night%201%2F2"
    assert alone.semantics == page.semantics == "#documentation"
    assert earlier.semantics == "#progenitor"
    assert earlier.content_type == "image/fits"


def test_the_page_names_all_columns():
    text = (DOCS / "datalink.md").read_text("utf-8")
    assert not [one.name for one in COLUMNS if f"`{one.name}`" not in text]


def test_the_rules_of_the_page_are_settings():
    text = (DOCS / "datalink.md").read_text("utf-8")
    blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", text, re.MULTILINE)
    rules = [tomllib.loads(dedent(block)) for block in blocks if "[[datalink." in block]
    assert len(rules) == 5
    for rule in rules:
        found = DatalinkSettings.model_validate(rule["datalink"])
        assert found.links or found.related

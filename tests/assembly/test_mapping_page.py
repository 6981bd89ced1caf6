"""The page on mapping tells of everything there is, and its examples load."""

from __future__ import annotations

import re
import textwrap
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import get_args

import pytest

from obscore.assembly.check import RULES
from obscore.assembly.refusal import REASONS
from obscore.assembly.report import Status
from obscore.mapping.document import parse_document
from obscore.mapping.expressions import FUNCTIONS
from obscore.mapping.rules import FILE_FACTS, ColumnRule
from obscore.settings import ObsCoreSettings

PAGE = (Path(__file__).parents[2] / "docs" / "howto-mapping.md").read_text("utf-8")


def test_page_names_everything():
    bands = tomllib.loads(files("obscore.assembly").joinpath("bands.toml").read_text("utf-8"))
    names = [f"`{name}`" for name in (*REASONS, *get_args(Status), *ColumnRule.model_fields)]
    names += [f"`{rule.name}`" for rule in RULES]
    names += [f"`{{{fact}}}`" for fact in FILE_FACTS]
    names += [f"| `{name}` | {function.meaning} |" for name, function in FUNCTIONS.items()]
    names += [system["name"] for system in bands["system"][:21]]
    assert [name for name in names if name not in PAGE] == []


def examples_of(section):
    text = re.search(rf"## {section}\n(.*?)\n## ", PAGE, re.DOTALL)[1]
    blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", text, re.MULTILINE)
    return [textwrap.dedent(block) for block in blocks]


@pytest.mark.parametrize("section", ["Collections", "The mapping", "Expressions", "Bands"])
def test_examples_load(section):
    data = tomllib.loads("".join(examples_of(section)))
    assert ObsCoreSettings.model_validate(data["obscore"])


def test_examples_of_files_load():
    settings, commands, document = examples_of("Presets, and mappings in files")
    assert ObsCoreSettings.model_validate(tomllib.loads(settings)["obscore"])
    assert all(line.startswith("skylane mapping ") for line in commands.splitlines() if line)
    assert parse_document(document, "document").files[0].skip

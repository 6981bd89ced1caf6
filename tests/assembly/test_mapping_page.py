"""The page on mapping tells of everything there is, and its examples load."""

from __future__ import annotations

import re
import textwrap
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import get_args

import pytest
from astropy.io import fits

from obscore.assembly.check import RULES
from obscore.assembly.doubts import DOUBTS
from obscore.assembly.read import read_file
from obscore.assembly.refusal import REASONS
from obscore.assembly.report import Status
from obscore.assembly.rules import rules_for
from obscore.mapping.document import BESIDE, parse_document
from obscore.mapping.expressions import FUNCTIONS
from obscore.mapping.rules import FILE_FACTS, ColumnRule, rules_of
from obscore.settings import ObsCoreSettings
from obscore.sources.choice import with_folders
from obscore.sources.fits import FolderSource

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "mapping.md").read_text("utf-8")


def test_page_names_everything():
    bands = tomllib.loads(files("obscore.assembly").joinpath("bands.toml").read_text("utf-8"))
    names = [f"`{name}`" for name in (*REASONS, *get_args(Status), *ColumnRule.model_fields)]
    names += [f"`{rule.name}`" for rule in (*RULES, *DOUBTS)]
    names += [f"`{{{fact}}}`" for fact in FILE_FACTS]
    names += [f"| `{name}` | {function.meaning} |" for name, function in FUNCTIONS.items()]
    names += [system["name"] for system in bands["system"][:22]]
    assert [name for name in names if name not in PAGE] == []


def examples_of(section):
    text = re.search(rf"## {section}\n(.*?)\n## ", PAGE, re.DOTALL)[1]
    blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", text, re.MULTILINE)
    return [textwrap.dedent(block) for block in blocks]


@pytest.mark.parametrize(
    "section", ["Collections", "Rules", "Expressions", "Columns of your own", "Bands"]
)
def test_examples_load(section):
    data = tomllib.loads("".join(examples_of(section)))
    assert ObsCoreSettings.model_validate(data["obscore"])


EXAMPLES = re.findall(
    r"<!-- example: (\S+) -->\n\n(.*?)\n\n(?=\S).*?<!-- mapping -->\n\n(.*?)\n\n(?=\S).*?"
    r"<!-- columns -->\n\n(.*?)\n\n",
    PAGE, re.DOTALL,
)  # fmt: skip


@pytest.mark.parametrize(("path", "cards", "mapping", "columns"), EXAMPLES)
def test_worked_examples_give_what_they_say(path, cards, mapping, columns, tmp_path, image_writer):
    """The image of the page, with the mapping beside it, has the columns of the page."""
    _, folder, *inner = path.removeprefix("/").split("/")
    root = tmp_path / folder
    header = fits.Header.fromstring(textwrap.dedent(cards), sep="\n")
    image = image_writer(root.joinpath(*inner), header)
    (root / BESIDE).write_text(textwrap.dedent(mapping), "utf-8")
    source = FolderSource(root, start=image)
    (candidate,) = source.walk()
    rules = rules_for(with_folders(ObsCoreSettings(), [source]), source.collection)
    outcome = read_file(candidate, rules)
    assert outcome.file is not None, outcome.refusal
    row = outcome.file.observations[0].row
    told = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", columns, re.MULTILINE))
    assert len(told) > 6
    for name, text in told.items():
        made = row[name]
        expected = text.strip() if isinstance(made, str) else float(text)
        # The page gives days to a millisecond.
        about = expected if isinstance(made, str) else pytest.approx(expected, rel=1e-9, abs=0)
        if name in {"t_min", "t_max"}:
            about = pytest.approx(expected, abs=2e-9, rel=0)
        assert made == about, (name, made)
    # Each rule of the mapping is one of the table, or of a text that needs no explanation.
    document = parse_document(textwrap.dedent(mapping), "mapping")
    assert set(rules_of(document.mapping)) - set(told) <= {"instrument_name"}


def test_there_are_worked_examples():
    assert len(EXAMPLES) == PAGE.count("<!-- example:") == 2


def test_examples_of_files_load():
    settings, commands, document = examples_of("Presets, and mappings in files")
    assert ObsCoreSettings.model_validate(tomllib.loads(settings)["obscore"])
    assert all(line.startswith("skylane mapping ") for line in commands.splitlines() if line)
    assert parse_document(document, "document").files[0].skip

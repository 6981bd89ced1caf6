"""Documents made from the code: settings file, page of settings, tables of parameters."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from obscore.mapping.document import MappingDocument
from obscore.mapping.rules import ColumnRule
from skylane.settings import SiteSettings
from soda.parameters import PARAMETERS

__all__ = ["settings_file", "settings_page", "with_parameters"]

_WIDTH = 96
_OF_RULES = frozenset({"ColumnMapping", "ColumnRule"})
"""Settings that are told of apart."""


def _model_of(field: FieldInfo) -> type[BaseModel] | None:
    """Give the settings class of a field that is a section of its own, perhaps an optional one."""
    kind = field.annotation
    kinds = get_args(kind) if type(None) in get_args(kind) else (kind,)
    models = [one for one in kinds if isinstance(one, type) and issubclass(one, BaseModel)]
    return models[0] if models else None


def _many_of(field: FieldInfo) -> type[BaseModel] | None:
    """Give the settings class of a field that holds several by name."""
    for argument in get_args(field.annotation):
        if isinstance(argument, type) and issubclass(argument, BaseModel):
            return argument
        for inner in get_args(argument):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                return inner
    return None


def _toml(value: Any) -> str | None:
    """Write a default as TOML; None has no form there."""
    if value is None or isinstance(value, Path | BaseModel | dict):
        return None
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_toml(item) or "" for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def _sections(
    model: type[BaseModel], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], type[BaseModel]]]:
    """Give each section with its key path; ``<name>`` stands for a name of the user's."""
    yield path, model
    for name, field in model.model_fields.items():
        section = _model_of(field)
        many = _many_of(field)
        if section is not None and section.__name__ not in _OF_RULES:
            yield from _sections(section, (*path, name))
        elif many is not None and section is None and many.__name__ != "ColumnRule":
            listed = get_origin(field.annotation) is tuple
            yield from _sections(many, (*path, f"{name}[]") if listed else (*path, name, "<name>"))


def _plain_fields(model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        section = _model_of(field)
        of_rules = section is not None and section.__name__ in _OF_RULES
        if of_rules or (section is None and _many_of(field) is None):
            yield field.alias or name, field


def _default(field: FieldInfo) -> str | None:
    if field.is_required():
        return None
    return _toml(field.get_default(call_default_factory=True))


def _heading(path: tuple[str, ...]) -> str:
    """Write a section's heading; a list of tables has two brackets."""
    key = ".".join(path).replace("[]", "")
    return f"[[{key}]]" if path[-1].endswith("[]") else f"[{key}]"


def settings_file() -> str:
    """Write a ``skylane.toml`` that holds every setting with its default, commented out."""
    lines = [
        "# Settings of a Skylane site. Every line that is commented out shows the default.",
        "",
    ]
    for path, model in _sections(SiteSettings):
        fields = list(_plain_fields(model))
        if not fields or not path:
            continue
        # Neither is there by default: tables of the user's names, and lists.
        several = "<name>" in path or path[-1].endswith("[]")
        lines.append(("# " if several else "") + _heading(path))
        for name, field in fields:
            text = " ".join((field.description or "").split())
            lines += [f"# {line}" for line in textwrap.wrap(text, _WIDTH)]
            if not isinstance(field.annotation, type) or _model_of(field) is None:
                lines.append(f"# {name} = {_default(field) or '...'}")
            lines.append("")
    return "\n".join(lines)


def settings_page() -> str:
    """Write ``docs/settings.md``."""
    lines = [
        "# Settings",
        "",
        "A site's settings lie in `skylane.toml` in its folder (`skylane init` writes one with",
        "every default). Each can also be given in the environment: `SKYLANE_`, then the key path",
        "in upper case with two underscores between its parts (`SKYLANE_SODA__WORKERS=4`). An",
        "unknown key is refused with its path.",
        "",
        "This page is made from the code (`make docs`).",
    ]
    for path, model in _sections(SiteSettings):
        fields = list(_plain_fields(model))
        if not fields or not path:
            continue
        lines += _section(f"`{_heading(path)}`", model, fields)
    for heading, model in _OF_MAPPINGS.items():
        lines += _section(heading, model, list(model.model_fields.items()))
    return "\n".join(lines) + "\n"


_OF_MAPPINGS: dict[str, type[BaseModel]] = {
    "A rule of a `mapping`, by column: `t_exptime = { ... }`": ColumnRule,
    "`skylane-mapping.toml`, and any `mapping_file`": MappingDocument,
}


def _section(
    heading: str, model: type[BaseModel], fields: list[tuple[str, FieldInfo]]
) -> list[str]:
    doc = " ".join((model.__doc__ or "").split())
    lines = ["", f"## {heading}", "", doc, "", "| key | default | meaning |", "|---|---|---|"]
    for name, field in fields:
        text = " ".join((field.description or "").split()).replace("|", "\\|")
        default = (_default(field) or "").replace("|", "\\|")
        lines.append(f"| `{name}` | {f'`{default}`' if default else ''} | {text} |")
    return lines


_TABLE = re.compile(r"(<!-- parameters: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def _parameters(group: str) -> str:
    """Write a table of parameters of cutouts."""
    lines = ["| parameter | value | meaning |", "|---|---|---|"]
    lines += [
        f"| `{one.name}` | {one.values} | {one.meaning} |"
        for one in PARAMETERS
        if one.group == group
    ]
    return "\n".join(lines) + "\n"


def with_parameters(page: str) -> str:
    """Fill the tables of ``docs/soda.md``, which stand between comments, from the declarations."""
    return _TABLE.sub(lambda found: found[1] + _parameters(found[2]) + found[3], page)


if __name__ == "__main__":
    Path("docs/settings.md").write_text(settings_page(), "utf-8")
    soda = Path("docs/soda.md")
    soda.write_text(with_parameters(soda.read_text("utf-8")), "utf-8")

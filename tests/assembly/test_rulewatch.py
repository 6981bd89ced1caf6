"""Rules that change while a watch runs are told, each change once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from obscore.assembly.rulebook import RuleBook
from obscore.assembly.rulewatch import tell_changed_rules
from obscore.settings import ObsCoreSettings


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110 - it tells in no other way
            await asyncio.sleep(0.01)


def test_each_change_of_a_mapping_beside_the_data_is_told_once(tmp_path: Path) -> None:
    beside = tmp_path / "skylane-mapping.toml"
    beside.write_text("mapping = { obs_title = 'from {stem}' }")
    book = RuleBook(
        ObsCoreSettings.model_validate({"collections": {"deep": {"folder": str(tmp_path)}}})
    )
    first = book.of("deep")
    assert book.changed() == {}
    notices: list[str] = []

    def write(text: str) -> None:
        aside = tmp_path / "aside"
        aside.write_text(text)
        aside.rename(beside)

    async def changes() -> None:
        watching = asyncio.create_task(tell_changed_rules(book, notices.append, 0.01))
        write("mapping = { obs_title = 'of {stem}' }")
        await until(lambda: notices)
        write("mapping = { obs_titl = 'of {stem}' }")
        await until(lambda: len(notices) == 2)
        write("mapping = { obs_title = 'from {stem}' }")
        await until(lambda: not book.changed())
        beside.unlink()
        await until(lambda: len(notices) == 3)
        watching.cancel()

    asyncio.run(changes())
    plain, wrong, gone = notices
    assert plain == gone
    assert "the rules of collection 'deep' have changed" in plain
    assert "heeded when it starts anew" in plain
    assert "skylane-mapping.toml: mapping.obs_titl: unknown key" in wrong
    assert book.of("deep") is first

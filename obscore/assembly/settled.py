"""What was told lately, so that it is not told, or read, again."""

from __future__ import annotations

from collections import OrderedDict

__all__ = ["Settled"]

_REMEMBERED = 10_000


class Settled:
    """Remembers a mark of each file whose outcome was told lately, by URI."""

    def __init__(self) -> None:
        self._marks: OrderedDict[str, str] = OrderedDict()

    def has(self, uri: str, mark: str) -> bool:
        """Tell whether this is what was told of a file last."""
        return self._marks.get(uri) == mark

    def is_news(self, uri: str, mark: str) -> bool:
        """Remember what is told of a file; tells whether it was not told lately."""
        if self.has(uri, mark):
            return False
        self._marks[uri] = mark
        self._marks.move_to_end(uri)
        if len(self._marks) > _REMEMBERED:
            self._marks.popitem(last=False)
        return True

    def forget(self, uri: str) -> None:
        """Forget a file, or all below a folder, whose URI ends in ``/``."""
        self._marks.pop(uri, None)
        if uri.endswith("/"):
            for inner in [one for one in self._marks if one.startswith(uri)]:
                del self._marks[inner]

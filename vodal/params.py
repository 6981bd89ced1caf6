"""DALI request parameters: names without case, values as lists (DALI 1.1 section 3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from typing_extensions import override

from vodal.errors import MultiValuedParamNotSupported, UsageError

__all__ = ["Params"]


class Params(Mapping[str, list[str]]):
    """The parameters of one request, from the URL's query and a form body together.

    Names compare without case; unknown names are kept and ignored by who does not know them.
    Empty values are dropped, since forms send them for fields left empty.
    """

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            if value.strip():
                self._values.setdefault(name.upper(), []).append(value.strip())

    @override
    def __getitem__(self, name: str) -> list[str]:
        return self._values[name.upper()]

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    @override
    def __len__(self) -> int:
        return len(self._values)

    def all(self, name: str) -> list[str]:
        """Give every value of a multi-valued parameter, in order; empty if not given."""
        return self._values.get(name.upper(), [])

    def one(self, name: str, default: str | None = None) -> str | None:
        """Give the value of a single-valued parameter.

        Raises
        ------
        MultiValuedParamNotSupported
            If it was given more than once with different values.
        """
        values = self.all(name)
        if not values:
            return default
        if len(set(values)) > 1:
            raise MultiValuedParamNotSupported(f"{name.upper()} may be given only once")
        return values[0]

    def required(self, name: str) -> str:
        """Give the value of a parameter that must be there.

        Raises
        ------
        UsageError
            If it is missing.
        """
        value = self.one(name)
        if value is None:
            raise UsageError(f"the parameter {name.upper()} is missing")
        return value

    def integer(self, name: str, default: int | None = None, *, minimum: int = 0) -> int | None:
        """Give a whole number.

        Raises
        ------
        UsageError
            If it is no whole number or below ``minimum``.
        """
        text = self.one(name)
        if text is None:
            return default
        try:
            number = int(text)
        except ValueError:
            raise UsageError(f"{name.upper()} takes a whole number, not '{text[:40]}'") from None
        if number < minimum:
            raise UsageError(f"{name.upper()} must be {minimum} or more, not {number}")
        return number

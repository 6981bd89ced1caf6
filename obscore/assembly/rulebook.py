"""The rules of all collections, those of each read once, and again when they have changed."""

from __future__ import annotations

from collections.abc import Callable

from obscore.assembly.rules import Rules, rules_for
from obscore.settings import CollectionSettings, ObsCoreSettings
from vodal.errors import ServiceUnavailable, SettingsError
from vodal.storage import LOCAL, Storage

__all__ = ["RuleBook"]

_PLACES = ("folder", "manifest", "table", "source", "butler")


class RuleBook:
    """Gives the rules of collections. Safe to use from several threads.

    Parameters
    ----------
    settings
        Of the catalogue.
    storage
        Reads the mappings beside data on servers.
    anew
        Reads the settings again, for `renew`; by default they stay as they are, and files with
        mappings alone are looked at. May raise SettingsError.
    """

    def __init__(
        self,
        settings: ObsCoreSettings,
        storage: Storage = LOCAL,
        anew: Callable[[], ObsCoreSettings] | None = None,
    ) -> None:
        self._settings, self._storage, self._anew = settings, storage, anew
        self._read: dict[str, Rules] = {}
        self._asked: set[str] = set()

    def __contains__(self, collection: str) -> bool:
        return collection in self._read

    def of(self, collection: str) -> Rules:
        """Give the rules of a collection.

        Raises
        ------
        SettingsError
            If its mapping file cannot be read, or is wrong; names file and key.
        ServiceUnavailable
            If the server with the data does not answer now.
        """
        rules = self._read.get(collection)
        if rules is None:
            self._asked.add(collection)
            rules = rules_for(self._settings, collection, self._storage)
            # Two threads may read at once: both go by what the first has read.
            rules = self._read.setdefault(collection, rules)
        return rules

    def renew(self) -> dict[str, str]:
        """Take up rules that have changed since they were read; for one thread at a time.

        Those that are wrong, or ask for what cannot be had while the line runs, are not taken up:
        the old ones hold. What cannot be asked now, as its server does not answer, counts as it
        was.

        Returns
        -------
        dict
            By collection, why its new rules are not taken up; empty where they are.
        """
        try:
            settings = self._settings if self._anew is None else self._anew()
        except SettingsError as error:
            return dict.fromkeys(sorted(self._asked), error.message)
        found: dict[str, str] = {}
        for collection in sorted(self._asked):
            try:
                self._renew(collection, settings, found)
            except SettingsError as error:
                found[collection] = error.message
            except ServiceUnavailable:
                continue
        return found

    def _renew(self, collection: str, settings: ObsCoreSettings, found: dict[str, str]) -> None:
        """Take up the rules of one collection, and note what comes of it if they have changed."""
        old = self._read.get(collection)
        if _places(settings, collection) != _places(self._settings, collection):
            found[collection] = _LATER.format("what it is made of")
            return
        rules = rules_for(settings, collection, self._storage)
        if rules == old:
            return
        found[collection] = "" if old is None else self._why_later(collection, old, rules)
        if not found[collection]:
            self._read[collection] = rules

    def _why_later(self, collection: str, old: Rules, new: Rules) -> str:
        """Say what of new rules cannot be had now; empty if all can."""
        if old.extra != new.extra:
            return _LATER.format("columns that are added to ivoa.obscore")
        own = self._settings.collections.get(collection)
        if own is not None and own.butler is not None and new.facts_taken - old.facts_taken:
            return _LATER.format("facts that are asked of a Butler")
        return ""


_LATER = "{} cannot change while it runs, and are heeded when it starts anew"


def _places(settings: ObsCoreSettings, collection: str) -> list[object]:
    own = settings.collections.get(collection) or CollectionSettings()
    return [getattr(own, name) for name in _PLACES]

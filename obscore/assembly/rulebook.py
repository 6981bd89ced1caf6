"""The rules of all collections, those of each read once."""

from __future__ import annotations

from obscore.assembly.rules import Rules, rules_for
from obscore.settings import ObsCoreSettings
from vodal.errors import ServiceUnavailable, SettingsError
from vodal.storage import LOCAL, Storage

__all__ = ["RuleBook"]


class RuleBook:
    """Gives the rules of collections. Safe to use from several threads.

    Parameters
    ----------
    settings
        Of the catalogue.
    storage
        Reads the mappings beside data on servers.
    """

    def __init__(self, settings: ObsCoreSettings, storage: Storage = LOCAL) -> None:
        self._settings, self._storage = settings, storage
        self._read: dict[str, Rules] = {}

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
            rules = rules_for(self._settings, collection, self._storage)
            # Two threads may read at once: both go by what the first has read.
            rules = self._read.setdefault(collection, rules)
        return rules

    def changed(self) -> dict[str, str]:
        """Tell whose rules are not those any more that were read, and what is wrong, by collection.

        Where nothing is wrong with the new ones the text is empty. What cannot be asked now, as its
        server does not answer, counts as it was.
        """
        found = {}
        for collection, rules in sorted(self._read.items()):
            try:
                if rules_for(self._settings, collection, self._storage) != rules:
                    found[collection] = ""
            except SettingsError as error:
                found[collection] = error.message
            except ServiceUnavailable:
                continue
        return found

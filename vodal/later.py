"""Modules that are loaded in a thread, because they take long and can be done without at first."""

from __future__ import annotations

import importlib
import logging
import threading
from types import ModuleType

__all__ = ["LaterModule"]

_LOG = logging.getLogger(__name__)


class LaterModule:
    """A module of compiled code, which takes half a second to load and memory to hold.

    Parameters
    ----------
    name
        Its full name. It has a function ``load`` that makes all of it ready.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._module: ModuleType | None = None

    def begin(self) -> None:
        """Load it in a thread, if that was not begun before."""
        with self._lock:
            if self._thread is None:
                # Waited for when the process ends: the compiler cannot be left.
                self._thread = threading.Thread(target=self._load, name=f"load {self._name}")
                self._thread.start()

    def _load(self) -> None:
        try:
            module = importlib.import_module(self._name)
            module.load()
        except Exception:  # noqa: BLE001 - whatever it is, there is another way
            _LOG.exception("the compiled code of %s is not there; others do its work", self._name)
        else:
            self._module = module

    def wait(self) -> None:
        """Load it, and wait until it is there."""
        self.begin()
        assert self._thread is not None
        self._thread.join()

    @property
    def module(self) -> ModuleType | None:
        """The module; None while it is not there, and then loading it is begun."""
        if self._module is None:
            self.begin()
        return self._module

    @property
    def loaded(self) -> ModuleType | None:
        """The module if it is there; loading it is not begun."""
        return self._module

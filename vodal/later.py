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

    After an installation it takes seconds more: it has to be compiled once.

    Parameters
    ----------
    name
        Its full name. It has a function ``load`` that makes all of it ready.
    pays_at
        Work, in a unit of the callers', that has to be done without it before it is worth loading
        (`pays`). A command that makes one cutout would wait for it longer than it saves.
    """

    def __init__(self, name: str, *, pays_at: int = 0) -> None:
        self._name, self._pays_at = name, pays_at
        self._asked = 0
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

    def wait(self, most_s: float | None = None) -> None:
        """Load it, and wait until it is there, or for so many seconds."""
        self.begin()
        assert self._thread is not None
        self._thread.join(most_s)

    def pays(self, work: int) -> ModuleType | None:
        """Give the module; None while it is not there.

        Loading is begun when as much work was asked of it as pays.

        Parameters
        ----------
        work
            What it is asked for now.
        """
        if self._module is None:
            # Threads that count at once may lose some of it; loading begins a little later then.
            self._asked += work
            if self._asked >= self._pays_at:
                self.begin()
        return self._module

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

"""What describes the site's services in tables of its products."""

from __future__ import annotations

from typing import Final

from datalink.descriptors import DatalinkAnnotator
from soda.links import SodaAnnotator

__all__ = ["ANNOTATORS"]

ANNOTATORS: Final = (DatalinkAnnotator(), SodaAnnotator())
"""Of each service that has anything to do with the rows of a table."""

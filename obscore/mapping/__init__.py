"""The declarative mapping as settings: what users write, checked when it is loaded.

- `rules`     where a column's value comes from, for all files or some
- `expressions`  the small language of a rule's ``expr``
- `values`, `dates`  numbers, texts and dates, as cards and rules write them
- `lookup`    tables of rules in files of their own
- `band`      filters that the built-in table of bands lacks
- `document`  mappings in files of their own: presets, and files beside the data

`obscore.assembly.rules` puts them together for a collection, and `obscore.assembly.mapping`
applies them to a product.
"""

from __future__ import annotations

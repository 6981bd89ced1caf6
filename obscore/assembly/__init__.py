"""From files to rows of ObsCore, in the order data flows.

- `line`          a run: what is new is read in processes and written in batches
- `flow`          what a run does at once: walking, reading, writing
- `readers`       the processes that read
- `cluster`       the workers of a Dask cluster in their place
- `portion`       several files at a time, as they are given them
- `timelimit`     an end to what takes too long
- `ahead`         headers of files on servers, fetched side by side
- `survey`        what of a source is new, beside the catalogue
- `rules`         the settings that hold for a collection, and their digest
- `rulebook`      those of all collections, each read once
- `extra`         the columns that a site adds, of all collections; values that fit them
- `digests`       the digests of many files by column
- `renewal`       files that changed, taken in anew while the site is served
- `told`          one file: its rows, of what its source tells alone
- `garbage`       how often Python looks for it meanwhile
- `columnwise`    the rows of many such files, column by column
- `opening`       such files, opened when they are first needed
- `parts`         which HDUs hold the products that a source tells of
- `outcome`       what comes of either
- `read`          one file: its headers, its products, and the steps that make a row
- `context`       what a step sees: cards, coordinates, footprint
- `mapping`       columns that the settings set
- `trace`, `explain`  where each column of a row came from
- `units`         conversion of a mapped number to its column's unit
- `identity`      identifiers, target, telescope, instrument, title
- `access`        what access_url gives, and the file's size
- `kind`          type, calibration level, what the pixels measure
- `position`      footprint, pixels, sharpness
- `time`          start, end, exposure, in MJD and UTC
- `timeaxis`      the same, of an axis of time
- `spectrum`      wavelengths, of an axis or of a filter
- `bands`         the table of filters
- `polarization`  states on a Stokes axis
- `axes`          the axes that are not of the sky
- `rulewatch`     rules that change while the line runs
- `check`         the rules that every row must keep
- `doubts`        what is odd about a row that keeps them
- `refusal`       why a file makes no row
- `batch`         files on their way into the store
- `report`        one record a file, and the summary
- `recording`     the run that wrote each file, and the settings that it went by
- `live`          the line kept running: files are catalogued as they land
- `settled`       what was told lately of files
- `landing`       files that have landed, until they are whole
- `outbox`        what it has read and waits to be written, as batches
- `delivery`      a batch into store and report
"""

from __future__ import annotations

from obscore.assembly.line import ingest
from obscore.assembly.report import FileReport, Summary, json_lines

__all__ = ["FileReport", "Summary", "ingest", "json_lines"]

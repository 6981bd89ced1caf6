"""Datasets of an LSST Butler, in the order data flows.

- `settings`  the keys of LSST's ObsCore configuration
- `configuration`  that configuration, read from its file
- `repository`  the Butler itself: what can be asked of it, and what goes wrong
- `records`  dimension records in bulk: regions, time spans
- `files`  where the files of datasets lie, and how large they are
- `templates`, `rows`  what a dataset tells, by column
- `regions`  their regions as ours
- `source`  the datasets as files to be catalogued
- `testing`  a repository of synthetic images

Only `repository`, `records`, `files`, `regions`, `source` and `testing`
need ``skylane[butler]``.
"""

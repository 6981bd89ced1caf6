"""Where a pipeline tells of the files that it has written, over HTTP.

- `naming`  which files may be named
- `work`    a job of such files: read, written, told of
- `routes`  the resources ``/ingest`` and ``/ingest/JOB``
- `app`     all of it
"""

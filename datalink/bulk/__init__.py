"""Many files at once: a list of identifiers becomes one archive that can be gone on with.

The archive is never made as a whole: where each of its bytes comes from is known beforehand, so
that its length is told, and any range of it is read from the files themselves.

In the order data flows:

- `settings`  limits
- `request`   identifiers of a request, or of tables that come with it
- `lists`     lists of identifiers, kept under an address
- `plan`      which files there are for a list, and why others are not
- `sums`      checksums of files, taken as they are sent, and kept
- `manifest`  what is told of the files at the end of their archive
- `packing`   the archive as a content
- `routes`    ``/files/bulk``
"""

"""DataLink 1.1 and the retrieval of files.

In the order data flows:

- `settings`     limits and the size of previews
- `semantics`    the terms of DataLink's core vocabulary
- `names`        identifiers as one segment of a URL's path
- `makers`       who makes the rows
- `faults`       what goes wrong as a row that says so
- `beside`       files beside images that the rules of a site tell of
- `collect`      the links of products, asked from every maker
- `capabilities` what the service says it can
- `document`     links as a table with its service descriptors
- `descriptors`  what a TAP answer says about its products' links
- `conditions`   conditional requests and byte ranges (RFC 9110)
- `content`      what is sent: bytes of a known number, made of parts
- `files`        the file of a product as it is stored
- `form`         which HDUs of it a client asks for, and whether uncompressed
- `layout`       which bytes make up such a file
- `gunzipping`   the plain stream of a gzip, read as it is decompressed
- `slabs`        in which slabs a tile-compressed image is unpacked
- `process`      the process in which pixels are decoded
- `unpacking`    tile-compressed images unpacked there
- `forms`        contents in every form
- `redirecting`  files on other servers, fetched from there
- `delivery`     a content as the client asked for it: whole, in ranges, or not again
- `picture`      a small picture of an image
- `preview`      pictures of three sizes made in a process of their own, kept on disk
- `bulk`         many files as one archive that can be gone on with
- `routes`       ``/datalink`` and ``/files``
- `app`          the two apps
"""

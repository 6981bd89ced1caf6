"""From FITS files to ObsCore rows, and to their query by TAP.

In the order data flows:

- `columns`      the columns of ``ivoa.obscore`` as data
- `observation`  what the assembly line makes of a file
- `filecolumns`  many of these by column
- `mapping`      what users write to set columns: rules, bands, presets
- `extra`        columns that a site adds, as its settings declare them
- `sources`      what there is to catalogue
- `assembly`     headers, footprint, byte offsets: one row a product
- `hook`         where a pipeline tells of the files that it has written
- `store`        SQLite: rows, spatial index, byte indexes; products by id and place
- `adql`         ADQL 2.1 to SQL
- `explain`      why a query takes as long as it does
- `tap`          the TAP service
- `app`          the service as an app
- `testing`      synthetic catalogues
"""

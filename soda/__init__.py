"""Cutouts on demand (SODA 1.0): the pixels of a product that a stencil on the sky meets.

In the order data flows:

- `settings`  what an operator can set
- `selection` what part of a dataset is wanted
- `formats`   media types and short names
- `parameters` what a request can say, declared once
- `values`    words and numbers of a request
- `output`    what is made of the pixels
- `params`    the request's parameters as frozen values
- `packing`   how several cutouts are put together
- `extensions` parameters beyond the standard: pixels and HDUs
- `filters`   BAND, TIME and POL where the product's row tells
- `finding`   from identifiers to what is cut
- `names`     names of files
- `renewing`  what is found and cut once more where its file is another
- `source`    what of a file's byte index a cutout needs
- `distance`  how far points are from a stencil
- `caps`      sides of a polygon that lie together
- `clearance` how far short arcs are from a stencil
- `boundary`  distances and clearances by compiled code
- `box`       boxes of pixels
- `edges`     pixels decided by the coordinates of their edges
- `blocks`    blocks of pixels with circles on the sky around them
- `skyimage`  which pixels a stencil meets
- `skyblocks` the circles around an image's blocks by compiled code
- `skysearch` the same by compiled code, where the sky is flat
- `axes`      which pixels of spectral, time and Stokes axes are wanted
- `hdus`      which HDUs are wanted, and which tables belong to an image
- `plan`      which sections of which HDUs make up a cutout
- `origin`    which pixels of which original an image holds
- `header`    the cards of a section: coordinates shifted, what is stale left out
- `steps`     cards of an axis of which every n-th pixel is kept
- `skies`     skies that were used last
- `lookups`   tables that coordinates refer to, carried along
- `reading`   the pixels and tables of a cutout
- `outside`   pixels outside of the stencil
- `encode`    FITS bytes
- `compress`  tile-compressed images
- `grid`      pixels of pictures on the sky
- `picture`   a cutout as a picture
- `color`     three cutouts as one picture in colour
- `stopwatch` what the steps of a cutout take
- `cut`       a whole cutout, from a product or a file
- `files`     files to cut from, also those that changed since they were catalogued
- `worker`    what runs in the pool's processes
- `warmup`    a first cutout, that loads all libraries
- `inputs`    the parameters as descriptors tell them
- `links`     rows and descriptors for DataLink and TAP
- `outcomes`  what became of each of several cutouts
- `groups`    several cutouts in one FITS file
- `ordering`  rows put in order on disk
- `worklist`  the cutouts of a job, in the order in which they are made
- `ledger`    what a job has made so far
- `bulk`      the pool at work for a job
- `batches`   the cutouts of a job, made by the pool
- `earlier`   those of them that an earlier output has
- `combined`  results of a job that are made of several datasets each
- `targets`   from the rows of an uploaded table to cutouts
- `jobresults` what became of its cutouts, as its results
- `jobs`      what a job does
- `intake`    the parameters and tables of a job
- `metrics`   what is counted
- `sending`   the body of an answer on its way
- `answers`   a cutout on its way out: made, counted, sent
- `one`       one cutout as an answer
- `many`      several cutouts in one answer
- `async_routes` the resources of jobs
- `stitch`    several images on one grid of pixels
- `times`     when the time axes of datasets are, for examples
- `examples`  requests to start from
- `capabilities` what the service says it can
- `routes`    the service's resources
- `app`       the service

Nothing but `sending`, `answers`, `one`, `many`, `intake`, `async_routes`, `stitch.routes`, `routes`
and `app` knows of HTTP.
"""

"""HiPS that nobody builds: each tile made on demand from the images that cover it.

In the order data flows:

- `settings`   what can be set
- `selection`  what a name stands for: a collection, a band, dates, a saved condition
- `images`     an image as it is sent to a worker, and what a worker is asked
- `recipe`     depth, common scale and grey levels: of the built HiPS, or chosen once and kept
- `seen`       what a worker keeps of images
- `previews`   an image at coarse orders, kept on disk
- `render`     a tile from pixels and previews
- `worker`     what runs in the pool's processes
- `sources`    previews and images ready for a tile
- `landings`   previews of images soon after they have landed
- `tiles`      a tile, from the cache or made
- `palette`    which HiPS in colour there are
- `paint`      what of them runs in the pool's processes
- `color`      a tile in colour, from those of its bands
- `summary`    properties and MOC
- `pictures`   Allsky and preview of the whole
- `routes`     all of it over HTTP

`seen`, `previews` and `render` are for workers; the server's process imports none of them.
"""

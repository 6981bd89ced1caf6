"""What tests of several packages share: synthetic skies, servers, a database.

- `skies`     synthetic surveys whose pixels are known
- `asgi`      an app called without a network
- `server`    an app on a free port
- `jobs`      a runner of asynchronous jobs in a folder of its own
- `archive`   an HTTP server of files that can misbehave
- `nginx`     files behind nginx
- `issuer`    an OpenID provider
- `memory`    by how much memory grows with the work
- `s3`        an object store that speaks as S3 does
- `postgres`  a private PostgreSQL cluster with pg_sphere
"""

"""Who sends a request.

- `settings`   how somebody can be known
- `base`       the seam: who tells it
- `keys`       the keys of whoever issues tokens
- `tokens`     bearer tokens (JWT)
- `proxy`      headers of a proxy in front, and whether one is
- `origins`    pages of other sites that would act for a proxy's users
- `signed`     URLs that are signed and expire
- `challenge`  how a client is told to say who it is
- `middleware` looks, and lets the answer tell what it depends on
- `routes`     ``/auth``: signs URLs, tells who one is
"""

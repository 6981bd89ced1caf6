"""The site's records for the VO Registry: VOResource, as a publishing registry and as files.

In the order data flows:

- `settings`    who publishes; what is told of each collection
- `resource`    a record as a value
- `identifiers` which IVOID each record has
- `coverage`    sky, times and energies (VODataService 1.2 section 3.1)
- `holdings`    the records of a site, of its settings, services and catalogue
- `voresource`  a record as VOResource 1.1
- `dublincore`  a record as Dublin Core
- `dates`       when each record changed last; kept in the site's folder
- `records`     the records of this moment with their dates
- `request`     a request of OAI-PMH, checked; pages of long lists
- `oai`         answers of OAI-PMH 2.0
- `routes`      the same over HTTP, with capabilities
- `app`         the service, to be mounted at ``/registry``
- `files`       what ``skylane registry`` does
"""

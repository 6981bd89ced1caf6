"""What every web service of the suite does alike.

- `zerocopy`   files that the kernel sends to clients
- `connections` how long a request may take to come, and how many may wait
- `multipart`  form bodies with files, which go straight to disk
- `requests`   parameters of the query and of form bodies; the site's address
- `fetch`      files from other servers, of hosts on a list and of public addresses only
- `threads`    blocking work off the event loop
- `etags`      which entity tags a client names
- `presence`   work for a client that may go away meanwhile
- `responses`  streams made in threads; errors as text
- `encoding`   answers compressed on their way
- `auth`       who sends a request
- `slashes`    redirects that only add or take a slash
- `protection` what answers say to browsers against misuse; which hosts we are
- `app`        an app with the suite's error handling; CORS
"""

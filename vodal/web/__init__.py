"""What every web service of the suite does alike.

- `requests`   parameters of the query and of form bodies; the site's address
- `responses`  streams made in threads; errors as text
- `app`        an app with the suite's error handling; CORS
"""

"""Tables that come with a request, for any service that takes them (DALI 1.1 section 3.4.5).

- `settings` limits
- `tables`   from the UPLOAD parameter to tables that can be read
- `jobs`     tables that come with jobs, kept until they run
"""

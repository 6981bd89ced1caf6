"""Asynchronous jobs by the Universal Worker Service pattern (UWS 1.1), for any service.

In the order data flows:

- `settings`   limits and places
- `jobs`       a job, its phases and what may follow what
- `store`      the seam of the queue that several server processes share, and what it is asked
- `table`      the table of jobs, and its rows as jobs
- `sql`        the queue in SQL, whatever the database
- `sqlite`     the queue in a file of its own
- `postgres`   the queue in a table of PostgreSQL
- `results`    files of a job: what was uploaded, what came out
- `watch`      who waits for a job to change
- `tasks`      a job at work, and the seam `Work` that a service fills
- `loop`       the service's event loop, for the threads of jobs
- `runner`     threads that take jobs from the queue and run them
- `service`    what a client may ask of jobs
- `documents`  jobs as XML
- `pages`      jobs as pages for a browser
- `callers`    who asks, as far as it is known
- `controls`   what a request asks of a job, beside the parameters of the job
- `intake`     the parameters of a job from a request, and the seam for uploads
- `routes`     the resources
- `outcomes`   how runs end, for metrics
- `metrics`    what is told of the queue to Prometheus
"""

"""Simple Image Access 2.0: parameters to the same rows that ObsTAP gives.

- `parameters`    the parameters of a query, and the columns that each constrains
- `constraints`   the values of a parameter as a condition of ADQL
- `request`       a request as a query
- `choices`       the values that a few parameters may have, as the catalogue has them
- `description`   how the service describes itself: descriptor and capabilities
- `routes`        the resources
"""

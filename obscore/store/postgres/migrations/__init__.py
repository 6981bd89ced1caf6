"""The layout of the store in PostgreSQL, step by step: a folder of alembic's revisions.

They are the only way in which the layout is made or changed. A revision in ``versions/`` is
frozen: it spells out in SQL what changed at its time, and never looks at
`obscore.store.postgres.tables`, which tells what the layout is now; a test holds that both agree.
To change the layout, change the tables and add a revision named after the last one.
"""

"""Tables that a site publishes itself."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add what tells of them; the rows of each are in a table of their own."""
    op.execute(
        """
        CREATE TABLE publication (
            id INTEGER NOT NULL,
            revision BIGINT NOT NULL,
            numbers BIGINT NOT NULL,
            PRIMARY KEY (id)
        );

        CREATE TABLE published_schemas (
            schema_name TEXT COLLATE "C" NOT NULL,
            description TEXT COLLATE "C",
            utype TEXT COLLATE "C",
            PRIMARY KEY (schema_name)
        );

        CREATE TABLE published_tables (
            schema_name TEXT COLLATE "C" NOT NULL,
            table_name TEXT COLLATE "C" NOT NULL,
            number BIGINT NOT NULL,
            declaration TEXT COLLATE "C" NOT NULL,
            rows BIGINT NOT NULL,
            loaded TEXT COLLATE "C" NOT NULL,
            token TEXT COLLATE "C" NOT NULL,
            PRIMARY KEY (schema_name, table_name),
            UNIQUE (number)
        );
        """
    )

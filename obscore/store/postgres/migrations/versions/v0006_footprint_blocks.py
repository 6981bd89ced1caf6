"""Which blocks of rows changed."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Note them; all there are have changed now."""
    op.execute(
        """
        CREATE TABLE footprint_blocks (
            block BIGINT NOT NULL,
            revision BIGINT NOT NULL,
            PRIMARY KEY (block)
        );

        INSERT INTO footprint_blocks
        SELECT DISTINCT id / 4096, (extract(epoch FROM now()) * 1000000000)::bigint
        FROM obscore;
        """
    )

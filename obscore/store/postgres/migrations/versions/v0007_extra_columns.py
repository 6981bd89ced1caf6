"""Columns that a site adds."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Keep what is declared of them."""
    op.execute(
        """
        CREATE TABLE extra_columns (
            number BIGINT NOT NULL,
            place INTEGER NOT NULL,
            declaration TEXT COLLATE "C" NOT NULL,
            PRIMARY KEY (number)
        );
        """
    )

"""Identifiers are found without regard to case."""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Make their index."""
    op.execute(
        "CREATE INDEX ix_obscore_lower_obs_publisher_did ON obscore (lower(obs_publisher_did))"
    )

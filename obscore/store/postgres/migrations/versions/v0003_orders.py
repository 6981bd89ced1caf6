"""Indexes in the order of users' queries, in which NULL comes first."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the indexes of columns that may be NULL anew."""
    op.execute(
        """
        DROP INDEX ix_obscore_dataproduct_type;
        CREATE INDEX ix_obscore_dataproduct_type ON obscore (dataproduct_type NULLS FIRST);
        DROP INDEX ix_obscore_em_max;
        CREATE INDEX ix_obscore_em_max ON obscore (em_max NULLS FIRST);
        DROP INDEX ix_obscore_em_min;
        CREATE INDEX ix_obscore_em_min ON obscore (em_min NULLS FIRST);
        DROP INDEX ix_obscore_facility_name;
        CREATE INDEX ix_obscore_facility_name ON obscore (facility_name NULLS FIRST);
        DROP INDEX ix_obscore_filter;
        CREATE INDEX ix_obscore_filter ON obscore (filter NULLS FIRST);
        DROP INDEX ix_obscore_instrument_name;
        CREATE INDEX ix_obscore_instrument_name ON obscore (instrument_name NULLS FIRST);
        DROP INDEX ix_obscore_t_max;
        CREATE INDEX ix_obscore_t_max ON obscore (t_max NULLS FIRST);
        DROP INDEX ix_obscore_t_min;
        CREATE INDEX ix_obscore_t_min ON obscore (t_min NULLS FIRST);
        DROP INDEX ix_obscore_target_name;
        CREATE INDEX ix_obscore_target_name ON obscore (target_name NULLS FIRST);
        """
    )

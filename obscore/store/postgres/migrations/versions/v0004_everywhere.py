"""Rows that every search must find are kept at a place where few footprints lie."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Move them there from the southern pole, in the tables that a site has published too."""
    op.execute(
        """
        UPDATE obscore SET s_cap = '<(3.7938553563158623,-0.7301986351446236),1e-07>'
        WHERE s_cap = '<(0.0,-1.5707963267948966),1e-07>'::scircle;

        DO $$
        DECLARE
            published regclass;
        BEGIN
            FOR published IN
                SELECT attrelid FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
                WHERE attname = 'row_cap' AND relname ~ '^published_[0-9]+$'
                    AND relnamespace = quote_ident(current_schema())::regnamespace
            LOOP
                EXECUTE format(
                    'UPDATE %s SET row_cap = %L WHERE row_cap = %L::scircle', published,
                    '<(3.7938553563158623,-0.7301986351446236),1e-07>',
                    '<(0.0,-1.5707963267948966),1e-07>');
            END LOOP;
        END
        $$
        """
    )

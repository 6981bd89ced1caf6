"""When rows changed, what is gone, and which runs wrote what."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Take the rows there are for changed now; which runs wrote them is not known."""
    op.execute(
        """
        DO $$
        BEGIN
            -- A default that is a constant is not written to each row.
            EXECUTE format(
                'ALTER TABLE obscore ADD COLUMN last_modified TEXT COLLATE "C" NOT NULL DEFAULT %L',
                to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS'));
        END
        $$;
        ALTER TABLE obscore ALTER COLUMN last_modified SET DEFAULT '';
        CREATE INDEX ix_obscore_last_modified ON obscore (last_modified);
        ALTER TABLE files ADD COLUMN run_id BIGINT;

        CREATE TABLE tombstones (
            obs_publisher_did TEXT COLLATE "C" NOT NULL,
            obs_collection TEXT COLLATE "C" NOT NULL,
            obs_release_date TEXT COLLATE "C",
            deleted TEXT COLLATE "C" NOT NULL,
            kind TEXT COLLATE "C" NOT NULL,
            reason TEXT COLLATE "C",
            who TEXT COLLATE "C",
            uri TEXT COLLATE "C" NOT NULL,
            whole_file INTEGER NOT NULL,
            PRIMARY KEY (obs_publisher_did)
        );
        CREATE INDEX ix_tombstones_deleted ON tombstones (deleted);
        CREATE INDEX ix_tombstones_uri ON tombstones (uri);

        CREATE TABLE mappings (
            digest TEXT COLLATE "C" NOT NULL,
            text TEXT COLLATE "C" NOT NULL,
            PRIMARY KEY (digest)
        );

        CREATE TABLE runs (
            id BIGINT NOT NULL,
            kind TEXT COLLATE "C" NOT NULL,
            command TEXT COLLATE "C" NOT NULL,
            program TEXT COLLATE "C" NOT NULL,
            begun TEXT COLLATE "C" NOT NULL,
            ended TEXT COLLATE "C",
            mappings TEXT COLLATE "C" NOT NULL,
            counts TEXT COLLATE "C" NOT NULL,
            PRIMARY KEY (id)
        );
        """
    )

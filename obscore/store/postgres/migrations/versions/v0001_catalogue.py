"""The catalogue: files, products, their counts, TAP_SCHEMA."""

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables in the first schema of the search path; pg_sphere must be there."""
    op.execute(
        """
        CREATE TABLE facets (
            key TEXT COLLATE "C" NOT NULL,
            dataproduct_type TEXT COLLATE "C",
            calib_level INTEGER,
            obs_collection TEXT COLLATE "C",
            o_ucd TEXT COLLATE "C",
            pol_states TEXT COLLATE "C",
            facility_name TEXT COLLATE "C",
            instrument_name TEXT COLLATE "C",
            dataproduct_subtype TEXT COLLATE "C",
            data_rights TEXT COLLATE "C",
            o_unit TEXT COLLATE "C",
            filter TEXT COLLATE "C",
            products BIGINT NOT NULL,
            PRIMARY KEY (key)
        );

        CREATE TABLE files (
            id BIGINT NOT NULL,
            uri TEXT COLLATE "C" NOT NULL,
            file_name TEXT COLLATE "C" NOT NULL,
            collection TEXT COLLATE "C" NOT NULL,
            content_type TEXT COLLATE "C" NOT NULL,
            size BIGINT NOT NULL,
            version TEXT COLLATE "C" NOT NULL,
            modified DOUBLE PRECISION NOT NULL,
            mapping_digest TEXT COLLATE "C" NOT NULL,
            byte_index BYTEA NOT NULL,
            PRIMARY KEY (id),
            UNIQUE (uri)
        );

        CREATE TABLE installed (
            name TEXT NOT NULL,
            digest TEXT NOT NULL,
            PRIMARY KEY (name)
        );

        CREATE TABLE tap_schema_columns (
            table_name TEXT COLLATE "C" NOT NULL,
            column_name TEXT COLLATE "C" NOT NULL,
            datatype TEXT COLLATE "C" NOT NULL,
            arraysize TEXT COLLATE "C",
            xtype TEXT COLLATE "C",
            size INTEGER,
            description TEXT COLLATE "C",
            utype TEXT COLLATE "C",
            unit TEXT COLLATE "C",
            ucd TEXT COLLATE "C",
            indexed INTEGER NOT NULL,
            principal INTEGER NOT NULL,
            std INTEGER NOT NULL,
            column_index INTEGER,
            PRIMARY KEY (table_name, column_name)
        );

        CREATE TABLE tap_schema_key_columns (
            key_id TEXT COLLATE "C" NOT NULL,
            from_column TEXT COLLATE "C" NOT NULL,
            target_column TEXT COLLATE "C" NOT NULL,
            PRIMARY KEY (key_id, from_column)
        );

        CREATE TABLE tap_schema_keys (
            key_id TEXT COLLATE "C" NOT NULL,
            from_table TEXT COLLATE "C" NOT NULL,
            target_table TEXT COLLATE "C" NOT NULL,
            utype TEXT COLLATE "C",
            description TEXT COLLATE "C",
            PRIMARY KEY (key_id)
        );

        CREATE TABLE tap_schema_schemas (
            schema_name TEXT COLLATE "C" NOT NULL,
            utype TEXT COLLATE "C",
            description TEXT COLLATE "C",
            schema_index INTEGER,
            PRIMARY KEY (schema_name)
        );

        CREATE TABLE tap_schema_tables (
            schema_name TEXT COLLATE "C" NOT NULL,
            table_name TEXT COLLATE "C" NOT NULL,
            table_type TEXT COLLATE "C" NOT NULL,
            utype TEXT COLLATE "C",
            description TEXT COLLATE "C",
            table_index INTEGER,
            PRIMARY KEY (table_name)
        );

        CREATE TABLE obscore (
            id BIGINT NOT NULL,
            file_id BIGINT NOT NULL,
            hdus TEXT COLLATE "C" NOT NULL,
            dataproduct_type TEXT COLLATE "C",
            calib_level INTEGER NOT NULL,
            obs_collection TEXT COLLATE "C" NOT NULL,
            obs_id TEXT COLLATE "C" NOT NULL,
            obs_publisher_did TEXT COLLATE "C" NOT NULL,
            access_format TEXT COLLATE "C",
            access_estsize BIGINT,
            target_name TEXT COLLATE "C",
            s_ra DOUBLE PRECISION,
            s_dec DOUBLE PRECISION,
            s_fov DOUBLE PRECISION,
            s_region TEXT COLLATE "C",
            s_resolution DOUBLE PRECISION,
            s_xel1 BIGINT,
            s_xel2 BIGINT,
            t_min DOUBLE PRECISION,
            t_max DOUBLE PRECISION,
            t_exptime DOUBLE PRECISION,
            t_resolution DOUBLE PRECISION,
            t_xel BIGINT,
            em_min DOUBLE PRECISION,
            em_max DOUBLE PRECISION,
            em_res_power DOUBLE PRECISION,
            em_xel BIGINT,
            o_ucd TEXT COLLATE "C",
            pol_states TEXT COLLATE "C",
            pol_xel BIGINT,
            facility_name TEXT COLLATE "C",
            instrument_name TEXT COLLATE "C",
            dataproduct_subtype TEXT COLLATE "C",
            obs_title TEXT COLLATE "C",
            obs_creation_date TEXT COLLATE "C",
            obs_release_date TEXT COLLATE "C",
            data_rights TEXT COLLATE "C",
            s_pixel_scale DOUBLE PRECISION,
            o_unit TEXT COLLATE "C",
            proposal_id TEXT COLLATE "C",
            filter TEXT COLLATE "C",
            s_region_shape BYTEA,
            s_region_array DOUBLE PRECISION[],
            s_cap scircle,
            PRIMARY KEY (id),
            FOREIGN KEY(file_id) REFERENCES files (id) ON DELETE CASCADE,
            UNIQUE (obs_publisher_did)
        );
        CREATE INDEX ix_obscore_dataproduct_type ON obscore (dataproduct_type);
        CREATE INDEX ix_obscore_em_max ON obscore (em_max);
        CREATE INDEX ix_obscore_em_min ON obscore (em_min);
        CREATE INDEX ix_obscore_facility_name ON obscore (facility_name);
        CREATE INDEX ix_obscore_file_id ON obscore (file_id);
        CREATE INDEX ix_obscore_filter ON obscore (filter);
        CREATE INDEX ix_obscore_instrument_name ON obscore (instrument_name);
        CREATE INDEX ix_obscore_obs_collection ON obscore (obs_collection);
        CREATE INDEX ix_obscore_obs_id ON obscore (obs_id);
        CREATE INDEX ix_obscore_s_cap ON obscore USING gist (s_cap);
        CREATE INDEX ix_obscore_t_max ON obscore (t_max);
        CREATE INDEX ix_obscore_t_min ON obscore (t_min);
        CREATE INDEX ix_obscore_target_name ON obscore (target_name);
        """
    )

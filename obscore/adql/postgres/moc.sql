-- Coverage maps: obscore/adql/moc in PL/pgSQL, step for step. A map is an array of the starts and
-- ends, in turn, of its ranges of HEALPix cells of order 29.

-- The place of the last range that begins at a cell or before it; 0 if there is none.
CREATE FUNCTION adql.moc_at(moc bigint[], cell bigint) RETURNS int
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 20 AS $$
DECLARE
    low int := 0;
    high int := cardinality(moc) / 2;
    middle int;
BEGIN
    WHILE low < high LOOP
        middle := (low + high + 1) / 2;
        IF moc[2 * middle - 1] <= cell THEN
            low := middle;
        ELSE
            high := middle - 1;
        END IF;
    END LOOP;
    RETURN low;
END
$$;

CREATE FUNCTION adql.moc_holds(moc bigint[], ra_deg float8, dec_deg float8) RETURNS int
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 200 AS $$
DECLARE
    cell bigint := adql.ivo_healpix_index(29, ra_deg, dec_deg);
    place int := adql.moc_at(moc, cell);
BEGIN
    RETURN CASE WHEN cell IS NULL THEN NULL ELSE (place > 0 AND cell < moc[2 * place])::int END;
END
$$;

-- What a map leaves out of the sky.
CREATE FUNCTION adql.moc_rest(moc bigint[]) RETURNS bigint[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 1000 AS $$
    SELECT coalesce(array_agg(bound ORDER BY place), ARRAY[]::bigint[])
    FROM unnest(0::bigint || moc || 3458764513820540928::bigint) WITH ORDINALITY AS b(bound, place)
    WHERE NOT (place <= 2 AND cardinality(moc) > 0 AND moc[1] = 0)
        AND NOT (place > cardinality(moc) AND cardinality(moc) > 0
            AND moc[cardinality(moc)] = 3458764513820540928)
$$;

-- Right ascension and declination of a place in a base cell, from (0, 0) in the south to (1, 1).
CREATE FUNCTION adql.base_position(face int, x float8, y float8) RETURNS float8[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 50 AS $$
DECLARE
    line float8 := (2 + face / 4) - x - y;
    width float8 := 1.0;
    lat float8;
BEGIN
    IF line < 1.0 THEN
        width := line;
        lat := 90.0 - 2.0 * degrees(asin(line / sqrt(6.0::float8)));
    ELSIF line > 3.0 THEN
        width := 4.0 - line;
        lat := 2.0 * degrees(asin(width / sqrt(6.0::float8))) - 90.0;
    ELSE
        lat := degrees(asin((2.0 - line) * 2.0 / 3.0));
    END IF;
    IF width < 1e-15 THEN
        RETURN ARRAY[0.0, lat];
    END IF;
    RETURN ARRAY[
        adql.ra(((ARRAY[1, 3, 5, 7, 0, 2, 4, 6, 1, 3, 5, 7])[face + 1] * width + x - y)
            * 45.0 / width),
        lat];
END
$$;

-- A place within a cell: (0, 0) is its southern corner.
CREATE FUNCTION adql.cell_position(depth int, cell bigint, a float8, b float8) RETURNS float8[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 100 AS $$
DECLARE
    nside float8 := 1::bigint << depth;
    inner_cell bigint := cell & ((1::bigint << (2 * depth)) - 1);
BEGIN
    RETURN adql.base_position(
        (cell >> (2 * depth))::int,
        (adql.gather(inner_cell) + a) / nside,
        (adql.gather(inner_cell >> 1) + b) / nside);
END
$$;

-- A cell as a polygon; its sides are chains that stay within 1.2 arcsec of them
-- (13 arcsec nearer than 2 degrees to a pole).
CREATE FUNCTION adql.cell_outline(depth int, cell bigint) RETURNS float8[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 5000 AS $$
DECLARE
    steps int := 1 << greatest(0, 10 - depth);
    corners float8[] := ARRAY[]::float8[];
    part float8;
BEGIN
    FOR side IN 0 .. 3 LOOP
        FOR step IN 0 .. steps - 1 LOOP
            part := step::float8 / steps;
            corners := corners || CASE side
                WHEN 0 THEN adql.cell_position(depth, cell, part, 0.0)
                WHEN 1 THEN adql.cell_position(depth, cell, 1.0, part)
                WHEN 2 THEN adql.cell_position(depth, cell, 1.0 - part, 1.0)
                ELSE adql.cell_position(depth, cell, 0.0, 1.0 - part)
            END;
        END LOOP;
    END LOOP;
    RETURN adql.sky_polygon(VARIADIC corners);
END
$$;

-- The greatest distance in degrees of a corner of a cell from its centre, by order.
CREATE FUNCTION adql.cell_reach(depth int) RETURNS float8
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT (ARRAY[48.18968515341109, 27.585653046543047, 14.572230685650135, 7.472827005755542, 3.782367220428391, 1.9026018629141104, 0.9541480626929267, 0.47778497151459004, 0.2390701212483597, 0.11957945772427954, 0.05980082701522154, 0.02990318823511637, 0.014952288151296183, 0.0074763179561993754, 0.003738202822874931, 0.001869112747591207, 0.000934559582825337, 0.00046728096867300426, 0.00023364115364880758, 0.00011682111916044719, 5.841107015876247e-05, 2.920603772881875e-05, 1.460351952483766e-05, 7.30225993321485e-06, 3.6516300047139864e-06, 1.8263150251127248e-06, 9.136575092174633e-07, 4.5732875659229707e-07, 2.2916437453842833e-07, 1.1508219102693435e-07]::float8[])[depth + 1]
$$;

-- A point of a region, as right ascension and declination.
CREATE FUNCTION adql.inside_of(s float8[]) RETURNS float8[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE
        WHEN s[1] IN (2.0, 3.0) THEN ARRAY[s[7 + 6 * s[6]::int], s[8 + 6 * s[6]::int]]
        WHEN s[1] = 4.0 THEN ARRAY[s[6], s[8]]
        ELSE ARRAY[s[6], s[7]]
    END
$$;

-- The same for most regions by the corners of the cell alone, whose sides stay within 0.07 of its
-- reach from the great circles between them; NULL where a closer look is needed.
CREATE FUNCTION adql.cell_glance(s float8[], depth int, cell bigint) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 1000 AS $$
DECLARE
    margin float8 := sin(radians(0.07 * adql.cell_reach(depth)));
    c float8[] := ARRAY[]::float8[];
    n float8[] := ARRAY[]::float8[];
    far float8[];
    last int := 1 + 6 * s[6]::int;
    j int;
    p float8[];
    h1 float8;
    h2 float8;
    h3 float8;
    h4 float8;
    low float8 := 2.0;
BEGIN
    IF s[1] NOT IN (1.0, 2.0, 3.0) OR s[5] > 0.5 OR depth NOT BETWEEN 2 AND 20 THEN
        RETURN NULL;
    END IF;
    FOR i IN 0 .. 3 LOOP
        p := adql.cell_position(depth, cell, (ARRAY[0, 1, 1, 0])[i + 1], (ARRAY[0, 0, 1, 1])[i + 1]);
        p := adql.vector(p[1], p[2]);
        IF adql.holds(s, p[1], p[2], p[3]) THEN
            RETURN true;
        END IF;
        c := c || p;
    END LOOP;
    FOR i IN 1 .. 12 BY 3 LOOP
        j := CASE WHEN i = 10 THEN 1 ELSE i + 3 END;
        n := n || adql.unit(
            c[i + 1] * (c[j + 2] - c[i + 2]) - c[i + 2] * (c[j + 1] - c[i + 1]),
            c[i + 2] * (c[j] - c[i]) - c[i] * (c[j + 2] - c[i + 2]),
            c[i] * (c[j + 1] - c[i + 1]) - c[i + 1] * (c[j] - c[i]));
    END LOOP;
    IF s[1] = 1.0 THEN
        FOR i IN 1 .. 12 BY 3 LOOP
            low := least(low, n[i] * s[2] + n[i + 1] * s[3] + n[i + 2] * s[4]);
        END LOOP;
        RETURN CASE WHEN low < -sin(s[5]) - margin THEN false END;
    END IF;
    -- A side of the cell that has all of the region outside, or of the region all of the cell.
    far := ARRAY[-2.0, -2.0, -2.0, -2.0];
    FOR i IN 7 .. last BY 6 LOOP
        h1 := n[1] * s[i] + n[2] * s[i + 1] + n[3] * s[i + 2];
        h2 := n[4] * s[i] + n[5] * s[i + 1] + n[6] * s[i + 2];
        h3 := n[7] * s[i] + n[8] * s[i + 1] + n[9] * s[i + 2];
        h4 := n[10] * s[i] + n[11] * s[i + 1] + n[12] * s[i + 2];
        IF least(h1, h2, h3, h4) > margin THEN
            RETURN true;
        END IF;
        far := ARRAY[greatest(far[1], h1), greatest(far[2], h2), greatest(far[3], h3),
            greatest(far[4], h4)];
    END LOOP;
    IF least(far[1], far[2], far[3], far[4]) < -margin THEN
        RETURN false;
    END IF;
    IF s[1] = 2.0 THEN
        FOR i IN 10 .. last + 3 BY 6 LOOP
            IF greatest(
                s[i] * c[1] + s[i + 1] * c[2] + s[i + 2] * c[3],
                s[i] * c[4] + s[i + 1] * c[5] + s[i + 2] * c[6],
                s[i] * c[7] + s[i + 1] * c[8] + s[i + 2] * c[9],
                s[i] * c[10] + s[i + 1] * c[11] + s[i + 2] * c[12]) < -margin
            THEN
                RETURN false;
            END IF;
        END LOOP;
    END IF;
    RETURN NULL;
END
$$;

-- Whether a region and a cell have a point in common.
CREATE FUNCTION adql.cell_touches(s float8[], depth int, cell bigint) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 5000 AS $$
DECLARE
    p float8[] := adql.inside_of(s);
    glance boolean;
BEGIN
    IF adql.ivo_healpix_index(depth, p[1], p[2]) = cell THEN
        RETURN true;
    END IF;
    glance := adql.cell_glance(s, depth, cell);
    IF glance IS NOT NULL THEN
        RETURN glance;
    END IF;
    p := adql.cell_position(depth, cell, 0.0, 0.0);
    IF adql.sky_holds(s, p[1], p[2]) = 1 THEN
        RETURN true;
    END IF;
    RETURN adql.sky_intersects(s, adql.cell_outline(depth, cell)) = 1;
END
$$;

CREATE FUNCTION adql.moc_meets(moc bigint[], s float8[]) RETURNS int
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 20000 AS $$
DECLARE
    depths int[] := array_fill(0, ARRAY[12]);
    cells bigint[] := ARRAY[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
    n int := 12;
    depth int;
    cell bigint;
    start bigint;
    finish bigint;
    place int;
    p float8[];
BEGIN
    p := adql.inside_of(s);
    IF adql.moc_holds(moc, p[1], p[2]) = 1 THEN
        RETURN 1;
    ELSIF s[1] = 0.0 THEN
        RETURN 0;
    END IF;
    WHILE n > 0 LOOP
        depth := depths[n];
        cell := cells[n];
        n := n - 1;
        start := cell << (2 * (29 - depth));
        finish := (cell + 1) << (2 * (29 - depth));
        place := adql.moc_at(moc, finish - 1);
        CONTINUE WHEN place = 0 OR moc[2 * place] <= start;
        p := adql.cell_position(depth, cell, 0.5, 0.5);
        p := adql.vector(p[1], p[2]);
        CONTINUE WHEN degrees(adql.angle(p[1], p[2], p[3], s[2], s[3], s[4]))
            > degrees(s[5]) + adql.cell_reach(depth) + 1e-6;
        place := adql.moc_at(moc, start);
        IF place > 0 AND moc[2 * place] >= finish
            AND (depth >= 6 OR (depth >= 2 AND adql.cell_reach(depth) <= degrees(s[5])))
        THEN
            IF adql.cell_touches(s, depth, cell) THEN
                RETURN 1;
            END IF;
        ELSE
            FOR part IN 0 .. 3 LOOP
                n := n + 1;
                depths[n] := depth + 1;
                cells[n] := 4 * cell + part;
            END LOOP;
        END IF;
    END LOOP;
    RETURN 0;
END
$$;

CREATE FUNCTION adql.moc_contains(moc bigint[], s float8[]) RETURNS int
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 20000 AS $$
BEGIN
    IF s[1] = 0.0 THEN
        RETURN adql.moc_holds(moc, s[6], s[7]);
    END IF;
    RETURN 1 - adql.moc_meets(adql.moc_rest(moc), s);
END
$$;

-- Whether a region holds all cells of a map.
CREATE FUNCTION adql.moc_within(moc bigint[], s float8[]) RETURNS int
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 20000 AS $$
DECLARE
    place bigint;
    shift int;
BEGIN
    IF s[1] = 0.0 THEN
        RETURN (cardinality(moc) = 0)::int;
    END IF;
    FOR i IN 1 .. cardinality(moc) / 2 LOOP
        place := moc[2 * i - 1];
        WHILE place < moc[2 * i] LOOP
            shift := 29;
            WHILE place & ((1::bigint << (2 * shift)) - 1) <> 0
                OR place + (1::bigint << (2 * shift)) > moc[2 * i]
            LOOP
                shift := shift - 1;
            END LOOP;
            IF adql.sky_contains(s, adql.cell_outline(29 - shift, place >> (2 * shift))) = 0 THEN
                RETURN 0;
            END IF;
            place := place + (1::bigint << (2 * shift));
        END LOOP;
    END LOOP;
    RETURN 1;
END
$$;

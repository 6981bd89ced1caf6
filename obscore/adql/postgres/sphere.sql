-- Predicates on the sphere: vodal/sphere.py and vodal/outlines.py in PL/pgSQL, step for step, so
-- that both databases give the same answers. Shapes are arrays as obscore/adql/postgres/shapes.py
-- lays them out; 1e-12 is half the width of a boundary in radians. No vector has components
-- between 0 and 1e-30, since PostgreSQL refuses products that underflow.

-- The angle of two unit vectors in radians, exact at 0 and at pi.
CREATE FUNCTION adql.angle(
    px float8, py float8, pz float8, qx float8, qy float8, qz float8
) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT 2.0::float8 * atan2(
        sqrt((px - qx) * (px - qx) + (py - qy) * (py - qy) + (pz - qz) * (pz - qz)),
        sqrt((px + qx) * (px + qx) + (py + qy) * (py + qy) + (pz + qz) * (pz + qz)))
$$;

-- A vector of length 1; one without a direction becomes the pole.
CREATE FUNCTION adql.unit(x float8, y float8, z float8) RETURNS float8[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    norm float8 := sqrt(x * x + y * y + z * z);
BEGIN
    IF norm = 0.0 THEN
        RETURN ARRAY[0.0, 0.0, 1.0]::float8[];
    END IF;
    x := x / norm;
    y := y / norm;
    z := z / norm;
    RETURN ARRAY[
        CASE WHEN abs(x) < 1e-30 THEN 0.0::float8 ELSE x END,
        CASE WHEN abs(y) < 1e-30 THEN 0.0::float8 ELSE y END,
        CASE WHEN abs(z) < 1e-30 THEN 0.0::float8 ELSE z END];
END
$$;

CREATE FUNCTION adql.vector(ra_deg float8, dec_deg float8) RETURNS float8[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    ra float8 := radians(CASE WHEN abs(ra_deg) < 1e-100 THEN 0.0::float8 ELSE ra_deg END);
    dec float8 := radians(CASE WHEN abs(dec_deg) < 1e-100 THEN 0.0::float8 ELSE dec_deg END);
    x float8 := cos(dec) * cos(ra);
    y float8 := cos(dec) * sin(ra);
    z float8 := sin(dec);
BEGIN
    RETURN ARRAY[
        CASE WHEN abs(x) < 1e-30 THEN 0.0::float8 ELSE x END,
        CASE WHEN abs(y) < 1e-30 THEN 0.0::float8 ELSE y END,
        CASE WHEN abs(z) < 1e-30 THEN 0.0::float8 ELSE z END];
END
$$;

-- An angle in radians brought into [0, 2 pi).
CREATE FUNCTION adql.turned(t float8) RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN t >= 0.0 AND t < 6.283185307179586 THEN t
        WHEN t < 0.0 AND t > -6.283185307179586 THEN t + 6.283185307179586
        WHEN t < 0.0 THEN adql.remainder(t, 6.283185307179586::float8) + 6.283185307179586
        ELSE adql.remainder(t, 6.283185307179586::float8)
    END
$$;

-- Extent of a range in right ascension, in degrees.
CREATE FUNCTION adql.range_width(s float8[]) RETURNS float8
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    width float8 := s[7] - s[6];
BEGIN
    IF width >= 360.0 - 1e-11 THEN
        RETURN 360.0;
    ELSIF width >= 0.0 THEN
        RETURN width;
    END IF;
    RETURN adql.remainder(width, 360.0) + 360.0;
END
$$;

-- Points of regions ---------------------------------------------------------------------------

CREATE FUNCTION adql.range_holds(s float8[], x float8, y float8, z float8) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    dec float8 := atan2(z, sqrt(x * x + y * y));
    width float8;
    east float8;
BEGIN
    IF dec < radians(s[8]) - 1e-12 OR dec > radians(s[9]) + 1e-12 THEN
        RETURN false;
    END IF;
    width := radians(adql.range_width(s));
    east := atan2(y, x) - radians(s[6]);
    east := adql.turned(east);
    RETURN east <= width OR least(east - width, 6.283185307179586 - east) * cos(dec) <= 1e-12;
END
$$;

-- Distance in radians of a point from the nearest side of a polygon.
CREATE FUNCTION adql.ring_distance(s float8[], x float8, y float8, z float8) RETURNS float8
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    n int := s[6];
    best float8 := 'Infinity';
    d float8;
    i int;
    j int := 7;
    px float8;
    py float8;
    pz float8;
    nx float8;
    ny float8;
    nz float8;
BEGIN
    FOR k IN 1 .. n LOOP
        i := j;
        j := CASE WHEN k = n THEN 7 ELSE i + 6 END;
        px := s[i];
        py := s[i + 1];
        pz := s[i + 2];
        nx := s[i + 3];
        ny := s[i + 4];
        nz := s[i + 5];
        IF (ny * pz - nz * py) * x + (nz * px - nx * pz) * y + (nx * py - ny * px) * z >= 0.0
            AND (s[j + 1] * nz - s[j + 2] * ny) * x + (s[j + 2] * nx - s[j] * nz) * y
                + (s[j] * ny - s[j + 1] * nx) * z >= 0.0
        THEN
            d := abs(asin(greatest(-1.0, least(1.0, nx * x + ny * y + nz * z))));
        ELSE
            d := adql.angle(px, py, pz, x, y, z);
        END IF;
        IF d < best THEN
            best := d;
        END IF;
    END LOOP;
    RETURN best;
END
$$;

-- Whether a polygon has a point inside or on its boundary.
CREATE FUNCTION adql.ring_holds(s float8[], x float8, y float8, z float8) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    last int := 1 + 6 * s[6]::int;
    total float8 := 0.0;
    px float8;
    py float8;
    pz float8;
    qx float8;
    qy float8;
    qz float8;
BEGIN
    IF s[1] = 2.0 THEN
        FOR i IN 10 .. last + 3 BY 6 LOOP
            IF s[i] * x + s[i + 1] * y + s[i + 2] * z < -1e-12 THEN
                RETURN false;
            END IF;
        END LOOP;
        RETURN true;
    END IF;
    -- Each side seen in stereographic projection from the point's antipode; the angles add up to
    -- 2 pi - area / 2 inside, and to -area / 2 outside, whatever the shape.
    px := s[last] - x;
    py := s[last + 1] - y;
    pz := s[last + 2] - z;
    FOR i IN 7 .. last BY 6 LOOP
        qx := s[i] - x;
        qy := s[i + 1] - y;
        qz := s[i + 2] - z;
        total := total + atan2(
            x * (py * qz - pz * qy) + y * (pz * qx - px * qz) + z * (px * qy - py * qx),
            px * qx + py * qy + pz * qz);
        px := qx;
        py := qy;
        pz := qz;
    END LOOP;
    RETURN total > 1.5707963267948966 OR adql.ring_distance(s, x, y, z) <= 1e-12;
END
$$;

-- Whether a shape has a point inside or on its boundary; a point has itself.
CREATE FUNCTION adql.holds(s float8[], x float8, y float8, z float8) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    IF s[1] <= 1.0 THEN
        RETURN adql.angle(s[2], s[3], s[4], x, y, z) <= s[5] + 1e-12;
    ELSIF s[1] = 4.0 THEN
        RETURN adql.range_holds(s, x, y, z);
    END IF;
    RETURN adql.ring_holds(s, x, y, z);
END
$$;

-- A point of a region's interior, where there is one.
CREATE FUNCTION adql.sample(s float8[]) RETURNS float8[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    last int;
    best int;
    next int;
    length float8 := -1.0;
    d float8;
    j int;
    step float8;
BEGIN
    IF s[1] <= 1.0 THEN
        RETURN s[2:4];
    ELSIF s[1] = 4.0 THEN
        RETURN adql.vector(s[6] + adql.range_width(s) / 2.0, (s[8] + s[9]) / 2.0);
    END IF;
    last := 1 + 6 * s[6]::int;
    FOR i IN 7 .. last BY 6 LOOP
        j := CASE WHEN i = last THEN 7 ELSE i + 6 END;
        d := adql.angle(s[i], s[i + 1], s[i + 2], s[j], s[j + 1], s[j + 2]);
        IF d > length OR (d = length AND s[i:i + 2] > s[best:best + 2]) THEN
            best := i;
            next := j;
            length := d;
        END IF;
    END LOOP;
    -- Off the middle, where the tip of a concave side may touch.
    step := least(1e-10, length / 100.0);
    RETURN adql.unit(
        0.53 * s[best] + 0.47 * s[next] + step * s[best + 3],
        0.53 * s[best + 1] + 0.47 * s[next + 1] + step * s[best + 4],
        0.53 * s[best + 2] + 0.47 * s[next + 2] + step * s[best + 5]);
END
$$;

-- Arcs ------------------------------------------------------------------------------------------
-- An arc is 18 numbers: axis (1-3), height (4), u (5-7), v (8-10), radius (11), sweep (12),
-- start (13-15), end (16-18). A list of arcs is one array; places below are where an arc begins.

CREATE FUNCTION adql.arc_at(a float8[], k int, t float8) RETURNS float8[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    c float8 := a[k + 10] * cos(t);
    s float8 := a[k + 10] * sin(t);
BEGIN
    RETURN adql.unit(
        a[k + 3] * a[k] + c * a[k + 4] + s * a[k + 7],
        a[k + 3] * a[k + 1] + c * a[k + 5] + s * a[k + 8],
        a[k + 3] * a[k + 2] + c * a[k + 6] + s * a[k + 9]);
END
$$;

-- The azimuth of a point about an arc's axis, from its start.
CREATE FUNCTION adql.arc_turn(a float8[], k int, x float8, y float8, z float8) RETURNS float8
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    t float8 := atan2(
        x * a[k + 7] + y * a[k + 8] + z * a[k + 9], x * a[k + 4] + y * a[k + 5] + z * a[k + 6]);
BEGIN
    RETURN adql.turned(t);
END
$$;

CREATE FUNCTION adql.arc_distance(a float8[], k int, x float8, y float8, z float8) RETURNS float8
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    u float8;
    v float8;
BEGIN
    IF a[k + 11] >= 6.283185307179586 OR adql.arc_turn(a, k, x, y, z) <= a[k + 11] THEN
        u := x * a[k + 4] + y * a[k + 5] + z * a[k + 6];
        v := x * a[k + 7] + y * a[k + 8] + z * a[k + 9];
        RETURN abs(atan2(x * a[k] + y * a[k + 1] + z * a[k + 2], sqrt(u * u + v * v))
            - atan2(a[k + 3], a[k + 10]));
    END IF;
    RETURN least(
        adql.angle(x, y, z, a[k + 12], a[k + 13], a[k + 14]),
        adql.angle(x, y, z, a[k + 15], a[k + 16], a[k + 17]));
END
$$;

-- An arc anticlockwise about an axis; without an end it ends where its sweep does.
CREATE FUNCTION adql.arc(axis float8[], start float8[], sweep float8, finish float8[])
RETURNS float8[] LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    height float8 := axis[1] * start[1] + axis[2] * start[2] + axis[3] * start[3];
    x float8 := axis[2] * start[3] - axis[3] * start[2];
    y float8 := axis[3] * start[1] - axis[1] * start[3];
    z float8 := axis[1] * start[2] - axis[2] * start[1];
    radius float8 := sqrt(x * x + y * y + z * z);
    v float8[] := adql.unit(x, y, z);
    u float8[];
    made float8[];
BEGIN
    x := v[2] * axis[3] - v[3] * axis[2];
    y := v[3] * axis[1] - v[1] * axis[3];
    z := v[1] * axis[2] - v[2] * axis[1];
    u := ARRAY[
        CASE WHEN abs(x) < 1e-30 THEN 0.0::float8 ELSE x END,
        CASE WHEN abs(y) < 1e-30 THEN 0.0::float8 ELSE y END,
        CASE WHEN abs(z) < 1e-30 THEN 0.0::float8 ELSE z END];
    made := axis || height || u || v || radius || sweep || start;
    RETURN made || coalesce(finish, adql.arc_at(made, 1, sweep));
END
$$;

-- The boundary of a shape, with its interior on the left; empty if it has none.
CREATE FUNCTION adql.arcs(s float8[]) RETURNS float8[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    made float8[] := ARRAY[]::float8[];
    axis float8[] := s[2:4];
    side float8[];
    last int;
    j int;
    d float8;
    width float8;
BEGIN
    IF s[1] <= 1.0 THEN
        IF s[8] > 0.0 AND s[8] < 180.0 THEN
            IF abs(s[7]) < 80.0 THEN
                side := adql.unit(axis[2], -axis[1], 0.0);
            ELSE
                side := adql.unit(0.0, axis[3], -axis[2]);
            END IF;
            made := adql.arc(axis, ARRAY[
                cos(s[5]) * axis[1] + sin(s[5]) * side[1],
                cos(s[5]) * axis[2] + sin(s[5]) * side[2],
                cos(s[5]) * axis[3] + sin(s[5]) * side[3]], 6.283185307179586, NULL);
        END IF;
    ELSIF s[1] <= 3.0 THEN
        last := 1 + 6 * s[6]::int;
        FOR i IN 7 .. last BY 6 LOOP
            j := CASE WHEN i = last THEN 7 ELSE i + 6 END;
            d := adql.angle(s[i], s[i + 1], s[i + 2], s[j], s[j + 1], s[j + 2]);
            IF d > 0.0 THEN
                made := made || adql.arc(s[i + 3:i + 5], s[i:i + 2], d, s[j:j + 2]);
            END IF;
        END LOOP;
    ELSE
        width := adql.range_width(s);
        IF s[8] > -90.0 AND width > 0.0 THEN
            made := made || adql.arc(
                ARRAY[0.0, 0.0, 1.0]::float8[], adql.vector(s[6], s[8]), radians(width), NULL);
        END IF;
        IF s[9] < 90.0 AND width > 0.0 THEN
            made := made || adql.arc(
                ARRAY[0.0, 0.0, -1.0]::float8[], adql.vector(s[7], s[9]), radians(width), NULL);
        END IF;
        IF width < 360.0 AND s[9] > s[8] THEN
            d := radians(s[9] - s[8]);
            made := made
                || adql.arc(adql.vector(s[7] - 90.0, 0.0), adql.vector(s[7], s[8]), d,
                    adql.vector(s[7], s[9]))
                || adql.arc(adql.vector(s[6] + 90.0, 0.0), adql.vector(s[6], s[9]), d,
                    adql.vector(s[6], s[8]));
        END IF;
    END IF;
    RETURN made;
END
$$;

-- Distance of a point from the nearest of some arcs.
CREATE FUNCTION adql.arcs_distance(a float8[], x float8, y float8, z float8) RETURNS float8
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    best float8 := 'Infinity';
BEGIN
    FOR k IN 1 .. cardinality(a) BY 18 LOOP
        best := least(best, adql.arc_distance(a, k, x, y, z));
    END LOOP;
    RETURN best;
END
$$;

-- Points that two arcs have in common, three numbers each; of overlapping arcs their ends.
CREATE FUNCTION adql.arcs_meet(a float8[], i int, b float8[], j int) RETURNS float8[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    found float8[] := ARRAY[]::float8[];
    x float8;
    y float8;
    z float8;
    determinant float8;
    cosine float8;
    alpha float8;
    beta float8;
    square float8;
    gamma float8;
    slope float8;
    at_a float8;
    at_b float8;
    to_a float8;
    to_b float8;
    to_c float8;
    p float8[];
BEGIN
    IF adql.arc_distance(a, i, b[j + 12], b[j + 13], b[j + 14]) <= 1e-12 THEN
        found := found || b[j + 12:j + 14];
    END IF;
    IF adql.arc_distance(a, i, b[j + 15], b[j + 16], b[j + 17]) <= 1e-12 THEN
        found := found || b[j + 15:j + 17];
    END IF;
    IF adql.arc_distance(b, j, a[i + 12], a[i + 13], a[i + 14]) <= 1e-12 THEN
        found := found || a[i + 12:i + 14];
    END IF;
    IF adql.arc_distance(b, j, a[i + 15], a[i + 16], a[i + 17]) <= 1e-12 THEN
        found := found || a[i + 15:i + 17];
    END IF;
    x := a[i + 1] * b[j + 2] - a[i + 2] * b[j + 1];
    y := a[i + 2] * b[j] - a[i] * b[j + 2];
    z := a[i] * b[j + 1] - a[i + 1] * b[j];
    determinant := x * x + y * y + z * z;
    IF determinant < 1e-24 THEN
        RETURN found;
    END IF;
    cosine := a[i] * b[j] + a[i + 1] * b[j + 1] + a[i + 2] * b[j + 2];
    alpha := (a[i + 3] - cosine * b[j + 3]) / determinant;
    beta := (b[j + 3] - cosine * a[i + 3]) / determinant;
    square := (1.0 - alpha * a[i + 3] - beta * b[j + 3]) / determinant;
    IF square < -1e-12 THEN
        RETURN found;
    END IF;
    gamma := sqrt(greatest(square, 0.0));
    FOR k IN 1 .. 2 LOOP
        p := adql.unit(
            alpha * a[i] + beta * b[j] + gamma * x,
            alpha * a[i + 1] + beta * b[j + 1] + gamma * y,
            alpha * a[i + 2] + beta * b[j + 2] + gamma * z);
        -- Circles of like axes lose digits above; a step of Newton's gets them back.
        slope := x * p[1] + y * p[2] + z * p[3];
        IF abs(slope) >= 1e-9 THEN
            at_a := a[i] * p[1] + a[i + 1] * p[2] + a[i + 2] * p[3];
            at_b := b[j] * p[1] + b[j + 1] * p[2] + b[j + 2] * p[3];
            to_a := ((a[i + 3] - at_a) - cosine * (b[j + 3] - at_b)) / determinant;
            to_b := ((b[j + 3] - at_b) - cosine * (a[i + 3] - at_a)) / determinant;
            to_c := -(to_a * at_a + to_b * at_b) / slope;
            p := adql.unit(
                p[1] + to_a * a[i] + to_b * b[j] + to_c * x,
                p[2] + to_a * a[i + 1] + to_b * b[j + 1] + to_c * y,
                p[3] + to_a * a[i + 2] + to_b * b[j + 2] + to_c * z);
        END IF;
        IF adql.arc_distance(a, i, p[1], p[2], p[3]) <= 1e-12
            AND adql.arc_distance(b, j, p[1], p[2], p[3]) <= 1e-12
        THEN
            found := found || p;
        END IF;
        gamma := -gamma;
    END LOOP;
    RETURN found;
END
$$;

-- Cuts an arc wherever it meets others; gives the middle of each piece, three numbers each.
CREATE FUNCTION adql.arc_pieces(a float8[], i int, others float8[]) RETURNS float8[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    cuts float8[] := ARRAY[0.0, a[i + 11]];
    made float8[] := ARRAY[]::float8[];
    x float8[];
    before float8;
    cut float8;
BEGIN
    FOR j IN 1 .. cardinality(others) BY 18 LOOP
        x := adql.arcs_meet(a, i, others, j);
        FOR k IN 1 .. cardinality(x) BY 3 LOOP
            cuts := cuts || least(adql.arc_turn(a, i, x[k], x[k + 1], x[k + 2]), a[i + 11]);
        END LOOP;
    END LOOP;
    FOR cut IN SELECT DISTINCT unnest(cuts) ORDER BY 1 LOOP
        IF before IS NOT NULL THEN
            made := made || adql.arc_at(a, i, (before + cut) / 2.0);
        END IF;
        before := cut;
    END LOOP;
    RETURN made;
END
$$;

-- Two regions -----------------------------------------------------------------------------------

-- Distance in radians of a point from a shape's boundary.
CREATE FUNCTION adql.boundary_distance(s float8[], x float8, y float8, z float8) RETURNS float8
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    a float8[];
BEGIN
    IF s[1] <= 1.0 THEN
        RETURN abs(adql.angle(s[2], s[3], s[4], x, y, z) - s[5]);
    ELSIF s[1] <= 3.0 THEN
        RETURN adql.ring_distance(s, x, y, z);
    END IF;
    a := adql.arcs(s);
    IF cardinality(a) > 0 THEN
        RETURN adql.arcs_distance(a, x, y, z);
    END IF;
    a := adql.sample(s);  -- a pole, or the whole sphere
    RETURN adql.angle(x, y, z, a[1], a[2], a[3]);
END
$$;

-- Distance in radians of a point from a shape, 0 inside.
CREATE FUNCTION adql.distance_to(s float8[], x float8, y float8, z float8) RETURNS float8
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    IF adql.holds(s, x, y, z) THEN
        RETURN 0.0;
    END IF;
    RETURN adql.boundary_distance(s, x, y, z);
END
$$;

CREATE FUNCTION adql.contains_by_boundary(outside float8[], inside float8[]) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    a float8[] := adql.arcs(outside);
    b float8[] := adql.arcs(inside);
    x float8[] := adql.sample(inside);
BEGIN
    IF NOT adql.holds(outside, x[1], x[2], x[3]) THEN
        RETURN false;
    END IF;
    FOR j IN 1 .. cardinality(b) BY 18 LOOP
        x := adql.arc_pieces(b, j, a);
        FOR k IN 1 .. cardinality(x) BY 3 LOOP
            IF NOT adql.holds(outside, x[k], x[k + 1], x[k + 2]) THEN
                RETURN false;
            END IF;
        END LOOP;
    END LOOP;
    FOR i IN 1 .. cardinality(a) BY 18 LOOP
        x := adql.arc_pieces(a, i, b);
        FOR k IN 1 .. cardinality(x) BY 3 LOOP
            -- Inside and clear of the boundary.
            IF adql.holds(inside, x[k], x[k + 1], x[k + 2])
                AND adql.arcs_distance(b, x[k], x[k + 1], x[k + 2]) > 1e-11
            THEN
                RETURN false;
            END IF;
        END LOOP;
    END LOOP;
    RETURN true;
END
$$;

CREATE FUNCTION adql.intersects_by_boundary(one float8[], two float8[]) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    a float8[] := adql.arcs(one);
    b float8[] := adql.arcs(two);
    x float8[];
BEGIN
    -- A band has a boundary of two parts, so that every arc is asked.
    IF cardinality(a) = 0 THEN
        x := adql.sample(one);
        IF adql.holds(two, x[1], x[2], x[3]) THEN
            RETURN true;
        END IF;
    END IF;
    FOR i IN 13 .. cardinality(a) BY 18 LOOP
        IF adql.holds(two, a[i], a[i + 1], a[i + 2]) THEN
            RETURN true;
        END IF;
    END LOOP;
    IF cardinality(b) = 0 THEN
        x := adql.sample(two);
        IF adql.holds(one, x[1], x[2], x[3]) THEN
            RETURN true;
        END IF;
    END IF;
    FOR j IN 13 .. cardinality(b) BY 18 LOOP
        IF adql.holds(one, b[j], b[j + 1], b[j + 2]) THEN
            RETURN true;
        END IF;
    END LOOP;
    FOR i IN 1 .. cardinality(a) BY 18 LOOP
        FOR j IN 1 .. cardinality(b) BY 18 LOOP
            IF cardinality(adql.arcs_meet(a, i, b, j)) > 0 THEN
                RETURN true;
            END IF;
        END LOOP;
    END LOOP;
    RETURN false;
END
$$;

-- Whether any sides of two polygons cross properly.
CREATE FUNCTION adql.rings_cross(a float8[], b float8[]) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    last_a int := 1 + 6 * a[6]::int;
    last_b int := 1 + 6 * b[6]::int;
    p int;
    q int;
    nx float8;
    ny float8;
    nz float8;
    cx float8;
    cy float8;
    cz float8;
BEGIN
    FOR i IN 7 .. last_a BY 6 LOOP
        p := CASE WHEN i = last_a THEN 7 ELSE i + 6 END;
        nx := a[i + 3];
        ny := a[i + 4];
        nz := a[i + 5];
        FOR j IN 7 .. last_b BY 6 LOOP
            q := CASE WHEN j = last_b THEN 7 ELSE j + 6 END;
            CONTINUE WHEN (nx * b[j] + ny * b[j + 1] + nz * b[j + 2])
                * (nx * b[q] + ny * b[q + 1] + nz * b[q + 2]) >= 0.0;
            CONTINUE WHEN (b[j + 3] * a[i] + b[j + 4] * a[i + 1] + b[j + 5] * a[i + 2])
                * (b[j + 3] * a[p] + b[j + 4] * a[p + 1] + b[j + 5] * a[p + 2]) >= 0.0;
            -- The circles cross in two opposite points: is it the same one on both sides?
            cx := ny * b[j + 5] - nz * b[j + 4];
            cy := nz * b[j + 3] - nx * b[j + 5];
            cz := nx * b[j + 4] - ny * b[j + 3];
            IF (cx * a[i] + cy * a[i + 1] + cz * a[i + 2] + (cx * a[p] + cy * a[p + 1] + cz * a[p + 2]))
                * (cx * b[j] + cy * b[j + 1] + cz * b[j + 2] + (cx * b[q] + cy * b[q + 1] + cz * b[q + 2]))
                > 0.0
            THEN
                RETURN true;
            END IF;
        END LOOP;
    END LOOP;
    RETURN false;
END
$$;

CREATE FUNCTION adql.rings_intersect(a float8[], b float8[]) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    FOR j IN 7 .. 1 + 6 * b[6]::int BY 6 LOOP
        IF adql.ring_holds(a, b[j], b[j + 1], b[j + 2]) THEN
            RETURN true;
        END IF;
    END LOOP;
    FOR i IN 7 .. 1 + 6 * a[6]::int BY 6 LOOP
        IF adql.ring_holds(b, a[i], a[i + 1], a[i + 2]) THEN
            RETURN true;
        END IF;
    END LOOP;
    -- No vertex of one is in the other: they meet only where two sides cross properly.
    RETURN adql.rings_cross(a, b);
END
$$;

-- Whether one polygon holds another; NULL where they touch and need a closer look.
CREATE FUNCTION adql.ring_contains(a float8[], b float8[]) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    FOR j IN 7 .. 1 + 6 * b[6]::int BY 6 LOOP
        IF NOT adql.ring_holds(a, b[j], b[j + 1], b[j + 2]) THEN
            RETURN false;
        END IF;
    END LOOP;
    IF a[1] = 2.0 THEN
        RETURN true;
    END IF;
    FOR j IN 7 .. 1 + 6 * b[6]::int BY 6 LOOP
        IF adql.ring_distance(a, b[j], b[j + 1], b[j + 2]) <= 1e-11 THEN
            RETURN NULL;
        END IF;
    END LOOP;
    FOR i IN 7 .. 1 + 6 * a[6]::int BY 6 LOOP
        IF adql.ring_holds(b, a[i], a[i + 1], a[i + 2]) THEN
            RETURN NULL;
        END IF;
    END LOOP;
    IF adql.rings_cross(a, b) THEN
        RETURN NULL;
    END IF;
    RETURN true;
END
$$;

-- Whether the second shape lies wholly in the first; a point contains only itself.
CREATE FUNCTION adql.contains(a float8[], b float8[]) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 1000 AS $$
DECLARE
    clear float8;
    answer boolean;
BEGIN
    IF b[1] = 0.0 THEN
        RETURN adql.holds(a, b[2], b[3], b[4]);
    ELSIF a[1] <= 1.0 THEN
        -- All of it is within the circle if none of it is nearer to the antipode than the rest.
        clear := 3.141592653589793 - a[5] - 1e-12;
        RETURN clear <= 0.0 OR adql.distance_to(b, -a[2], -a[3], -a[4]) >= clear;
    ELSIF b[1] = 1.0 THEN
        IF NOT adql.holds(a, b[2], b[3], b[4]) THEN
            RETURN false;
        ELSIF cardinality(adql.arcs(a)) = 0 THEN
            RETURN a[1] = 4.0 AND a[8] < a[9];
        END IF;
        RETURN adql.boundary_distance(a, b[2], b[3], b[4]) >= b[5] - 1e-12;
    ELSIF a[1] <= 3.0 AND b[1] <= 3.0 THEN
        answer := adql.ring_contains(a, b);
        IF answer IS NOT NULL THEN
            RETURN answer;
        END IF;
    END IF;
    RETURN adql.contains_by_boundary(a, b);
END
$$;

-- Whether two shapes have a point in common; touching is enough.
CREATE FUNCTION adql.intersects(a float8[], b float8[]) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 1000 AS $$
BEGIN
    IF a[1] = 0.0 THEN
        RETURN adql.contains(b, a);
    ELSIF b[1] = 0.0 THEN
        RETURN adql.contains(a, b);
    ELSIF a[1] = 1.0 THEN
        RETURN adql.distance_to(b, a[2], a[3], a[4]) <= a[5] + 1e-12;
    ELSIF b[1] = 1.0 THEN
        RETURN adql.distance_to(a, b[2], b[3], b[4]) <= b[5] + 1e-12;
    ELSIF a[1] <= 3.0 AND b[1] <= 3.0 THEN
        RETURN adql.rings_intersect(a, b);
    END IF;
    RETURN adql.intersects_by_boundary(a, b);
END
$$;

-- Shapes from numbers and texts, and what is told of them: vodal/regions.py and the measures of
-- vodal/sphere.py in PL/pgSQL. What has no meaning, such as a declination over 90, is NULL.
-- COST is what was measured, in cpu_operator_cost of which 400 are as long as reading a page in order.

-- A right ascension brought into [0, 360).
CREATE FUNCTION adql.ra(ra_deg float8) RETURNS float8
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    IF ra_deg >= 0.0 AND ra_deg < 360.0 THEN
        RETURN ra_deg;
    END IF;
    ra_deg := adql.remainder(ra_deg, 360.0);
    IF ra_deg < 0.0 THEN
        ra_deg := ra_deg + 360.0;
    END IF;
    RETURN CASE WHEN ra_deg >= 360.0 THEN 0.0 ELSE ra_deg END;
END
$$;

CREATE FUNCTION adql.is_position(ra_deg float8, dec_deg float8) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT abs(dec_deg) <= 90.0 AND abs(ra_deg) < 'Infinity'::float8
$$;

CREATE FUNCTION adql.sky_point(ra_deg float8, dec_deg float8) RETURNS float8[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 200 AS $$
BEGIN
    IF NOT adql.is_position(ra_deg, dec_deg) THEN
        RETURN NULL;
    END IF;
    ra_deg := adql.ra(ra_deg);
    RETURN 0.0::float8 || adql.vector(ra_deg, dec_deg) || ARRAY[0.0, ra_deg, dec_deg];
END
$$;

CREATE FUNCTION adql.sky_circle(centre float8[], radius_deg float8) RETURNS float8[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 100 AS $$
BEGIN
    IF centre[1] <> 0.0 OR radius_deg < 0.0 OR radius_deg > 180.0 THEN
        RETURN NULL;
    END IF;
    RETURN 1.0::float8 || centre[2:4]
        || ARRAY[radians(CASE WHEN radius_deg < 1e-100 THEN 0.0::float8 ELSE radius_deg END),
            centre[6], centre[7], radius_deg];
END
$$;

-- Right ascension and declination of a vector, in degrees.
CREATE FUNCTION adql.position_of(x float8, y float8, z float8) RETURNS float8[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    RETURN ARRAY[
        adql.ra(atan2(y, x) * 57.29577951308232),
        atan2(z, sqrt(x * x + y * y)) * 57.29577951308232];
END
$$;

-- The direction of the sum of a polygon's vertices.
CREATE FUNCTION adql.mean(v float8[]) RETURNS float8[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    x float8 := 0.0;
    y float8 := 0.0;
    z float8 := 0.0;
BEGIN
    FOR i IN 1 .. cardinality(v) BY 3 LOOP
        x := x + v[i];
        y := y + v[i + 1];
        z := z + v[i + 2];
    END LOOP;
    RETURN adql.unit(x, y, z);
END
$$;

-- Area in steradians of the smaller part within vertices, negative if it lies to the right.
CREATE FUNCTION adql.signed_area(v float8[]) RETURNS float8
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    n int := cardinality(v);
    m float8[] := adql.mean(v);
    a float8 := m[1];
    b float8 := m[2];
    c float8 := m[3];
    area float8 := 0.0;
    j int;
    px float8;
    py float8;
    pz float8;
    qx float8;
    qy float8;
    qz float8;
BEGIN
    FOR i IN 1 .. n BY 3 LOOP
        j := CASE WHEN i = n - 2 THEN 1 ELSE i + 3 END;
        px := v[i] - a;
        py := v[i + 1] - b;
        pz := v[i + 2] - c;
        qx := v[j] - a;
        qy := v[j + 1] - b;
        qz := v[j + 2] - c;
        area := area + 2.0 * atan2(
            a * (py * qz - pz * qy) + b * (pz * qx - px * qz) + c * (px * qy - py * qx),
            1.0 + (a * v[i] + b * v[i + 1] + c * v[i + 2])
                + (v[i] * v[j] + v[i + 1] * v[j + 1] + v[i + 2] * v[j + 2])
                + (v[j] * a + v[j + 1] * b + v[j + 2] * c));
    END LOOP;
    RETURN area - round(area / 12.566370614359172) * 12.566370614359172;
END
$$;

-- On which side of all its sides a polygon lies: 1 left, -1 right, 0 neither. Where one is given,
-- the polygon is the part of the sky within all its sides.
CREATE FUNCTION adql.convex_side(v float8[], normals float8[]) RETURNS float8
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    n int := cardinality(v);
    side float8 := 0.0;
    low float8;
    high float8;
    h float8;
BEGIN
    IF n < 9 OR n > 36 THEN
        RETURN 0.0;
    END IF;
    FOR i IN 1 .. n BY 3 LOOP
        low := 'Infinity';
        high := '-Infinity';
        FOR j IN 1 .. n BY 3 LOOP
            h := normals[i] * v[j] + normals[i + 1] * v[j + 1] + normals[i + 2] * v[j + 2];
            low := least(low, h);
            high := greatest(high, h);
        END LOOP;
        IF side = 0.0 THEN
            side := CASE WHEN high > -low THEN 1.0 ELSE -1.0 END;
        END IF;
        IF side < 0.0 THEN
            h := low;
            low := -high;
            high := -h;
        END IF;
        IF low < -1e-15 OR high < 1e-10 THEN
            RETURN 0.0;
        END IF;
    END LOOP;
    RETURN side;
END
$$;

-- A polygon of three or more vertices, given as ra and dec in turn; its last may repeat its first.
CREATE FUNCTION adql.sky_polygon(VARIADIC corners float8[]) RETURNS float8[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 5000 AS $$
DECLARE
    n int := cardinality(corners);
    all_corners float8[] := ARRAY[]::float8[];
    v float8[] := ARRAY[]::float8[];
    normals float8[] := ARRAY[]::float8[];
    s float8[];
    x float8[];
    reach float8 := 0.0;
    j int;
    m int := 0;
    side float8;
    turned boolean;
BEGIN
    FOR i IN 1 .. n BY 2 LOOP
        IF adql.is_position(corners[i], corners[i + 1]) IS NOT TRUE THEN
            RETURN NULL;
        END IF;
        corners[i] := adql.ra(corners[i]);
    END LOOP;
    IF corners[1] = corners[n - 1] AND corners[2] = corners[n] THEN
        n := n - 2;
        corners := corners[1:n];
    END IF;
    IF n < 6 THEN
        RETURN NULL;
    END IF;
    FOR i IN 1 .. n BY 2 LOOP
        x := adql.vector(corners[i], corners[i + 1]);
        all_corners := all_corners || x;
        -- A vertex that repeats its predecessor makes a side without a direction.
        IF m = 0 OR greatest(abs(x[1] - v[m - 2]), abs(x[2] - v[m - 1]), abs(x[3] - v[m]))
            > 1e-12 / 10.0
        THEN
            v := v || x;
            m := m + 3;
        END IF;
    END LOOP;
    FOR i IN 1 .. m BY 3 LOOP
        j := CASE WHEN i = m - 2 THEN 1 ELSE i + 3 END;
        normals := normals || adql.unit(
            v[i + 1] * (v[j + 2] - v[i + 2]) - v[i + 2] * (v[j + 1] - v[i + 1]),
            v[i + 2] * (v[j] - v[i]) - v[i] * (v[j + 2] - v[i + 2]),
            v[i] * (v[j + 1] - v[i + 1]) - v[i + 1] * (v[j] - v[i]));
    END LOOP;
    side := adql.convex_side(v, normals);
    turned := side < 0.0 OR (side = 0.0 AND adql.signed_area(v) < 0.0);
    s := CASE WHEN side = 0.0 THEN 3.0::float8 ELSE 2.0::float8 END || adql.mean(all_corners)
        || ARRAY[0.0, m / 3]::float8[];
    FOR i IN 1 .. m BY 3 LOOP
        IF NOT turned THEN
            s := s || v[i:i + 2] || normals[i:i + 2];
        ELSE
            -- Backwards; a side keeps its circle, whose normal now points the other way.
            j := m + 1 - i;
            n := CASE WHEN j = 3 THEN m ELSE j - 3 END;
            s := s || v[j - 2:j]
                || ARRAY[-normals[n - 2], -normals[n - 1], -normals[n]];
        END IF;
    END LOOP;
    s := s || corners;
    FOR i IN 1 .. cardinality(all_corners) BY 3 LOOP
        x := all_corners[i:i + 2];
        IF s[2] * x[1] + s[3] * x[2] + s[4] * x[3] <= 0.1 THEN
            s[2:4] := adql.mean(v);
            reach := 3.141592653589793 - adql.distance_to(s, -s[2], -s[3], -s[4]);
            EXIT;
        END IF;
        reach := greatest(reach, adql.angle(s[2], s[3], s[4], x[1], x[2], x[3]));
    END LOOP;
    s[5] := least(3.141592653589793, reach + 1e-12);
    RETURN s;
END
$$;

-- A polygon whose vertices are points; NULL if one is none.
CREATE FUNCTION adql.sky_polygon_of(VARIADIC points float8[]) RETURNS float8[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 5000 AS $$
BEGIN
    -- Each point is seven numbers, of which the last two are its position.
    RETURN adql.sky_polygon(VARIADIC ARRAY(
        SELECT points[i] FROM generate_series(1, cardinality(points)) AS i
        WHERE (i - 1) % 7 >= 5 ORDER BY i));
END
$$;

-- A cross of great circles of two lengths, closed by great circles.
CREATE FUNCTION adql.sky_box(centre float8[], width_deg float8, height_deg float8)
RETURNS float8[] LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 5000 AS $$
DECLARE
    ra float8 := radians(centre[6]);
    ex float8 := -sin(ra);
    ey float8 := cos(ra);
    nx float8 := centre[3] * 0.0 - centre[4] * ey;
    ny float8 := centre[4] * ex - centre[2] * 0.0;
    nz float8 := centre[2] * ey - centre[3] * ex;
    half_width float8;
    half_height float8;
    corners float8[] := ARRAY[]::float8[];
    signs float8[] := ARRAY[1, -1, 1, 1, -1, 1, -1, -1];
    a float8;
    b float8;
    x float8[];
BEGIN
    IF centre[1] <> 0.0 OR NOT (width_deg > 0.0 AND width_deg < 180.0)
        OR NOT (height_deg > 0.0 AND height_deg < 180.0)
    THEN
        RETURN NULL;
    END IF;
    half_width := tan(greatest(radians(greatest(width_deg, 1e-100)) / 2.0, 1e-100));
    half_height := tan(greatest(radians(greatest(height_deg, 1e-100)) / 2.0, 1e-100));
    FOR i IN 1 .. 8 BY 2 LOOP
        a := signs[i] * half_width;
        b := signs[i + 1] * half_height;
        x := adql.unit(
            centre[2] + a * ex + b * nx, centre[3] + a * ey + b * ny, centre[4] + a * 0.0 + b * nz);
        corners := corners || adql.position_of(x[1], x[2], x[3]);
    END LOOP;
    RETURN adql.sky_polygon(VARIADIC corners);
END
$$;

-- Bounded by two meridians and two parallels.
CREATE FUNCTION adql.sky_range(west float8, east float8, south float8, north float8)
RETURNS float8[] LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 5000 AS $$
DECLARE
    s float8[];
    best float8[] := ARRAY[0.0, 0.0, 0.0, 3.141592653589793];
    centre float8[];
    radius float8;
BEGIN
    IF NOT adql.is_position(west, south) OR NOT adql.is_position(east, north) OR south > north THEN
        RETURN NULL;
    END IF;
    s := ARRAY[4.0, 0.0, 0.0, 0.0, 0.0, west, east, south, north];
    FOR i IN 1 .. 3 LOOP
        centre := CASE i
            WHEN 1 THEN adql.sample(s)
            WHEN 2 THEN ARRAY[0.0, 0.0, 1.0]
            ELSE ARRAY[0.0, 0.0, -1.0] END;
        radius := least(3.141592653589793, 1e-12 + 3.141592653589793
            - adql.distance_to(s, -centre[1], -centre[2], -centre[3]));
        IF i = 1 OR radius < best[4] THEN
            best := centre || radius;
        END IF;
    END LOOP;
    s[2:5] := best;
    RETURN s;
END
$$;

-- Texts -----------------------------------------------------------------------------------------

-- Reads a shape's words, or the bare numbers of DALI whose shape the xtype tells.
CREATE FUNCTION adql.sky_parse(shape text, xtype text) RETURNS float8[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 5000 AS $$
DECLARE
    words text[] := regexp_split_to_array(upper(btrim(shape, E' \t\n\r\f\v') COLLATE "C"),
        '[ \t\n\r\f\v]+');
    word text := words[1];
    first int := 1;
    n float8[];
    made float8[];
BEGIN
    IF word ~ '^[A-Z]' THEN
        first := 2;
        WHILE words[first] ~ '^[A-Z]' LOOP
            IF NOT words[first] = ANY (ARRAY['ICRS', 'J2000', 'FK5', 'UNKNOWNREFPOS',
                'TOPOCENTER', 'GEOCENTER', 'BARYCENTER', 'SPHERICAL2'])
            THEN
                RETURN NULL;
            END IF;
            first := first + 1;
        END LOOP;
    ELSE
        word := CASE xtype
            WHEN 'circle' THEN 'CIRCLE' WHEN 'polygon' THEN 'POLYGON' ELSE 'POSITION' END;
    END IF;
    IF word = 'RANGE' THEN
        made := adql.parse_range(words[first:]);
    ELSE
        SELECT array_agg(adql.number(w) ORDER BY i) INTO n
        FROM unnest(words[first:]) WITH ORDINALITY AS given (w, i);
        IF array_position(n, NULL) IS NOT NULL OR 'Infinity' = ANY (n) OR '-Infinity' = ANY (n) THEN
            RETURN NULL;
        END IF;
        CASE
            WHEN word IN ('POSITION', 'POINT') AND cardinality(n) = 2 THEN
                made := adql.sky_point(n[1], n[2]);
            WHEN word = 'CIRCLE' AND cardinality(n) = 3 THEN
                made := adql.sky_circle(adql.sky_point(n[1], n[2]), n[3]);
            WHEN word = 'POLYGON' AND cardinality(n) >= 6 AND cardinality(n) % 2 = 0 THEN
                made := adql.sky_polygon(VARIADIC n);
            ELSE
                RETURN NULL;
        END CASE;
    END IF;
    RETURN CASE
        WHEN xtype = 'point' AND made[1] <> 0.0 THEN NULL
        WHEN xtype = 'circle' AND made[1] <> 1.0 THEN NULL
        WHEN xtype = 'polygon' AND made[1] NOT IN (2.0, 3.0) THEN NULL
        ELSE made END;
END
$$;

-- Four numbers, of which some may be infinite: no bound on that side.
CREATE FUNCTION adql.parse_range(words text[]) RETURNS float8[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    n float8[];
BEGIN
    SELECT array_agg(
        CASE WHEN w ~ '^[+-]?INF(INITY)?$'
            THEN CASE WHEN w ~ '^-' THEN '-Infinity'::float8 ELSE 'Infinity'::float8 END
            ELSE adql.number(w) END ORDER BY i) INTO n
    FROM unnest(words) WITH ORDINALITY AS given (w, i);
    IF cardinality(n) IS DISTINCT FROM 4 OR array_position(n, NULL) IS NOT NULL THEN
        RETURN NULL;
    END IF;
    IF abs(n[1]) = 'Infinity' OR abs(n[2]) = 'Infinity' THEN
        n[1] := CASE WHEN abs(n[1]) = 'Infinity' THEN 0.0 ELSE n[1] END;
        n[2] := CASE WHEN abs(n[2]) = 'Infinity' THEN 360.0 ELSE n[2] END;
    END IF;
    n[3] := CASE WHEN n[3] = '-Infinity' THEN -90.0 ELSE n[3] END;
    n[4] := CASE WHEN n[4] = 'Infinity' THEN 90.0 ELSE n[4] END;
    RETURN adql.sky_range(n[1], n[2], n[3], n[4]);
END
$$;

-- A coordinate with 1e-10 degree resolution and no superfluous zeros, rounded as printf does it.
CREATE FUNCTION adql.coordinate_text(x float8) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    short text := x::text;
    rest float8;
    units bigint := 0;
    exact numeric;
    decimals numeric;
BEGIN
    IF short ~ '^-?[0-9]+(\.[0-9]{1,10})?$' THEN
        RETURN short;
    END IF;
    -- The digits of the binary number itself, 26 bits at a time.
    exact := trunc(abs(x))::bigint::numeric;
    rest := abs(x) - trunc(abs(x));
    decimals := 1.0;
    FOR i IN 1 .. 4 LOOP
        decimals := decimals * 0.00000001490116119384765625;
        rest := rest * 67108864.0;
        units := trunc(rest)::bigint;
        exact := exact + units::numeric * decimals;
        rest := rest - trunc(rest);
    END LOOP;
    decimals := trunc(exact, 10);
    IF (exact - decimals) * 20000000000.0 > 1
        OR ((exact - decimals) * 20000000000.0 = 1 AND decimals * 10000000000.0 % 2 = 1)
    THEN
        decimals := decimals + 0.0000000001;
    END IF;
    short := trim_scale(decimals)::text;
    -- printf keeps the sign of what it rounds to nothing.
    RETURN CASE WHEN x < 0.0 THEN '-' || short ELSE short END;
END
$$;

CREATE FUNCTION adql.sky_text(s float8[]) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 1000 AS $$
DECLARE
    first int := CASE WHEN s[1] IN (2.0, 3.0) THEN 7 + 6 * s[6]::int ELSE 6 END;
BEGIN
    RETURN (ARRAY['POSITION ICRS', 'CIRCLE ICRS', 'POLYGON ICRS', 'POLYGON ICRS', 'RANGE'])
        [s[1]::int + 1] || ' ' || (
        SELECT string_agg(adql.coordinate_text(x), ' ' ORDER BY i)
        FROM unnest(s[first:]) WITH ORDINALITY AS given (x, i));
END
$$;

-- Measures --------------------------------------------------------------------------------------

-- Square degrees.
CREATE FUNCTION adql.sky_area(s float8[]) RETURNS float8
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 1000 AS $$
DECLARE
    area float8;
    v float8[] := ARRAY[]::float8[];
BEGIN
    IF s[1] = 0.0 THEN
        RETURN 0.0;
    ELSIF s[1] = 1.0 THEN
        area := sin(s[5] / 2.0);
        area := CASE WHEN area < 1e-150 THEN 0.0 ELSE 12.566370614359172 * (area * area) END;
    ELSIF s[1] <= 3.0 THEN
        FOR i IN 7 .. 1 + 6 * s[6]::int BY 6 LOOP
            v := v || s[i:i + 2];
        END LOOP;
        area := abs(adql.signed_area(v));
    ELSE
        area := radians(adql.range_width(s)) * 2.0 * cos(radians(s[9] + s[8]) / 2.0)
            * sin(radians(s[9] - s[8]) / 2.0);
    END IF;
    RETURN CASE WHEN abs(area) < 1e-300 THEN 0.0 ELSE area * 3282.806350011744 END;
END
$$;

-- The centre of a region's area; a point is its own. Where the area has no centre (a band around
-- the sky) it is the middle of the coordinates.
CREATE FUNCTION adql.sky_centroid(s float8[]) RETURNS float8[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 1000 AS $$
DECLARE
    last int;
    j int;
    d float8;
    x float8 := 0.0;
    y float8 := 0.0;
    z float8 := 0.0;
    v float8[] := ARRAY[]::float8[];
    c float8[];
BEGIN
    IF s[1] <= 1.0 THEN
        RETURN adql.sky_point(s[6], s[7]);
    ELSIF s[1] <= 3.0 THEN
        last := 1 + 6 * s[6]::int;
        FOR i IN 7 .. last BY 6 LOOP
            j := CASE WHEN i = last THEN 7 ELSE i + 6 END;
            d := adql.angle(s[i], s[i + 1], s[i + 2], s[j], s[j + 1], s[j + 2]);
            x := x + s[i + 3] * d;
            y := y + s[i + 4] * d;
            z := z + s[i + 5] * d;
            v := v || s[i:i + 2];
        END LOOP;
        c := CASE WHEN abs(adql.signed_area(v)) > 1e-20
            THEN adql.unit(x, y, z) ELSE adql.mean(v) END;
    ELSE
        c := adql.range_centroid(s);
    END IF;
    c := adql.position_of(c[1], c[2], c[3]);
    RETURN adql.sky_point(c[1], c[2]);
END
$$;

CREATE FUNCTION adql.range_centroid(s float8[]) RETURNS float8[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    width float8 := radians(adql.range_width(s));
    south float8 := radians(s[8]);
    north float8 := radians(s[9]);
    plane float8 := sin(width / 2.0)
        * (north - south + (sin(2.0 * north) - sin(2.0 * south)) / 2.0);
    height float8 := width * (cos(2.0 * south) - cos(2.0 * north)) / 4.0;
    ra float8 := radians(s[6]) + width / 2.0;
BEGIN
    IF abs(plane) < 1e-100 THEN
        plane := 0.0;
    END IF;
    IF abs(height) < 1e-100 THEN
        height := 0.0;
    END IF;
    IF sqrt(plane * plane + height * height) < 1e-15 THEN
        RETURN adql.sample(s);
    END IF;
    RETURN adql.unit(plane * cos(ra), plane * sin(ra), height);
END
$$;

CREATE FUNCTION adql.sky_coord1(s float8[]) RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT CASE WHEN s[1] = 0.0 THEN s[6] END $$;

CREATE FUNCTION adql.sky_coord2(s float8[]) RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT CASE WHEN s[1] = 0.0 THEN s[7] END $$;

-- Great-circle distance in degrees, accurate at 0 and at 180.
CREATE FUNCTION adql.sky_distance(ra1 float8, dec1 float8, ra2 float8, dec2 float8)
RETURNS float8 LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 200 AS $$
DECLARE
    delta float8;
    d1 float8;
    d2 float8;
    half_ra float8;
    half_dec float8;
    haversine float8;
    x float8;
    y float8;
BEGIN
    IF NOT (adql.is_position(ra1, dec1) AND adql.is_position(ra2, dec2)) THEN
        RETURN NULL;
    END IF;
    delta := ra2 - ra1;
    delta := CASE WHEN abs(delta) < 1e-100 THEN 0.0::float8 ELSE radians(delta) END;
    d1 := CASE WHEN abs(dec1) < 1e-100 THEN 0.0::float8 ELSE radians(dec1) END;
    d2 := CASE WHEN abs(dec2) < 1e-100 THEN 0.0::float8 ELSE radians(dec2) END;
    -- Half-angle forms keep the digits of small differences.
    half_ra := sin(delta / 2.0);
    half_dec := sin((d2 - d1) / 2.0);
    haversine := half_dec * half_dec + cos(d1) * cos(d2) * (half_ra * half_ra);
    IF haversine < 0.5 THEN
        RETURN 2.0 * asin(sqrt(haversine)) * 57.29577951308232;
    END IF;
    x := cos(d2) * sin(delta);
    y := cos(d1) * sin(d2) - sin(d1) * cos(d2) * cos(delta);
    RETURN atan2(sqrt(x * x + y * y), sin(d1) * sin(d2) + cos(d1) * cos(d2) * cos(delta))
        * 57.29577951308232;
END
$$;

CREATE FUNCTION adql.sky_separation(a float8[], b float8[]) RETURNS float8
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 200 AS $$
BEGIN
    RETURN CASE WHEN a[1] = 0.0 AND b[1] = 0.0
        THEN adql.sky_distance(a[6], a[7], b[6], b[7]) END;
END
$$;

-- What queries ask ------------------------------------------------------------------------------

CREATE FUNCTION adql.sky_contains(a float8[], b float8[]) RETURNS int
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 1000 AS $$
BEGIN
    RETURN adql.contains(a, b)::int;
END
$$;

CREATE FUNCTION adql.sky_intersects(a float8[], b float8[]) RETURNS int
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 1000 AS $$
BEGIN
    RETURN adql.intersects(a, b)::int;
END
$$;

-- Whether a shape has the point of a position.
CREATE FUNCTION adql.sky_holds(s float8[], ra_deg float8, dec_deg float8) RETURNS int
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 200 AS $$
DECLARE
    v float8[];
BEGIN
    IF NOT adql.is_position(ra_deg, dec_deg) THEN
        RETURN NULL;
    END IF;
    v := adql.vector(adql.ra(ra_deg), dec_deg);
    RETURN adql.holds(s, v[1], v[2], v[3])::int;
END
$$;

-- The caps of which one meets each row near a shape: see caps_around in shapes.py.
CREATE FUNCTION adql.sky_caps(s float8[], margin_deg float8) RETURNS scircle[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 200 AS $$
DECLARE
    radius float8 := s[5] + radians(least(180.0, greatest(1e-100, margin_deg))) + 1e-7;
    everywhere scircle := '<(3.7938553563158623,-0.7301986351446236),1e-07>';
    ra float8;
    dec float8;
BEGIN
    ra := atan2(s[3], s[2]);
    dec := atan2(s[4], sqrt(s[2] * s[2] + s[3] * s[3]));
    IF radius > 1.5707963257948966 THEN
        -- An scircle ends at a hemisphere: take both.
        RETURN ARRAY[
            scircle(spoint(ra, dec), 1.5707963267948966),
            scircle(spoint(ra + 3.141592653589793, -dec), 1.5707963267948966)];
    END IF;
    RETURN ARRAY[scircle(spoint(ra, dec), radius), everywhere];
END
$$;

-- The cap under which a row is kept: see row_cap in shapes.py.
CREATE FUNCTION adql.row_cap(s float8[], ra_deg float8, dec_deg float8) RETURNS scircle
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE COST 200 AS $$
DECLARE
    radius float8;
    v float8[];
BEGIN
    IF adql.is_position(ra_deg, dec_deg) IS NOT TRUE THEN
        ra_deg := NULL;
    END IF;
    IF s IS NULL THEN
        RETURN scircle(spoint(radians(ra_deg), radians(dec_deg)), 1e-7);
    END IF;
    radius := s[5];
    IF ra_deg IS NOT NULL THEN
        v := adql.vector(ra_deg, dec_deg);
        radius := greatest(radius, adql.angle(s[2], s[3], s[4], v[1], v[2], v[3]));
    END IF;
    radius := radius + 1e-7;
    IF radius > 1.5707963257948966 THEN
        RETURN '<(3.7938553563158623,-0.7301986351446236),1e-07>';
    END IF;
    RETURN scircle(
        spoint(atan2(s[3], s[2]), atan2(s[4], sqrt(s[2] * s[2] + s[3] * s[3]))), radius);
END
$$;

-- The numbers of an array as sky_parse reads them; one that is missing makes them no shape.
CREATE FUNCTION adql.numbers_text(given float8[]) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 100 AS $$
BEGIN
    RETURN array_to_string(given, ' ', 'nothing');
END
$$;

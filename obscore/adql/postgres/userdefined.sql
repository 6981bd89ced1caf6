-- The user-defined functions of obscore/adql/userdefined, step for step. What those refuse is NULL.

-- HEALPix ---------------------------------------------------------------------------------------

-- A zero behind each bit of a number of 32 bits.
CREATE FUNCTION adql.spread(v bigint) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    v := (v | (v << 16)) & 281470681808895;
    v := (v | (v << 8)) & 71777214294589695;
    v := (v | (v << 4)) & 1085102592571150095;
    v := (v | (v << 2)) & 3689348814741910323;
    RETURN (v | (v << 1)) & 6148914691236517205;
END
$$;

-- Every other bit.
CREATE FUNCTION adql.gather(v bigint) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    v := v & 6148914691236517205;
    v := (v | (v >> 1)) & 3689348814741910323;
    v := (v | (v >> 2)) & 1085102592571150095;
    v := (v | (v >> 4)) & 71777214294589695;
    v := (v | (v >> 8)) & 281470681808895;
    RETURN (v | (v >> 16)) & 4294967295;
END
$$;

CREATE FUNCTION adql.ivo_healpix_index(depth bigint, lon_deg float8, lat_deg float8)
RETURNS bigint LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 100 AS $$
DECLARE
    nside bigint;
    quarters float8;
    z float8;
    part float8;
    width float8;
    quarter bigint;
    down bigint;
    up bigint;
    one bigint;
    two bigint;
    face bigint;
    x bigint;
    y bigint;
BEGIN
    IF depth < 0 OR depth > 29 OR adql.is_position(lon_deg, lat_deg) IS NOT TRUE THEN
        RETURN NULL;
    END IF;
    nside := 1::bigint << depth::int;
    quarters := adql.ra(lon_deg) / 90.0;
    lat_deg := CASE WHEN abs(lat_deg) < 1e-100 THEN 0.0 ELSE lat_deg END;
    z := sin(radians(lat_deg));
    IF abs(z) <= 2.0::float8 / 3.0 THEN
        down := trunc(nside * (0.5 + quarters) - nside * z * 0.75)::bigint;
        up := trunc(nside * (0.5 + quarters) + nside * z * 0.75)::bigint;
        one := down >> depth::int;
        two := up >> depth::int;
        face := CASE WHEN one = two THEN one | 4 WHEN one < two THEN one ELSE two + 8 END;
        x := up & (nside - 1);
        y := nside - 1 - (down & (nside - 1));
    ELSE
        quarter := least(3, trunc(quarters)::bigint);
        part := quarters - quarter;
        width := nside * cos(radians(lat_deg)) * sqrt(3.0::float8 / (1.0 + abs(z)));
        down := least(nside - 1, trunc(part * width)::bigint);
        up := least(nside - 1, trunc((1.0 - part) * width)::bigint);
        IF z >= 0.0 THEN
            face := quarter;
            x := nside - up - 1;
            y := nside - down - 1;
        ELSE
            face := quarter + 8;
            x := down;
            y := up;
        END IF;
    END IF;
    RETURN (face << (2 * depth::int)) | adql.spread(x) | (adql.spread(y) << 1);
END
$$;

CREATE FUNCTION adql.ivo_healpix_index(depth bigint, point float8[]) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE WHEN point[1] = 0.0 THEN adql.ivo_healpix_index(depth, point[6], point[7]) END
$$;

CREATE FUNCTION adql.ivo_healpix_center(depth bigint, cell bigint) RETURNS float8[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 200 AS $$
DECLARE
    nside bigint;
    face int;
    x bigint;
    y bigint;
    line bigint;
    ring bigint;
    shift int := 0;
    lat float8;
    col bigint;
    lon float8;
BEGIN
    IF depth < 0 OR depth > 29 OR cell < 0 OR cell >= 12::bigint << (2 * depth::int) THEN
        RETURN NULL;
    END IF;
    nside := 1::bigint << depth::int;
    face := cell >> (2 * depth::int);
    x := adql.gather(cell & ((1::bigint << (2 * depth::int)) - 1));
    y := adql.gather((cell & ((1::bigint << (2 * depth::int)) - 1)) >> 1);
    line := (2 + face / 4) * nside - x - y - 1;
    IF line < nside THEN
        ring := line;
        lat := 90.0 - 2.0 * degrees(asin(ring / (nside * sqrt(6.0::float8))));
    ELSIF line > 3 * nside THEN
        ring := 4 * nside - line;
        lat := 2.0 * degrees(asin(ring / (nside * sqrt(6.0::float8)))) - 90.0;
    ELSE
        ring := nside;
        shift := (line - nside) & 1;
        lat := degrees(asin((2 * nside - line) * 2.0::float8 / (3.0 * nside)));
    END IF;
    col := (ARRAY[1, 3, 5, 7, 0, 2, 4, 6, 1, 3, 5, 7])[face + 1] * ring + x - y + 1 + shift;
    col := floor(col / 2.0::float8)::bigint;
    IF col < 1 THEN
        col := col + 4 * ring;
    ELSIF col > 4 * ring THEN
        col := col - 4 * ring;
    END IF;
    lon := (col - (shift + 1) * 0.5::float8) * 90.0 / ring;
    RETURN adql.sky_point(adql.ra(lon), lat);
END
$$;

-- Frames and epochs -----------------------------------------------------------------------------

-- The rotation from one frame to another, row by row.
CREATE FUNCTION adql.rotation(source text, target text) RETURNS float8[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE source || ' ' || target
        WHEN 'ICRS GALACTIC' THEN ARRAY[-0.05487565771259166, -0.8734370519556163, -0.4838350736167156, 0.4941094371927274, -0.4448297212232954, 0.7469821839866676, -0.8676661375596588, -0.19807633727300059, 0.45598381368730156]::float8[]
        WHEN 'ICRS FK5' THEN ARRAY[0.9999999999999928, -1.110223329740834e-07, -4.411804498096776e-08, 1.110223372305003e-07, 0.9999999999999891, 9.64779225407974e-08, 4.411803426976324e-08, -9.647792743888517e-08, 0.9999999999999943]::float8[]
        WHEN 'ICRS FK4' THEN ARRAY[0.9999256809514502, 0.011181371753884749, 0.004858960740738723, -0.011181372203849849, 0.9999374861373453, -2.7073328534757413e-05, -0.004858959705285229, -2.7258532095411625e-05, 0.9999881948140962]::float8[]
        WHEN 'ICRS ECLIPTIC' THEN ARRAY[0.9999999999999941, -7.078368960971556e-08, 8.056213977613186e-08, 3.2897004077419646e-08, 0.9174821299149584, 0.39777699944404793, -1.0207044725484355e-07, -0.39777699944404304, 0.9174821299149556]::float8[]
        WHEN 'ICRS SUPER_GALACTIC' THEN ARRAY[0.3750155557030319, 0.34135887185624747, 0.8618801851683193, -0.8983204377276137, -0.09572710024885109, 0.4287851600030192, 0.22887490937543734, -0.935045690264907, 0.27075049949244595]::float8[]
        WHEN 'GALACTIC ICRS' THEN ARRAY[-0.05487565771259166, 0.4941094371927274, -0.8676661375596588, -0.8734370519556163, -0.4448297212232954, -0.19807633727300059, -0.4838350736167156, 0.7469821839866676, 0.45598381368730156]::float8[]
        WHEN 'GALACTIC FK5' THEN ARRAY[-0.05487553939571451, 0.49410945362336367, -0.8676661356858699, -0.8734371047274333, -0.4448295942988167, -0.1980763896109499, -0.4838349917703225, 0.74698224870205, 0.45598379451756904]::float8[]
        WHEN 'GALACTIC FK4' THEN ARRAY[-0.06698873941515086, 0.4927284660753236, -0.8676008111514348, -0.8727557658519927, -0.4503469580199615, -0.18837460172292034, -0.48353891463218424, 0.7445846332830311, 0.4601997847838516]::float8[]
        WHEN 'GALACTIC ECLIPTIC' THEN ARRAY[-0.05487563486628298, 0.4941095288578965, -0.867666086804048, -0.9938213523891729, -0.11099097203832771, -0.00035165514701409635, -0.0964768585380849, 0.8622857865103744, 0.4971473002529609]::float8[]
        WHEN 'GALACTIC SUPER_GALACTIC' THEN ARRAY[-0.735742574804375, 0.6772612964138944, 4.163336342344337e-17, -0.0745537783652337, -0.08099147130697681, 0.9939225903997748, 0.6731453021092076, 0.7312711658169646, 0.11008126222478203]::float8[]
        WHEN 'FK5 ICRS' THEN ARRAY[0.9999999999999928, 1.110223372305003e-07, 4.411803426976324e-08, -1.110223329740834e-07, 0.9999999999999891, -9.647792743888517e-08, -4.411804498096776e-08, 9.64779225407974e-08, 0.9999999999999943]::float8[]
        WHEN 'FK5 GALACTIC' THEN ARRAY[-0.05487553939571451, -0.8734371047274333, -0.4838349917703225, 0.49410945362336367, -0.4448295942988167, 0.74698224870205, -0.8676661356858699, -0.1980763896109499, 0.45598379451756904]::float8[]
        WHEN 'FK5 FK4' THEN ARRAY[0.9999256794956931, 0.011181483236753222, 0.004859003776738582, -0.011181483218047884, 0.9999374848933404, -2.7170293731150313e-05, -0.004859003819783048, -2.716259476487333e-05, 0.9999881946023527]::float8[]
        WHEN 'FK5 ECLIPTIC' THEN ARRAY[0.9999999999999912, 4.023865539325274e-08, 1.2468018087495806e-07, -8.651314600163724e-08, 0.9174821682916505, 0.39777691092727274, -9.83858346499566e-08, -0.3977769109272802, 0.9174821682916463]::float8[]
        WHEN 'FK5 SUPER_GALACTIC' THEN ARRAY[0.3750154797801021, 0.34135899664375696, 0.8618801687796671, -0.8983204460169243, -0.09572715861418317, 0.4287851296064371, 0.22887500124140692, -0.9350456387332238, 0.27075059980122573]::float8[]
        WHEN 'FK4 ICRS' THEN ARRAY[0.9999256809514502, -0.011181372203849849, -0.004858959705285229, 0.011181371753884749, 0.9999374861373453, -2.7258532095411625e-05, 0.004858960740738723, -2.7073328534757413e-05, 0.9999881948140962]::float8[]
        WHEN 'FK4 GALACTIC' THEN ARRAY[-0.06698873941515086, -0.8727557658519927, -0.48353891463218424, 0.4927284660753236, -0.4503469580199615, 0.7445846332830311, -0.8676008111514348, -0.18837460172292034, 0.4601997847838516]::float8[]
        WHEN 'FK4 FK5' THEN ARRAY[0.9999256794956931, -0.011181483218047884, -0.004859003819783048, 0.011181483236753222, 0.9999374848933404, -2.716259476487333e-05, 0.004859003776738582, -2.7170293731150313e-05, 0.9999881946023527]::float8[]
        WHEN 'FK4 ECLIPTIC' THEN ARRAY[0.9999256805514338, -0.011181442985295515, -0.004858879142167016, 0.012191524490551813, 0.9174140050478776, 0.39774729423669075, 1.0215080795985614e-05, -0.39777697102117293, 0.9174821421809108]::float8[]
        WHEN 'FK4 SUPER_GALACTIC' THEN ARRAY[0.38299238733440555, 0.3371210097186565, 0.8600385200967259, -0.8972405854435267, -0.08568826944700363, 0.4331476103040798, 0.21971837218778512, -0.9375537026141229, 0.26966069724321856]::float8[]
        WHEN 'ECLIPTIC ICRS' THEN ARRAY[0.9999999999999941, 3.2897004077419646e-08, -1.0207044725484355e-07, -7.078368960971556e-08, 0.9174821299149584, -0.39777699944404304, 8.056213977613186e-08, 0.39777699944404793, 0.9174821299149556]::float8[]
        WHEN 'ECLIPTIC GALACTIC' THEN ARRAY[-0.05487563486628298, -0.9938213523891729, -0.0964768585380849, 0.4941095288578965, -0.11099097203832771, 0.8622857865103744, -0.867666086804048, -0.00035165514701409635, 0.4971473002529609]::float8[]
        WHEN 'ECLIPTIC FK5' THEN ARRAY[0.9999999999999912, -8.651314600163724e-08, -9.83858346499566e-08, 4.023865539325274e-08, 0.9174821682916505, -0.3977769109272802, 1.2468018087495806e-07, 0.39777691092727274, 0.9174821682916463]::float8[]
        WHEN 'ECLIPTIC FK4' THEN ARRAY[0.9999256805514338, 0.012191524490551813, 1.0215080795985614e-05, -0.011181442985295515, 0.9174140050478776, -0.39777697102117293, -0.004858879142167016, 0.39774729423669075, 0.9174821421809108]::float8[]
        WHEN 'ECLIPTIC SUPER_GALACTIC' THEN ARRAY[0.37501560097530123, 0.6560267910894599, 0.6549749219611387, -0.898320396407841, 0.08273294097318723, 0.43148085226993105, 0.22887499737365946, -0.7501893826566681, 0.6203483906051618]::float8[]
        WHEN 'SUPER_GALACTIC ICRS' THEN ARRAY[0.3750155557030319, -0.8983204377276137, 0.22887490937543734, 0.34135887185624747, -0.09572710024885109, -0.935045690264907, 0.8618801851683193, 0.4287851600030192, 0.27075049949244595]::float8[]
        WHEN 'SUPER_GALACTIC GALACTIC' THEN ARRAY[-0.735742574804375, -0.0745537783652337, 0.6731453021092076, 0.6772612964138944, -0.08099147130697681, 0.7312711658169646, 4.163336342344337e-17, 0.9939225903997748, 0.11008126222478203]::float8[]
        WHEN 'SUPER_GALACTIC FK5' THEN ARRAY[0.3750154797801021, -0.8983204460169243, 0.22887500124140692, 0.34135899664375696, -0.09572715861418317, -0.9350456387332238, 0.8618801687796671, 0.4287851296064371, 0.27075059980122573]::float8[]
        WHEN 'SUPER_GALACTIC FK4' THEN ARRAY[0.38299238733440555, -0.8972405854435267, 0.21971837218778512, 0.3371210097186565, -0.08568826944700363, -0.9375537026141229, 0.8600385200967259, 0.4331476103040798, 0.26966069724321856]::float8[]
        WHEN 'SUPER_GALACTIC ECLIPTIC' THEN ARRAY[0.37501560097530123, -0.898320396407841, 0.22887499737365946, 0.6560267910894599, 0.08273294097318723, -0.7501893826566681, 0.6549749219611387, 0.43148085226993105, 0.6203483906051618]::float8[]
    END
$$;

CREATE FUNCTION adql.ivo_geom_transform(source text, target text, s float8[]) RETURNS float8[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 1000 AS $$
DECLARE
    r float8[] := adql.rotation(source, target);
    v float8[];
    place float8[];
    corners float8[] := ARRAY[]::float8[];
    first int;
BEGIN
    IF source = target THEN
        RETURN s;
    ELSIF s[1] = 4.0 THEN
        RETURN NULL;
    END IF;
    first := CASE WHEN s[1] IN (2.0, 3.0) THEN 7 + 6 * s[6]::int ELSE 6 END;
    FOR i IN first .. CASE WHEN s[1] IN (2.0, 3.0) THEN cardinality(s) ELSE 7 END BY 2 LOOP
        v := adql.vector(s[i], s[i + 1]);
        place := adql.position_of(
            r[1] * v[1] + r[2] * v[2] + r[3] * v[3],
            r[4] * v[1] + r[5] * v[2] + r[6] * v[3],
            r[7] * v[1] + r[8] * v[2] + r[9] * v[3]);
        corners := corners || place;
    END LOOP;
    RETURN CASE
        WHEN s[1] = 0.0 THEN adql.sky_point(corners[1], corners[2])
        WHEN s[1] = 1.0 THEN adql.sky_circle(adql.sky_point(corners[1], corners[2]), s[8])
        ELSE adql.sky_polygon(VARIADIC corners)
    END;
END
$$;

CREATE FUNCTION adql.ivo_epoch_prop_pos(
    ra_deg float8, dec_deg float8, parallax float8, pmra float8, pmdec float8, velocity float8,
    epoch float8, to_epoch float8
) RETURNS float8[] LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 200 AS $$
DECLARE
    mas CONSTANT float8 := 4.84813681109536e-09;
    years float8 := to_epoch - epoch;
    v float8[];
    east float8 := pmra * mas * years;
    north float8 := pmdec * mas * years;
    away float8 := 1.0 + velocity * parallax * mas / 4.740470463533349 * years;
    ra float8;
    dec float8;
    far float8;
    place float8[];
BEGIN
    IF adql.is_position(ra_deg, dec_deg) IS NOT TRUE THEN
        RETURN NULL;
    END IF;
    ra := radians(CASE WHEN abs(ra_deg) < 1e-100 THEN 0.0 ELSE adql.ra(ra_deg) END);
    dec := radians(CASE WHEN abs(dec_deg) < 1e-100 THEN 0.0 ELSE dec_deg END);
    v := ARRAY[
        cos(dec) * cos(ra) * away - sin(ra) * east - sin(dec) * cos(ra) * north,
        cos(dec) * sin(ra) * away + cos(ra) * east - sin(dec) * sin(ra) * north,
        sin(dec) * away + cos(dec) * north];
    -- Squares of what goes very far would leave the range of numbers.
    far := greatest(abs(v[1]), abs(v[2]), abs(v[3]));
    IF far > 1e100 THEN
        v := ARRAY[v[1] / far, v[2] / far, v[3] / far];
    END IF;
    place := adql.position_of(v[1], v[2], v[3]);
    RETURN adql.sky_point(place[1], place[2]);
EXCEPTION WHEN numeric_value_out_of_range THEN
    RETURN NULL;
END
$$;

-- Dates and angles ------------------------------------------------------------------------------

-- Days from 1858-11-17 to a date in the form that cast_timestamp gives, and of its day, as two.
CREATE FUNCTION adql.day_and_part(moment text) RETURNS float8[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT ARRAY[
        make_date(substr(moment, 1, 4)::int, substr(moment, 6, 2)::int, substr(moment, 9, 2)::int)
            - DATE '1858-11-17',
        (substr(moment, 12, 2)::int * 3600 + substr(moment, 15, 2)::int * 60
            + substr(moment, 18)::float8) / 86400.0]::float8[]
$$;

CREATE FUNCTION adql.ivo_to_mjd(given text) RETURNS float8
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT d[1] + d[2] FROM adql.day_and_part(adql.cast_timestamp(given)) AS d
$$;

CREATE FUNCTION adql.ivo_to_jd(given text) RETURNS float8
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT (d[1] + 2400000.5::float8) + d[2] FROM adql.day_and_part(adql.cast_timestamp(given)) AS d
$$;

-- Whole, minutes and seconds as one number; the letter is that of the whole.
CREATE FUNCTION adql.sexagesimal(word text, letter text, digits int, most int) RETURNS float8
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 50 AS $$
DECLARE
    second CONSTANT text := '([0-9]{1,2}(?:\.[0-9]{0,12})?)';
    part text[] := coalesce(
        regexp_match(word, '^([0-9]{1,' || digits || '}):([0-9]{1,2}):' || second || '$'),
        regexp_match(word, '^([0-9]{1,' || digits || '})[' || letter || upper(letter)
            || ']([0-9]{1,2})[mM]' || second || '[sS]$'),
        regexp_match(word, '^([0-9]{2})([0-9]{2})([0-9]{2}(?:\.[0-9]{0,12})?)$'));
BEGIN
    IF part[1]::int > most OR part[2]::int >= 60 OR part[3]::float8 >= 60.0 THEN
        RETURN NULL;
    END IF;
    RETURN part[1]::int + (part[2]::int + part[3]::float8 / 60.0) / 60.0;
END
$$;

CREATE FUNCTION adql.ivo_hms_to_degrees(given text) RETURNS float8
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT 15.0 * adql.sexagesimal(btrim(given, E' \t\n\r\f\v') COLLATE "C", 'h', 2, 23)
$$;

CREATE FUNCTION adql.ivo_dms_to_degrees(given text) RETURNS float8
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 50 AS $$
DECLARE
    word text := btrim(given, E' \t\n\r\f\v') COLLATE "C";
BEGIN
    RETURN CASE WHEN word LIKE '-%' THEN -1.0::float8 ELSE 1.0::float8 END
        * adql.sexagesimal(regexp_replace(word, '^[+-]', ''), 'd', 3, 359);
END
$$;

-- Texts and chance ------------------------------------------------------------------------------

-- The words between signs and blanks of ASCII, letters of ASCII in lower case.
CREATE FUNCTION adql.words(given text) RETURNS text[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT array_remove(
        regexp_split_to_array(lower(given COLLATE "C"), '[\x01-/:-@\[-`{-\x7f]+'), '')
$$;

CREATE FUNCTION adql.ivo_hasword(haystack text, needle text) RETURNS int
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT (adql.words(haystack) @> adql.words(needle))::int
$$;

CREATE FUNCTION adql.ivo_hashlist_has(hashlist text, item text) RETURNS int
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE WHEN position('#' IN item) > 0 THEN 0 ELSE
        (lower(item COLLATE "C") = ANY (string_to_array(lower(hashlist COLLATE "C"), '#'))
            OR (item = '' AND hashlist = ''))::int
    END
$$;

CREATE FUNCTION adql.ivo_normal_random(mu float8, sigma float8) RETURNS float8
LANGUAGE sql VOLATILE STRICT PARALLEL RESTRICTED AS $$
    SELECT mu + sigma * sqrt(-2.0 * ln(1.0 - random())) * cos(6.283185307179586 * random())
$$;

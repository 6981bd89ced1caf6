-- Arithmetic without errors. PostgreSQL fails where a number leaves its type; here, as in the
-- embedded store, a whole number that leaves 64 bits is NULL, a real one is infinite or 0, and what
-- has no value (a division by zero, the root of a negative number) is NULL.

-- Whole numbers ---------------------------------------------------------------------------------

CREATE FUNCTION adql.int_add(a bigint, b bigint) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 20 AS $$
BEGIN
    IF (b > 0 AND a > 9223372036854775807 - b) OR (b < 0 AND a < -9223372036854775808 - b) THEN
        RETURN NULL;
    END IF;
    RETURN a + b;
END
$$;

CREATE FUNCTION adql.int_sub(a bigint, b bigint) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 20 AS $$
BEGIN
    IF (b < 0 AND a > 9223372036854775807 + b) OR (b > 0 AND a < -9223372036854775808 + b) THEN
        RETURN NULL;
    END IF;
    RETURN a - b;
END
$$;

CREATE FUNCTION adql.int_mul(a bigint, b bigint) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 20 AS $$
BEGIN
    IF a BETWEEN -3037000499 AND 3037000499 AND b BETWEEN -3037000499 AND 3037000499 THEN
        RETURN a * b;
    END IF;
    RETURN adql.whole(a::numeric * b::numeric);
END
$$;

CREATE FUNCTION adql.int_div(a bigint, b bigint) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 20 AS $$
BEGIN
    IF b = 0 OR (b = -1 AND a = -9223372036854775808) THEN
        RETURN NULL;
    END IF;
    RETURN a / b;
END
$$;

CREATE FUNCTION adql.int_mod(a bigint, b bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT mod(a, nullif(b, 0)) $$;

CREATE FUNCTION adql.int_neg(a bigint) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 20 AS $$
BEGIN
    RETURN CASE WHEN a = -9223372036854775808 THEN NULL ELSE -a END;
END
$$;

CREATE FUNCTION adql.int_abs(a bigint) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 20 AS $$
BEGIN
    RETURN CASE WHEN a = -9223372036854775808 THEN NULL ELSE abs(a) END;
END
$$;

-- A whole number of 64 bits, or NULL.
CREATE FUNCTION adql.whole(a numeric) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 20 AS $$
BEGIN
    RETURN CASE WHEN a BETWEEN -9223372036854775808 AND 9223372036854775807 THEN a::bigint END;
END
$$;

-- Real numbers ----------------------------------------------------------------------------------

CREATE FUNCTION adql.real_add(a float8, b float8) RETURNS float8
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 20 AS $$
DECLARE
    half float8;
BEGIN
    IF abs(a) < 8e307 AND abs(b) < 8e307 THEN
        RETURN a + b;
    ELSIF abs(a) = 'Infinity' OR abs(b) = 'Infinity' THEN
        RETURN nullif(a + b, 'NaN');
    END IF;
    half := a * 0.5 + b * 0.5;
    IF abs(half) > 8.98846567431158e307 THEN
        RETURN CASE WHEN half > 0.0 THEN 'Infinity' ELSE '-Infinity' END;
    END IF;
    RETURN a + b;
END
$$;

CREATE FUNCTION adql.real_sub(a float8, b float8) RETURNS float8
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 20 AS $$
BEGIN
    IF abs(a) < 8e307 AND abs(b) < 8e307 THEN
        RETURN a - b;
    END IF;
    RETURN adql.real_add(a, -b);
END
$$;

CREATE FUNCTION adql.real_mul(a float8, b float8) RETURNS float8
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 20 AS $$
DECLARE
    p float8 := abs(a);
    q float8 := abs(b);
    size float8;
BEGIN
    IF p < 1e150 AND q < 1e150 AND p > 1e-150 AND q > 1e-150 THEN
        RETURN a * b;
    ELSIF p = 0.0 OR q = 0.0 OR p = 'Infinity' OR q = 'Infinity' THEN
        RETURN nullif(a * b, 'NaN');
    END IF;
    size := ln(p) + ln(q);
    IF size > 709.78271289 THEN
        RETURN CASE WHEN (a > 0.0) = (b > 0.0) THEN 'Infinity' ELSE '-Infinity' END;
    END IF;
    RETURN CASE WHEN size < -744.44007192 THEN 0.0 ELSE a * b END;
END
$$;

CREATE FUNCTION adql.real_div(a float8, b float8) RETURNS float8
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 20 AS $$
DECLARE
    p float8 := abs(a);
    q float8 := abs(b);
    size float8;
BEGIN
    IF p < 1e150 AND q < 1e150 AND p > 1e-150 AND q > 1e-150 THEN
        RETURN a / b;
    ELSIF q = 0.0 THEN
        RETURN NULL;
    ELSIF q = 'Infinity' THEN
        RETURN CASE WHEN p = 'Infinity' THEN NULL ELSE 0.0 END;
    ELSIF p = 0.0 OR p = 'Infinity' THEN
        RETURN a / b;
    END IF;
    size := ln(p) - ln(q);
    IF size > 709.78271289 THEN
        RETURN CASE WHEN (a > 0.0) = (b > 0.0) THEN 'Infinity' ELSE '-Infinity' END;
    END IF;
    RETURN CASE WHEN size < -744.44007192 THEN 0.0 ELSE a / b END;
END
$$;

-- What is left of a after taking b away as often as it goes, with a's sign: C's fmod, exactly.
CREATE FUNCTION adql.remainder(a float8, b float8) RETURNS float8
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 100 AS $$
DECLARE
    r float8 := abs(a);
    d float8 := abs(b);
    t float8 := d;
BEGIN
    IF d = 0.0 OR r = 'Infinity' THEN
        RETURN NULL;
    ELSIF r < d THEN
        RETURN a;
    END IF;
    WHILE t <= r - t LOOP
        t := t + t;
    END LOOP;
    LOOP
        IF r >= t THEN
            r := r - t;
        END IF;
        EXIT WHEN t <= d;
        t := t * 0.5;
    END LOOP;
    RETURN CASE WHEN a < 0.0 THEN -r ELSE r END;
END
$$;

-- Functions -------------------------------------------------------------------------------------

CREATE FUNCTION adql.real_exp(x float8) RETURNS float8
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 20 AS $$
BEGIN
    RETURN CASE
        WHEN x > 709.782712893384 THEN 'Infinity'
        WHEN x < -745.133219101 THEN 0.0
        ELSE exp(x) END;
END
$$;

CREATE FUNCTION adql.real_ln(x float8) RETURNS float8
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 20 AS $$
BEGIN
    RETURN CASE WHEN x > 0.0 THEN ln(x) END;
END
$$;

CREATE FUNCTION adql.real_log10(x float8) RETURNS float8
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 20 AS $$
BEGIN
    RETURN CASE WHEN x > 0.0 THEN log(x) END;
END
$$;

CREATE FUNCTION adql.real_sqrt(x float8) RETURNS float8
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 20 AS $$
BEGIN
    RETURN CASE WHEN x >= 0.0 THEN sqrt(x) END;
END
$$;

CREATE FUNCTION adql.real_power(a float8, b float8) RETURNS float8
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 50 AS $$
DECLARE
    size float8;
BEGIN
    IF b = 0.0 OR a = 1.0 THEN
        RETURN 1.0;
    ELSIF abs(a) = 'Infinity' OR abs(b) = 'Infinity' THEN
        RETURN power(a, b);
    ELSIF a = 0.0 THEN
        RETURN CASE WHEN b < 0.0 THEN 'Infinity' ELSE 0.0 END;
    ELSIF a < 0.0 AND b <> floor(b) THEN
        RETURN NULL;
    END IF;
    size := adql.real_mul(ln(abs(a)), b);
    IF size > 709.78271289 THEN
        RETURN CASE WHEN a < 0.0 AND abs(b) < 9007199254740992.0 AND adql.remainder(b, 2.0) <> 0.0
            THEN '-Infinity' ELSE 'Infinity' END;
    END IF;
    RETURN CASE WHEN size < -744.44007192 THEN 0.0 ELSE power(a, b) END;
END
$$;

CREATE FUNCTION adql.real_sin(x float8) RETURNS float8
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 20 AS $$
BEGIN
    RETURN CASE WHEN abs(x) < 'Infinity' THEN sin(x) END;
END
$$;

CREATE FUNCTION adql.real_cos(x float8) RETURNS float8
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 20 AS $$
BEGIN
    RETURN CASE WHEN abs(x) < 'Infinity' THEN cos(x) END;
END
$$;

CREATE FUNCTION adql.real_tan(x float8) RETURNS float8
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 20 AS $$
BEGIN
    RETURN CASE WHEN abs(x) < 'Infinity' THEN tan(x) END;
END
$$;

CREATE FUNCTION adql.real_cot(x float8) RETURNS float8
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 20 AS $$
BEGIN
    RETURN CASE WHEN abs(x) < 'Infinity' THEN adql.real_div(1.0, tan(x)) END;
END
$$;

CREATE FUNCTION adql.real_asin(x float8) RETURNS float8
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 20 AS $$
BEGIN
    RETURN CASE WHEN abs(x) <= 1.0 THEN asin(x) END;
END
$$;

CREATE FUNCTION adql.real_acos(x float8) RETURNS float8
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 20 AS $$
BEGIN
    RETURN CASE WHEN abs(x) <= 1.0 THEN acos(x) END;
END
$$;

-- Halves go away from zero.
CREATE FUNCTION adql.real_round(x float8) RETURNS float8
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 20 AS $$
BEGIN
    IF abs(x) > 4503599627370496.0 THEN
        RETURN x;
    END IF;
    RETURN trunc(x + CASE WHEN x < 0.0 THEN -0.5 ELSE 0.5 END) + 0.0;
END
$$;

-- To so many decimals, rounded or cut off.
CREATE FUNCTION adql.real_scaled(x float8, digits bigint, rounding boolean) RETURNS float8
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 50 AS $$
DECLARE
    step float8;
    scaled float8;
BEGIN
    IF abs(x) = 'Infinity' OR digits > 300 THEN
        RETURN x;
    ELSIF digits < -308 THEN
        RETURN 0.0;
    END IF;
    step := power(10.0::float8, abs(digits));
    IF digits < 0 THEN
        scaled := adql.real_div(x, step);
    ELSE
        scaled := adql.real_mul(x, step);
        IF abs(scaled) >= 9007199254740992.0 THEN
            RETURN x;
        END IF;
    END IF;
    scaled := CASE WHEN rounding THEN sign(x) * floor(abs(scaled) + 0.5) ELSE trunc(scaled) END;
    RETURN CASE WHEN digits < 0 THEN adql.real_mul(scaled, step) ELSE scaled / step END;
END
$$;

-- Sums ------------------------------------------------------------------------------------------

-- The sum of numbers of which plain sum() would leave its type.
CREATE AGGREGATE adql.sum_guarded(float8) (
    SFUNC = adql.real_add, STYPE = float8, COMBINEFUNC = adql.real_add, PARALLEL = SAFE
);

-- Types -----------------------------------------------------------------------------------------

-- The number that a text writes in digits; NULL if it is none.
CREATE FUNCTION adql.number(given text) RETURNS float8
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 50 AS $$
DECLARE
    word text := btrim(given, E' \t\n\r\f\v') COLLATE "C";
    parts text[];
    size bigint;
    exact numeric;
BEGIN
    IF word ~ '^[+-]?[0-9]{1,17}(\.[0-9]{0,20})?$' THEN
        RETURN word::float8;
    END IF;
    parts := regexp_match(word, '^([+-]?)0*([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?)0*([0-9]*))?$');
    IF parts IS NULL OR word !~ '^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$' THEN
        RETURN NULL;
    END IF;
    IF parts[2] = '' AND coalesce(parts[3], '') ~ '^0*$' THEN
        RETURN 0.0;
    END IF;
    -- The power of ten above the first digit other than 0, as far as it matters.
    size := CASE WHEN length(parts[5]) > 9 THEN 999999999 ELSE coalesce(nullif(parts[5], ''), '0')::bigint END
        * CASE WHEN parts[4] = '-' THEN -1 ELSE 1 END
        + CASE WHEN parts[2] <> '' THEN length(parts[2])
            ELSE -length(substring(parts[3] from '^0*')) END;
    IF size > 310 THEN
        RETURN CASE WHEN parts[1] = '-' THEN '-Infinity' ELSE 'Infinity' END;
    ELSIF size < -330 THEN
        RETURN 0.0;
    END IF;
    exact := abs(word::numeric);
    IF exact >= 1.7976931348623158079e308::numeric THEN
        RETURN CASE WHEN parts[1] = '-' THEN '-Infinity' ELSE 'Infinity' END;
    ELSIF exact <= 2.4703282292062327e-324::numeric THEN
        RETURN 0.0;
    END IF;
    RETURN word::float8;
END
$$;

CREATE FUNCTION adql.cast_int(x bigint, least_value bigint, most bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN x BETWEEN least_value AND most THEN x END
$$;

CREATE FUNCTION adql.cast_int(x float8, least_value bigint, most bigint) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 20 AS $$
BEGIN
    IF x > -9223372036854777856.0 AND x < 9223372036854775808.0 THEN
        x := trunc(x);
        RETURN CASE WHEN x::bigint BETWEEN least_value AND most THEN x::bigint END;
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION adql.cast_int(given text, least_value bigint, most bigint) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 50 AS $$
DECLARE
    word text := btrim(given, E' \t\n\r\f\v') COLLATE "C";
    exact numeric;
BEGIN
    IF word ~ '^[+-]?[0-9]{1,19}$' THEN
        exact := word::numeric;
        RETURN CASE WHEN exact BETWEEN least_value AND most THEN exact::bigint END;
    END IF;
    RETURN adql.cast_int(adql.number(word), least_value, most);
END
$$;

-- A date in one form, so that texts are in the order of the times.
CREATE FUNCTION adql.cast_timestamp(given text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 50 AS $$
DECLARE
    word text := btrim(given, E' \t\n\r\f\v') COLLATE "C";
    part text[] := regexp_match(word, '^([0-9]{4})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])'
        '(?:[T ]([01][0-9]|2[0-3]):([0-5][0-9])(?::((?:[0-5][0-9]|60)(?:\.[0-9]{1,12})?))?Z?)?$');
    year int := part[1]::int;
    days int := CASE
        WHEN part[2] IN ('04', '06', '09', '11') THEN 30
        WHEN part[2] <> '02' THEN 31
        WHEN year % 4 = 0 AND (year % 100 <> 0 OR year % 400 = 0) THEN 29
        ELSE 28
    END;
    second text := coalesce(part[6], '00');
BEGIN
    IF part IS NULL OR year = 0 OR part[3]::int > days THEN
        RETURN NULL;
    END IF;
    IF position('.' IN second) > 0 THEN
        second := rtrim(rtrim(second, '0'), '.');
    END IF;
    RETURN part[1] || '-' || part[2] || '-' || part[3] || 'T' || coalesce(part[4], '00') || ':'
        || coalesce(part[5], '00') || ':' || second;
END
$$;

-- Percent-encodes a text as a parameter's value.
CREATE FUNCTION adql.encode_id(given text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 100 AS $$
DECLARE
    made text := '';
    byte int;
    bytes bytea;
BEGIN
    IF given ~ '^[A-Za-z0-9_.~:/?&=% +;,#-]*$' THEN
        RETURN replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(
            replace(given, '%', '%25'), '/', '%2F'), ':', '%3A'), '?', '%3F'), '&', '%26'),
            '=', '%3D'), ' ', '%20'), '+', '%2B'), ';', '%3B'), ',', '%2C'), '#', '%23');
    END IF;
    bytes := convert_to(given, 'UTF8');
    FOR i IN 0 .. length(bytes) - 1 LOOP
        byte := get_byte(bytes, i);
        made := made || CASE
            WHEN chr(greatest(byte, 1)) COLLATE "C" ~ '[A-Za-z0-9_.~-]' AND byte < 128
                THEN chr(byte)
            ELSE '%' || upper(lpad(to_hex(byte), 2, '0')) END;
    END LOOP;
    RETURN made;
END
$$;

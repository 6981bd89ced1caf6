-- Texts compared in any case: character by character, as Python's re.IGNORECASE has it, whatever
-- the collation of the database. The characters given to translate() have a lower case that
-- depends on their neighbours, or are lower case of the same letter in another form.

DO $make$
DECLARE
    -- Without ICU the letters of the database's own collation must do.
    letters text := CASE
        WHEN EXISTS (SELECT FROM pg_collation WHERE collname = 'und-x-icu')
        THEN 'COLLATE pg_catalog."und-x-icu"' ELSE '' END;
BEGIN
    EXECUTE format($function$
        CREATE FUNCTION adql.folded(given text) RETURNS text
        LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 20 AS $$
        BEGIN
            IF octet_length(given) = length(given) THEN
                RETURN lower(given COLLATE "C");
            END IF;
            given := translate(given, E'\u0130\u03a3', E'i\u03c3');
            given := lower(given %s);
            RETURN translate(given,
                E'\u0131\u017f\u00b5\u0345\u1fbe\u1fd3\u1fe3\u03d0\u03f5\u03d1\u03f0\u03d6\u03f1\u03c2'
                '\u03d5\u1c80\u1c81\u1c82\u1c83\u1c84\u1c85\u1c86\u1c87\u1c88\u1e9b\ufb05',
                E'is\u03bc\u03b9\u03b9\u0390\u03b0\u03b2\u03b5\u03b8\u03ba\u03c0\u03c1\u03c3'
                '\u03c6\u0432\u0434\u043e\u0441\u0442\u0442\u044a\u0463\ua64b\u1e61\ufb06');
        END
        $$
    $function$, letters);
END
$make$;

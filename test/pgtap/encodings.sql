-- Expressions in databases that are not in UTF-8: no character is taken for another one or cut in two.
SET client_min_messages = error;
SELECT current_database() AS home, 'latin_' || pg_backend_pid() AS latin, 'euc_' || pg_backend_pid() AS euc \gset
CREATE DATABASE :latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C';
CREATE DATABASE :euc TEMPLATE template0 ENCODING 'EUC_JP' LC_COLLATE 'C' LC_CTYPE 'C';

-- What is found there is in ASCII, and is looked at here.
\c :latin
SET client_min_messages = error;
CREATE EXTENSION mistral;
SELECT mistral.evaluate('{{ json_dump(_.s) }}', s) #>> '{}' AS latin_json,
       mistral.evaluate('{{ json_parse(json_dump(_.s)) == _.s }}', s) AS latin_back,
       mistral.evaluate('{{ "%a" % _.s }}', s) #>> '{}' AS latin_ascii,
       mistral.evaluate('<% $.b.trim() %>', s) AS latin_blank,
       mistral.evaluate($$<% regex('.(.)').matches($.s) %>$$, s) AS latin_regex
  FROM jsonb_build_object('s', convert_from('\xc3a9', 'UTF8'), 'b', convert_from('\xc2a061', 'UTF8')) s \gset

\c :euc
SET client_min_messages = error;
CREATE EXTENSION mistral;
CREATE FUNCTION outcome(expression text, context jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN mistral.evaluate(expression, context);
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
SELECT mistral.evaluate('{{ json_dump(_.s) }}', s) #>> '{}' AS euc_json,
       outcome($$<% regex('.').matches($.s) %>$$, s) AS euc_regex,
       outcome($$<% regex('b').matches(abc) %>$$, s) AS euc_plain
  FROM jsonb_build_object('s', convert_from('\xe697a5', 'UTF8')) s \gset

\c :home
SET client_min_messages = error;
DROP DATABASE :latin;
DROP DATABASE :euc;
SELECT no_plan();
SELECT is(:'latin_json'::text, $$"\u00e9"$$, 'LATIN1: json_dump names the character');
SELECT is(:'latin_back'::text, 'true', 'LATIN1: and json_parse reads it');
SELECT is(:'latin_ascii'::text, $$'\xe9'$$, 'LATIN1: so does Python''s ASCII form');
SELECT is(:'latin_blank'::text, '"a"', 'LATIN1: a blank that does not break is a blank');
SELECT is(:'latin_regex'::text, 'false', 'LATIN1: a regular expression sees one character');
SELECT is(:'euc_json'::text, $$"\u65e5"$$, 'EUC_JP: json_dump names the character');
SELECT matches(:'euc_regex'::text, '^MS011 .*in a database in EUC_JP a regular expression works on ASCII only$', 'EUC_JP: no regular expression cuts a character');
SELECT is(:'euc_plain'::text, 'true', 'EUC_JP: on ASCII it works');
SELECT * FROM finish();

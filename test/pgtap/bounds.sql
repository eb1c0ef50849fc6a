-- Limits: each attack on time or memory ends as an error of its own, soon; what is cancelled ends at once.
\set QUIET on
\pset format unaligned
\pset tuples_only on
\set ON_ERROR_STOP on
BEGIN;
\ir ../lib/bounds.sql

SELECT no_plan();

-- Most of them at the default, those that only time can stop at less; what cannot be interrupted takes some more.
SELECT is(current_setting('mistral.expression_timeout'), '1s', 'a second of the processor is the default');
SELECT ok(a.state = b.state AND a.message ~ b.message AND a.used < 2.0,
          format('%s: %s: %s %s, in %s s', b.bound, left(b.expression, 90), a.state, left(a.message, 80), a.used))
  FROM (SELECT * FROM bounds WHERE bound <> 'time' ORDER BY id) b, LATERAL pg_temp.attack(b.expression) a;
SET LOCAL mistral.expression_timeout = '200ms';
SELECT ok(a.state = b.state AND a.message ~ b.message AND a.used < 1.0,
          format('%s: %s: %s %s, in %s s', b.bound, left(b.expression, 90), a.state, left(a.message, 80), a.used))
  FROM (SELECT * FROM bounds WHERE bound = 'time' ORDER BY id) b, LATERAL pg_temp.attack(b.expression) a;
RESET mistral.expression_timeout;
SELECT cmp_ok(coalesce(pg_temp.memory_peak(), 0), '<', 500, 'all of them within half a gigabyte');

-- Many small evaluations count as the one that holds them: a text, and a JSON value.
CREATE FUNCTION pg_temp.data_outcome(data jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    before numeric := pg_temp.seconds_used();
    outcome text := 'evaluated';
BEGIN
    BEGIN
        PERFORM mistral.evaluate_data(data, '{"x": 1}');
    EXCEPTION WHEN OTHERS THEN
        outcome := SQLSTATE;
    END;
    RETURN outcome || CASE WHEN pg_temp.seconds_used() - before < 2.0 THEN ', soon' ELSE ', late' END;
END
$$;
SELECT is(pg_temp.data_outcome(jsonb_agg($$<% 'a' * 10000000 %>$$::text)), 'MS012, soon', 'the memory of a value with many expressions')
  FROM generate_series(1, 50);
SELECT is(pg_temp.data_outcome(jsonb_agg('<% range(1000000).len() %>'::text)), 'MS012, soon', 'the time of a value with many expressions')
  FROM generate_series(1, 500);
SELECT is(pg_temp.data_outcome(to_jsonb(repeat($$<% 'a' * 10000000 %> $$, 50))), 'MS012, soon', 'the memory of a text with many expressions');
SELECT is(pg_temp.data_outcome(to_jsonb(repeat('<% range(1000000).len() %> ', 500))), 'MS012, soon', 'the time of a text with many expressions');

-- Definitions.
SELECT ok((SELECT count(*) = 1 AND bool_and(v.message ~ m.message) FROM mistral.validate(m.text) v), m.what)
  FROM (VALUES ('a: ' || repeat('[', 100000), 'nested deeper than 200 levels', 'a deep list'),
               (repeat('{a: ', 100000), 'nested deeper than 200 levels', 'a deep dictionary'),
               ((SELECT string_agg('%TAG !a' || i || E'! tag:x\n', '') FROM generate_series(1, 100000) i) || '--- a', 'more than 1000 directives', 'too many directives'),
               ('a: [' || repeat('1,', 2000001) || ']', 'more than 2000000 values', 'too many values'),
               ('a: ' || repeat('x', 17000000), 'at most 16384 kB', 'a document that is too large')) m (text, message, what);

-- Cancelling and statement_timeout: no limit of ours ends these.
SET LOCAL mistral.expression_timeout = 0;
CREATE FUNCTION pg_temp.cancelled(expression text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    before numeric := pg_temp.seconds_used();
BEGIN
    PERFORM mistral.evaluate(expression);
    RETURN 'evaluated';
EXCEPTION WHEN query_canceled THEN
    RETURN CASE WHEN pg_temp.seconds_used() - before < 2.0 THEN 'cancelled' ELSE 'cancelled late' END;
END
$$;
CREATE TEMP TABLE endless (language text, expression text);
INSERT INTO endless VALUES
    ('a regular', $q$<% regex('.*a*[cd]').matches('a' * 1000000) %>$q$),
    ('YAQL', '<% range(60).aggregate([$1, $1], 1) = range(60).aggregate([$1, $1], 1) %>'),
    ('Jinja2', '{% set n = namespace(x=1, y=1) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}{% set n.y = [n.y, n.y] %}{% endfor %}{{ n.x == n.y }}');
SET LOCAL statement_timeout = '100ms';
SELECT expression AS endless FROM endless WHERE language = 'YAQL' \gset
SELECT is(pg_temp.cancelled(:'endless'), 'cancelled', 'statement_timeout ends a YAQL expression');
SELECT expression AS endless FROM endless WHERE language = 'Jinja2' \gset
SELECT is(pg_temp.cancelled(:'endless'), 'cancelled', 'statement_timeout ends a Jinja2 expression');
SELECT expression AS endless FROM endless WHERE language = 'a regular' \gset
SELECT is(pg_temp.cancelled(:'endless'), 'cancelled', 'statement_timeout ends a regular expression');
CREATE FUNCTION pg_temp.cancelled_lint(definition text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    before numeric := pg_temp.seconds_used();
BEGIN
    PERFORM mistral.lint(definition);
    RETURN 'done';
EXCEPTION WHEN query_canceled THEN
    RETURN CASE WHEN pg_temp.seconds_used() - before < 1.0 THEN 'cancelled' ELSE 'cancelled late' END;
END
$$;
SELECT is(pg_temp.cancelled_lint(E'version: "2.0"\nw:\n  tasks:\n    t:\n      action: std.echo x=1 ' || repeat('a={{', 8000)), 'cancelled',
          'statement_timeout ends the reading of a command');
SELECT expression AS endless FROM endless WHERE language = 'Jinja2' \gset
SET LOCAL statement_timeout = 0;

-- Another session cancels the statement once it sees it run.
SELECT pg_backend_pid() AS pid \gset
\setenv MISTRAL_TEST_PID :pid
\! (for i in $(seq 300); do psql -X -At -d postgres -c "SELECT pg_cancel_backend($MISTRAL_TEST_PID) FROM pg_stat_activity WHERE pid = $MISTRAL_TEST_PID AND state = 'active' AND query LIKE '%is cancelled by%'" | grep -q t && break; sleep 0.1; done) >/dev/null 2>&1 &
SELECT is(pg_temp.cancelled(:'endless'), 'cancelled', 'an expression is cancelled by another session');

SELECT * FROM finish();
ROLLBACK;

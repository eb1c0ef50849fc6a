-- Expressions: a table of cases with their answers, settings, data, validation.
\set QUIET on
\pset format unaligned
\pset tuples_only on
\set ON_ERROR_STOP on
BEGIN;

-- Runs one expression: its value as jsonb text, or the SQLSTATE.
CREATE FUNCTION pg_temp.outcome(expression text, context jsonb, language text DEFAULT NULL) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
    RETURN mistral.evaluate(expression, context, language)::text;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END
$$;

CREATE TEMP TABLE cases (id serial, expression text, context jsonb, expected text);
\copy cases (expression, context, expected) FROM 'test/pgtap/yaql_cases.tsv'

SELECT no_plan();
SELECT cmp_ok(count(*), '>', 400::bigint, 'the cases are there') FROM cases;

SELECT is(pg_temp.outcome(expression, context),
          CASE WHEN expected ~ '^MS0' THEN expected ELSE expected::jsonb::text END,
          expression)
  FROM cases ORDER BY id;

-- Settings of limits; what they stop is in bounds.sql.
SET LOCAL mistral.expression_timeout = '20ms';
SELECT is(pg_temp.outcome('<% range(5000000).where($ mod 7 = 8).len() %>', '{}'), 'MS012', 'mistral.expression_timeout');
RESET mistral.expression_timeout;
SET LOCAL mistral.expression_memory = '2MB';
SELECT is(pg_temp.outcome('<% range(200000).toList().len() %>', '{}'), 'MS012', 'mistral.expression_memory');
SELECT is(pg_temp.outcome('<% range(200000).len() %>', '{}'), '200000', 'a walk takes no memory');
RESET mistral.expression_memory;
SET LOCAL mistral.yaql_limit_iterators = 3;
SELECT is(pg_temp.outcome('<% range(4).select($) %>', '{}'), 'MS012', 'mistral.yaql_limit_iterators: four elements');
SELECT is(pg_temp.outcome('<% range(3).select($) %>', '{}'), '[0, 1, 2]', 'mistral.yaql_limit_iterators: three elements');
SELECT is(pg_temp.outcome('<% sequence().limit(3) %>', '{}'), '[0, 1, 2]', 'mistral.yaql_limit_iterators: only what is taken counts');
SELECT is(pg_temp.outcome('<% $.l %>', '{"l": [1, 2, 3, 4]}'), 'MS012', 'mistral.yaql_limit_iterators: a list of the context');
RESET mistral.yaql_limit_iterators;

-- Messages name the expression, the place and what was expected, never data.
CREATE FUNCTION pg_temp.message(expression text, context jsonb) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    PERFORM mistral.evaluate(expression, context);
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN concat_ws(' | ', SQLERRM, detail);
END
$$;
CREATE FUNCTION pg_temp.message_of_data(expression text, context jsonb) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    PERFORM mistral.evaluate_data(jsonb_build_object('a', jsonb_build_array(expression)), context);
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN concat_ws(' | ', SQLERRM, detail);
END
$$;
SELECT is(pg_temp.message('<% $.a.b %>', '{"a": {}}'),
          'cannot evaluate expression "$.a.b": there is no key "b" | At character 5 of the expression.', 'a missing key');
SELECT is(pg_temp.message('<% len(1.5) %>', '{}'),
          'cannot evaluate expression "len(1.5)": function "len" does not take a float; expected len(string:string), len(dict:dict), '
          'len(sequence:sequence), len(set:set), len(collection:iterator) | At character 1 of the expression.', 'what a function takes');
SELECT is(pg_temp.message('<% (1 + %>', '{}'),
          'syntax error in expression "<% (1 + %>": unexpected end of the expression | At character 8; expected is a value.',
          'a syntax error');
SELECT unalike(pg_temp.message(e, '{"secret": "hunter2", "n": {"hunter2": 1}}'), '%hunter2%', 'no data in the message of ' || e)
  FROM unnest(ARRAY['<% $.secret + 1 %>', '<% int($.secret) %>', '<% $.n[$.secret + x] %>', '<% $.secret.x %>', '<% regex($.secret + "(") %>',
                    '<% json_parse($.secret) %>', '<% yaml_parse("{" + $.secret) %>', '<% datetime($.secret) %>', '<% [$.secret].single().y %>',
                    '<% call($.secret, [], {}) %>', '<% call($.secret, [], {}, 1) %>', '<% call(len, [], {$.secret => 1}) %>', '<% dict([[$.secret]]) %>',
                    '<% $.n.items().select($[0].x).toList() %>', '<% datetime($.secret, "%Y" + $.secret) %>', '<% datetime(2020, 1, 1).format(1 + $.secret) %>',
                    '<% x.replace(regex(x), "\\" + $.secret) %>', '<% float($.secret) %>', '<% let(a => 1) -> unpack([$.secret]) %>', '<% $.secret.assert(false) %>',
                    '{{ _.secret + 1 }}', '{{ _[_.secret] + 1 }}', '{{ _.n[_.secret].x }}', '{{ _.secret.x.y }}', '{{ _.secret() }}', '{{ _.secret | int + _.n }}',
                    '{{ _.secret.index("z") }}', '{{ [1].index(_.secret) }}', '{{ {}.pop(_.secret) }}', '{{ _.secret.format(1)["a"] }}', '{{ ("%q" ~ _.secret) % 1 }}',
                    '{{ ("{" ~ _.secret ~ "}").format(1) }}', '{{ json_parse(_.secret) }}', '{{ [1] | map(_.secret) | list }}', '{{ [1] | select(_.secret) | list }}',
                    '{{ [1] | map(attribute=_.secret) | sum }}', '{{ (1 | attr(_.secret)).y }}', '{{ _.n | dictsort(by=_.secret) }}', '{{ 1 | round(0, _.secret) }}',
                    '{% macro m() %}{% endmacro %}{{ m(**_.n) }}', '{{ dict(**{_.secret: 1}).z }}', '{{ "" | wordwrap(**_.n) }}']) AS e;
SELECT unalike(pg_temp.message_of_data(e, '{"secret": "hunter2"}'), '%hunter2%', 'no data in the message of data: ' || e)
  FROM unnest(ARRAY['<% $.secret + 1 %>', '<% call($.secret, [], {}) %>', '{{ _.secret + 1 }}', 'x {{ _[_.secret] }}', 'x <% int($.secret) %>']) AS e;

-- Languages and data.
SELECT is(pg_temp.outcome('$.a + 1', '{"a": 1}', 'yaql'), '2', 'a bare expression');
SELECT is(pg_temp.outcome('$.a + 1', '{"a": 1}', 'python'), '22023', 'an unknown language');
SELECT is(pg_temp.outcome('{{ _.a }}', '{"a": 1}'), '1', 'Jinja2 is evaluated');
SELECT is(mistral.evaluate_data('{"a": "<% $.x %>", "b": ["<% $.x + 1 %>", "t <% $.x %>", 5, null], "<% $.x %>": {"c": "<% $.y %>"}}',
                                '{"x": 1, "y": "<% $.x %>"}'),
          '{"a": 1, "b": [2, "t 1", 5, null], "<% $.x %>": {"c": "<% $.x %>"}}', 'expressions in data: values only, results not again');
SELECT is(mistral.evaluate_data('{"a": "<% 1 %>"}', '{}'), '{"a": "<% 1 %>"}', 'nothing is evaluated in an empty context');
SELECT throws_ok($$SELECT mistral.evaluate_data('{"a": {"b": {"c": "<% 1 + %>"}}}', '{"x": 1}')$$, 'MS010', NULL,
                 'a deep expression that does not parse');

-- The names of a call's arguments are looked for among those that are there, not in what an earlier call has left on the stack.
SELECT is(pg_temp.outcome('<% let(a => [' || repeat('1, ', 60000) || '1], b => 2) -> $b %>', '{}'), '2', 'named arguments in a long expression');
SELECT is(pg_temp.outcome('<% let(a => 1, b => 2) -> $b %>', '{}'), '2', 'named arguments after a long expression');

-- Validation looks at the grammar only.
SELECT is(mistral.validate_expression(e), NULL, 'valid: ' || e)
  FROM unnest(ARRAY['plain', '<% $.a %>', '<% nope(1) %>', 'x <% 1 %> y <% $.b.c(d => 1) %>', E'<% 1\n + %>', '<%%', '%>']) AS e;
SELECT isnt(mistral.validate_expression(e), NULL, 'not valid: ' || e)
  FROM unnest(ARRAY['<% %>', '<% 1 + %>', 'x <% (1 %>', '<% $.a == 1 %>', '<% f(1,) %>', '<% $.in %>', '<% a %> {{ b }}',
                    '<%' || chr(160) || '$.a %>']) AS e;
SELECT is(mistral.validate_expression('ab <% $.x = = 1 %>'), 'unexpected "=" at character 13, expected is a value', 'where it is wrong');
SELECT is(mistral.evaluate(NULL), NULL, 'evaluate of null');

-- What was compiled is kept by its text and language, within a limit; what an evaluation took is given back.
SELECT is(array_agg(mistral.evaluate(e, '{"a": 1}', l)), ARRAY['2', '"<% $.a + 1 %>"', '2', '"$.a + 1"', '"_.a"', '1', '2']::jsonb[],
          'one text in different languages')
  FROM (VALUES ('<% $.a + 1 %>', NULL), ('''<% $.a + 1 %>''', 'jinja'), ('$.a + 1', 'yaql'), ('$.a + 1', NULL), ('_.a', NULL),
               ('_.a', 'jinja'), ('<% $.a + 1 %>', NULL)) AS t (e, l);
SELECT is(count(*), 20000::bigint, 'many texts, each with its own answer, one of them again and again')
  FROM generate_series(1, 20000) AS i
 WHERE mistral.evaluate('<% $.a + ' || i || ' %>', '{"a": 1}') = to_jsonb(i + 1)
   AND mistral.evaluate('<% $.a + 7 %>', '{"a": 2}') = '9';
SELECT is(count(*), 2000::bigint, 'and data') FROM generate_series(1, 2000) AS i
 WHERE mistral.evaluate_data(jsonb_build_object('x', '<% $.a + 1 %>', 'y', i % 1900), '{"a": 2}') = jsonb_build_object('x', 3, 'y', i % 1900);
SELECT is(pg_temp.outcome('<% 1 + %>', '{}') || pg_temp.outcome('<% 1 + %>', '{}'), 'MS010MS010', 'an error stays one');
SELECT cmp_ok(sum(total_bytes), '<', 6000000::numeric, 'what is kept has a limit')
  FROM pg_backend_memory_contexts WHERE name LIKE 'mistral compiled expression%';
SELECT is(pg_temp.outcome('<% range(10000000).toList() %>', '{}'), 'MS012', 'an evaluation that takes all the memory it may');
SELECT cmp_ok(sum(total_bytes), '<', 100000::numeric, 'and gives it back after the error')
  FROM pg_backend_memory_contexts WHERE name = 'mistral expression';
SELECT is(mistral.validate_expression(NULL), NULL, 'validate_expression of null');

SELECT * FROM finish();
ROLLBACK;

-- Jinja2: a table of cases with the original's answers, settings, checking, messages, in workflows.
\set QUIET on
\pset format unaligned
\pset tuples_only on
\set ON_ERROR_STOP on
BEGIN;

-- Runs one expression: its value as jsonb text, or the SQLSTATE.
CREATE FUNCTION pg_temp.outcome(expression text, context jsonb DEFAULT '{}', language text DEFAULT NULL) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
    RETURN mistral.evaluate(expression, context, language)::text;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END
$$;

-- "error" in the table: the original raises, here it is MS010, MS011 or MS012.
CREATE TEMP TABLE cases (id serial, expression text, expected text);
\copy cases (expression, expected) FROM 'test/pgtap/jinja_cases.tsv'
CREATE TEMP TABLE seen (context jsonb);
\set context `cat test/pgtap/jinja_context.json`
INSERT INTO seen VALUES (:'context');

SELECT no_plan();
SELECT cmp_ok(count(*), '>', 1000::bigint, 'the cases are there') FROM cases;
SELECT is(CASE WHEN expected = 'error' THEN regexp_replace(got, '^MS01[012]$', 'error') ELSE got END,
          CASE WHEN expected = 'error' THEN expected ELSE expected::jsonb::text END,
          expression)
  FROM cases, seen, LATERAL pg_temp.outcome(expression, context) AS got ORDER BY id;

-- Settings of limits; what they stop is in bounds.sql.
SET LOCAL mistral.expression_timeout = '20ms';
SELECT is(pg_temp.outcome('{{ range(100000) | map("string") | map("length") | map("abs") | map("float") | sum }}'), 'MS012', 'mistral.expression_timeout');
RESET mistral.expression_timeout;
SET LOCAL mistral.expression_memory = '2MB';
SELECT is(pg_temp.outcome('{{ range(100000) | list | length }}'), 'MS012', 'mistral.expression_memory');
RESET mistral.expression_memory;

-- What cannot be compared with the original's answer.
SELECT is(pg_temp.outcome('{{ uuid() | length }}/{{ _ | uuid | length }}'), '"36/36"', 'uuid');
SELECT ok(pg_temp.outcome('{{ [1, 2] | random in [1, 2] }}')::boolean, 'random');
SELECT ok(pg_temp.outcome('{{ lipsum(2, min=3, max=5) is escaped and lipsum(1, false, 3, 5).split() | length in [3, 4] }}')::boolean, 'lipsum');
SELECT is(pg_temp.outcome('_.a + 1', '{"a": 1}', 'jinja'), '2', 'a bare expression');
SELECT is(mistral.evaluate_data('{"a": "{{ _.x }}", "b": ["{{ _.x + 1 }}", "t {{ _.x }}", 5], "{{ _.x }}": {"c": "{{ _.y }}"}}',
                                '{"x": 1, "y": "{{ _.x }}"}'),
          '{"a": 1, "b": [2, "t 1", 5], "{{ _.x }}": {"c": "{{ _.x }}"}}', 'expressions in data: values only, results not again');
SELECT is(pg_temp.outcome('<% 1 %> {{ 2 }}'), '"<% 1 %> 2"', 'with both languages Jinja2 evaluates');
SELECT isnt(mistral.validate_expression('<% 1 %> {{ 2 }}'), NULL, 'and a check refuses it');
SELECT is(pg_temp.outcome('{{ _.l.append(4) }}{{ _.l }}', '{"l": [1]}'), '"None[1, 4]"', 'the context changes within an evaluation');

-- Checking looks at the grammar only.
SELECT is(mistral.validate_expression(e), NULL, 'valid: ' || e)
  FROM unnest(ARRAY['plain', '{{ _.a }}', '{{ a | nope }}', 'x {% if a is nope %}{% endif %}', E'{{ 1\n + }}', '{{', '}}', '{% include "x" %}',
                    '{{- 1 -}}', '{# {{ 1 }} #}']) AS e;
SELECT isnt(mistral.validate_expression(e), NULL, 'not valid: ' || e)
  FROM unnest(ARRAY['{{ }}', '{{ 1 + }}', '{{ a b }}', '{% if %}{% endif %}', '{% if a %}{{ 1 }}', '{% nope %}', '{{ "a }}', '{{ (1] }}',
                    '{% for a.b in c %}{% endfor %}{{ 1 }}', '{{ f(a=1, 2) }}', '{{ 1 is == 1 }}', '{{ 0777 }}']) AS e;
SELECT is(mistral.validate_expression('ab {{ _.x ? }}'), 'unexpected character "?" at character 11', 'where it is wrong');
SELECT is(mistral.validate_expression('{% for x in y %}{{ x }}'), 'unexpected end of the text at character 24, expected is {% endfor %}',
          'what is missing');

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
SELECT is(pg_temp.message('x {{ _.a + _.b }}', '{"a": 1}'),
          'cannot evaluate expression "x {{ _.a + _.b }}": "b" is undefined | At character 10 of the expression.', 'what is undefined');
SELECT is(pg_temp.message('x {{ 1 | nope }}', '{}'),
          'cannot evaluate expression "x {{ 1 | nope }}": there is no filter "nope" | At character 10 of the expression.', 'an unknown filter');
SELECT is(pg_temp.message('x {{ (1 + }}', '{}'),
          'syntax error in expression "x {{ (1 + }}": unexpected "}" | At character 11; expected is ")".', 'a syntax error');
SELECT unalike(pg_temp.message(e, '{"secret": "hunter2", "n": {"hunter2": 1}}'), '%hunter2%', 'no data in the message of ' || e)
  FROM unnest(ARRAY['{{ _.secret + 1 }}', '{{ [][_.secret].x }}', '{{ _.n[_.secret ~ "x"] }}', '{{ _.secret.x }}', '{{ _[_.secret] }}x',
                    '{{ json_parse(_.secret) }}', '{{ yaml_parse("{" ~ _.secret) }}', '{{ _.secret | attr(_.secret) }}',
                    '{{ [1] | map(_.secret) | list }}', '{{ _.secret % 1 }}', '{{ ("{" ~ _.secret ~ "}").format(1) }}', '{{ dict(**_.n).x }}',
                    '{{ 1 | round(1, _.secret) }}', '{{ (1).__class__[_.secret] }}']) AS e;

-- Definitions.
SELECT is((SELECT count(*) FROM mistral.validate($y$
version: '2.0'
greet:
  input: [who]
  tasks:
    hello:
      action: std.echo output="{{ _.who | upper }}"
      publish:
        greeting: "Hello {{ task().result }}"
      on-success:
        - done: "{{ _.who is defined }}"
    done:
      action: std.noop
  output:
    text: "{{ _.greeting }}"
$y$)), 0::bigint, 'a definition with Jinja2 is valid');
SELECT is((SELECT path FROM mistral.validate($y$
version: '2.0'
greet:
  tasks:
    hello:
      action: std.noop
      publish:
        greeting: "Hello {{ task().result | }}"
$y$)), 'greet.tasks.hello.publish.greeting', 'and one that does not parse is not');

SELECT * FROM finish();
ROLLBACK;

-- What the limits of expressions have to stop: for test/pgtap/bounds.sql and test/bench/bounds.sh.
--
-- bounds has one row for each attack.  `expression` is an SQL expression that gives the text, so that a
-- deep one needs no megabyte here.  attack() evaluates it with the settings as they are by default.
-- The expected message is what follows the expression's text, as a regular expression.

CREATE TEMP TABLE bounds (
    id int GENERATED ALWAYS AS IDENTITY,
    bound text NOT NULL,
    expression text NOT NULL,
    message text NOT NULL,
    state text NOT NULL DEFAULT 'MS012'
);

INSERT INTO bounds (bound, expression, message, state) VALUES
('elements', $e$$q$<% range(0, 1000000000000).len() %>$q$$e$, 'yield more than 10000000 elements', 'MS012'),
('elements', $e$$q$<% 1.repeat().sum() %>$q$$e$, 'yield more than 10000000 elements', 'MS012'),
('elements', $e$$q$<% range(100000).select(range(100000).where($ = 1).len()).sum() %>$q$$e$, 'yield more than 10000000 elements', 'MS012'),
('elements', $e$$q$<% range(30).aggregate([$1, $1], 1).flatten().len() %>$q$$e$, 'yield more than 10000000 elements', 'MS012'),
('memory', $e$$q$<% range(0, 1000000000000) %>$q$$e$, 'needs more memory than mistral.expression_memory', 'MS012'),
('memory', $e$$q$<% sequence().toList() %>$q$$e$, 'needs more memory than mistral.expression_memory', 'MS012'),
('memory', $e$$q$<% generate(1, true, $ + 1).last() %>$q$$e$, 'needs more memory than mistral.expression_memory', 'MS012'),
('memory', $e$$q$<% generateMany(1, [$, $ + 1]).last() %>$q$$e$, 'needs more memory than mistral.expression_memory', 'MS012'),
('memory', $e$$q$<% generate(x, true, $ + $).last() %>$q$$e$, 'needs more memory than mistral.expression_memory', 'MS012'),
('memory', $e$$q$<% 'a' * 100000000 %>$q$$e$, 'needs more memory than mistral.expression_memory', 'MS012'),
('memory', $e$$q$<% range(1000000).select('a' * 1000).join('') %>$q$$e$, 'needs more memory than mistral.expression_memory', 'MS012'),
('memory', $e$$q$<% ('a' * 1000000).replace('a', 'b' * 1000) %>$q$$e$, 'needs more memory than mistral.expression_memory', 'MS012'),
('memory', $e$$q$<% ('a' * 10000000).split('a') %>$q$$e$, 'needs more memory than mistral.expression_memory', 'MS012'),
('memory', $e$$q$<% range(3000000).groupBy($).len() %>$q$$e$, 'needs more memory than mistral.expression_memory', 'MS012'),
('memory', $e$$q$<% range(100000).aggregate($1.set(str($2), $2), {}) %>$q$$e$, 'needs more memory than mistral.expression_memory', 'MS012'),
('memory', $e$$q$<% range(30).aggregate([$1, $1], 1) %>$q$$e$, 'needs more memory than mistral.expression_memory', 'MS012'),
('memory', $e$$q$<% json_dump(range(30).aggregate([$1, $1], 1)) %>$q$$e$, 'needs more memory than mistral.expression_memory', 'MS012'),
('memory', $e$$q$<% [$] * 5000000 %>$q$$e$, 'needs more memory than mistral.expression_memory', 'MS012'),
('memory', $e$$q$<% json_parse('[' + '1,' * 10000000 + '1]') %>$q$$e$, 'needs more memory than mistral.expression_memory', 'MS012'),
('memory', $e$$q$<% yaml_parse('[' + '1,' * 3000000 + '1]') %>$q$$e$, 'needs more memory than mistral.expression_memory', 'MS012'),
('memory', $e$$q$<% sequence().memorize().last() %>$q$$e$, 'needs more memory than mistral.expression_memory', 'MS012'),
('length', $e$$q$<% 'a' * 1000000000 %>$q$$e$, 'too long|too large', 'MS012'),
('length', $e$$q$<% [1] * 1000000000 %>$q$$e$, 'too long|too large', 'MS012'),
('digits', $e$$q$<% pow(10, 1000000000) %>$q$$e$, 'more than 40000 digits|more than 132877 bits', 'MS012'),
('digits', $e$$q$<% shiftBitsLeft(1, 1000000000) %>$q$$e$, 'more than 40000 digits|more than 132877 bits', 'MS012'),
('digits', $e$$q$<% range(1000).aggregate($1 * $1, 3) %>$q$$e$, 'more than 40000 digits|more than 132877 bits', 'MS012'),
('time', $e$$q$<% range(30).aggregate([$1, $1], 1) = range(30).aggregate([$1, $1], 1) %>$q$$e$, 'takes longer than mistral.expression_timeout', 'MS012'),
('time', $e$$q$<% pow(3, pow(10, 30000), pow(10, 30000) + 1) %>$q$$e$, 'takes longer than mistral.expression_timeout', 'MS012'),
('time', $e$$q$<% ('a' * 1000000).trim('b' * 1000000 + 'a') %>$q$$e$, 'takes longer than mistral.expression_timeout', 'MS012'),
('time', $e$$q$<% datetime(2020, 1, 1).format('%c' * 10000000) %>$q$$e$, 'needs more memory than mistral.expression_memory|takes longer than mistral.expression_timeout', 'MS012'),
('time', $e$$q$<% range(1000000).select(pow(2, 100000) * pow(3, 60000)).sum() %>$q$$e$, 'takes longer than mistral.expression_timeout', 'MS012'),
('time', $e$$q$<% range(100000).select(('a' * 18 + 'b') =~ '(a+)+$').len() %>$q$$e$, 'takes longer than mistral.expression_timeout', 'MS012'),
('time', $e$$q$<% regex('(a+)+[cd]').matches(('a' * 18 + 'b') * 3000) %>$q$$e$, 'takes longer than mistral.expression_timeout', 'MS012'),
('time', $e$$q$<% regex('a*[cd]').search('a' * 1000000) %>$q$$e$, 'takes longer than mistral.expression_timeout', 'MS012'),
('time', $e$$q$<% regex('.*a*[cd]').matches('a' * 1000000) %>$q$$e$, 'takes longer than mistral.expression_timeout', 'MS012'),
('regex', $e$$q$<% ('a' * 30 + 'b') =~ '(a+)+$' %>$q$$e$, 'takes too many steps', 'MS012'),
('regex', $e$$q$<% regex('(a+)+$').split('a' * 30 + 'b') %>$q$$e$, 'takes too many steps', 'MS012'),
('regex', $e$$q$<% regex('(a+)+$').replace('a' * 30 + 'b', 'x') %>$q$$e$, 'takes too many steps', 'MS012'),
('regex', $e$$q$<% regex('(a+)+$').searchAll('a' * 30 + 'b') %>$q$$e$, 'takes too many steps', 'MS012'),
('depth', $e$$q$<% def(f, f($ + 1)) -> f(1) %>$q$$e$, 'nested too deeply', 'MS012'),
('depth', $e$$q$<% range(100000).aggregate($1.select($), [1]).len() %>$q$$e$, 'nested too deeply', 'MS012'),
('depth', $e$$q$<% range(100000).aggregate([$1], 1) = range(100000).aggregate([$1], 1) %>$q$$e$, 'nested too deeply', 'MS012'),
('depth', $e$'<% ' || repeat('(', 1000000) || '1' || repeat(')', 1000000) || ' %>'$e$, 'nested too deeply', 'MS012'),
('depth', $e$'<% ' || repeat('[', 1000000) || repeat(']', 1000000) || ' %>'$e$, 'nested too deeply', 'MS012'),
('depth', $e$'<% ' || repeat('not ', 1000000) || '1 %>'$e$, 'nested too deeply', 'MS012'),
('depth', $e$'<% ' || repeat('f(', 1000000) || repeat(')', 1000000) || ' %>'$e$, 'nested too deeply', 'MS012'),
('depth', $e$$q$<% json_parse('[' * 1000000) %>$q$$e$, 'nested too deeply', 'MS012'),
('directives', $e$$q$<% yaml_parse(range(30000).select(concat('%TAG !a', str($), '! tag:x', "\n")).join('') + '--- a') %>$q$$e$, 'more than 1000 directives', 'MS012'),
('depth', $e$$q$<% yaml_parse('[' * 1000000) %>$q$$e$, 'nested too deeply', 'MS012'),
('tokens', $e$'<% ' || repeat('1 + ', 1000000) || '1 %>'$e$, 'too long|too many expressions', 'MS012'),
('tokens', $e$repeat('<% 1 %>', 1000000)$e$, 'too long|too many expressions', 'MS012'),
('access', $e$$q$<% $.__class__ %>$q$$e$, 'unexpected character', 'MS010'),
('access', $e$$q$<% (1).__class__ %>$q$$e$, 'unexpected character', 'MS010'),
('memory', $e$$q${{ "a" * 100000000 }}$q$$e$, 'needs more memory than mistral.expression_memory', 'MS012'),
('memory', $e$$q${{ [[[[1] * 1000] * 1000] * 1000] }}$q$$e$, 'needs more memory than mistral.expression_memory', 'MS012'),
('memory', $e$$q${{ [1] | batch(1000000000, 1) | list }}$q$$e$, 'a list grows too long', 'MS012'),
('memory', $e$$q${{ lipsum(100000000) }}$q$$e$, 'needs more memory than mistral.expression_memory', 'MS012'),
('memory', $e$$q${{ ([1] * 1000000) | join("x" * 1000) }}$q$$e$, 'needs more memory than mistral.expression_memory', 'MS012'),
('memory', $e$$q${{ ("a" * 100000) | replace("", "b" * 100000) }}$q$$e$, 'needs more memory than mistral.expression_memory', 'MS012'),
('memory', $e$$q${% for i in range(100000) %}{{ "a" * 10000 }}{% endfor %}$q$$e$, 'needs more memory than mistral.expression_memory', 'MS012'),
('memory', $e$$q${% set n = namespace(x="a") %}{% for i in range(100000) %}{% set n.x = n.x ~ n.x %}{% endfor %}{{ 1 }}$q$$e$, 'needs more memory than mistral.expression_memory', 'MS012'),
('memory', $e$$q${% set l = [1] %}{% for x in l %}{% set _x = l.append(1) %}{% endfor %}{{ 1 }}$q$$e$, 'needs more memory than mistral.expression_memory', 'MS012'),
('memory', $e$$q${% set l = [1] %}{% for i in range(100) %}{% set _x = l.extend(l) %}{% endfor %}{{ 1 }}$q$$e$, 'needs more memory than mistral.expression_memory', 'MS012'),
('length', $e$$q${{ "a" * 1000000000 }}$q$$e$, 'too long|too large|longer|wide|more memory', 'MS012'),
('length', $e$$q${{ [1] * 1000000000 }}$q$$e$, 'too long|too large|longer|wide|more memory', 'MS012'),
('length', $e$$q${{ "%999999999d" % 1 }}$q$$e$, 'too long|too large|longer|wide|more memory', 'MS012'),
('length', $e$$q${{ "{:999999999}".format(1) }}$q$$e$, 'too long|too large|longer|wide|more memory', 'MS012'),
('length', $e$$q${{ "a" | center(2000000000) }}$q$$e$, 'too long|too large|longer|wide|more memory', 'MS012'),
('length', $e$$q${{ "a".ljust(2000000000) }}$q$$e$, 'too long|too large|longer|wide|more memory', 'MS012'),
('range', $e$$q${{ range(0, 1000000000000) }}$q$$e$, 'range', 'MS012'),
('digits', $e$$q${{ 10 ** 1000000000 }}$q$$e$, 'more than 40000 digits', 'MS012'),
('elements', $e$$q${% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}{{ 1 }}$q$$e$, 'yield more than 10000000 elements', 'MS012'),
('time', $e$$q${% set n = namespace(x=1) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x | string }}$q$$e$, 'takes longer than mistral.expression_timeout|needs more memory than mistral.expression_memory', 'MS012'),
('time', $e$$q${% set n = namespace(x=1) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x | tojson }}$q$$e$, 'takes longer than mistral.expression_timeout|needs more memory than mistral.expression_memory', 'MS012'),
('time', $e$$q${% set n = namespace(x=1) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x | pprint }}$q$$e$, 'takes longer than mistral.expression_timeout|needs more memory than mistral.expression_memory', 'MS012'),
('time', $e$$q${% set n = namespace(x=1, y=1) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}{% set n.y = [n.y, n.y] %}{% endfor %}{{ n.x == n.y }}$q$$e$, 'takes longer than mistral.expression_timeout|needs more memory than mistral.expression_memory', 'MS012'),
('time', $e$$q${{ ("a" * 1000000).find("a" * 500000 ~ "c") }}$q$$e$, 'takes longer than mistral.expression_timeout|needs more memory than mistral.expression_memory', 'MS012'),
('time', $e$$q${{ ("a" * 1000000).strip("b" * 1000000 ~ "a") }}$q$$e$, 'takes longer than mistral.expression_timeout|needs more memory than mistral.expression_memory', 'MS012'),
('time', $e$$q${{ ("é" * 20000000) | urlencode | length }}$q$$e$, 'takes longer than mistral.expression_timeout|needs more memory than mistral.expression_memory', 'MS012'),
('time', $e$$q${{ ("%1000000d" * 1000) % ((1,) * 1000) }}$q$$e$, 'takes longer than mistral.expression_timeout|needs more memory than mistral.expression_memory', 'MS012'),
('time', $e$$q${% macro f(n) %}{% if n %}{{ f(n-1) }}{{ f(n-1) }}{% endif %}{% endmacro %}{{ f(50) }}$q$$e$, 'takes longer than mistral.expression_timeout|needs more memory than mistral.expression_memory', 'MS012'),
('depth', $e$$q${% macro f() %}{{ f() }}{% endmacro %}{{ f() }}$q$$e$, 'nested too deeply', 'MS012'),
('depth', $e$$q${% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}{{ 1 }}$q$$e$, 'nested too deeply', 'MS012'),
('depth', $e$$q${% block a %}{{ self.a() }}{% endblock %}$q$$e$, 'nested too deeply', 'MS012'),
('depth', $e$$q${% set l = [] %}{% set _x = l.append(l) %}{{ l }}$q$$e$, 'nested too deeply', 'MS012'),
('depth', $e$$q${% set d = {} %}{% set _x = d.update({"a": d}) %}{{ d | tojson }}$q$$e$, 'nested too deeply', 'MS012'),
('depth', $e$$q${% set n = namespace(x=[1]) %}{% for i in range(100000) %}{% set n.x = n.x | select %}{% endfor %}{{ n.x | list }}$q$$e$, 'nested too deeply', 'MS012'),
('depth', $e$'{{ ' || repeat('(', 100000) || '1' || repeat(')', 100000) || ' }}'$e$, 'nested too deeply', 'MS012'),
('depth', $e$'{{ ' || repeat('not ', 100000) || '1 }}'$e$, 'nested too deeply', 'MS012'),
('depth', $e$'{{ 1' || repeat('.a', 60000) || ' }}'$e$, 'nested too deeply', 'MS012'),
('depth', $e$repeat('{% if 1 %}', 20000) || '{{ 1 }}' || repeat('{% endif %}', 20000)$e$, 'nested too deeply', 'MS012'),
('depth', $e$$q${{ json_parse("[" * 1000000) }}$q$$e$, 'nested too deeply', 'MS012'),
('depth', $e$$q${{ yaml_parse("- " * 1000000) }}$q$$e$, 'nested too deeply', 'MS012'),
('tokens', $e$'{{ ' || repeat('1 + ', 1000000) || '1 }}'$e$, 'too long', 'MS012'),
('tokens', $e$repeat('{{ 1 }}', 1000000)$e$, 'too long', 'MS012'),
('access', $e$$q${{ (1).__class__ }}$q$$e$, 'unsafe|undefined|access|no attribute|has no', 'MS011'),
('access', $e$$q${{ "".__class__.__mro__ }}$q$$e$, 'unsafe|undefined|access|no attribute|has no', 'MS011'),
('access', $e$$q${{ lipsum.__globals__ }}$q$$e$, 'unsafe|undefined|access|no attribute|has no', 'MS011'),
('access', $e$$q${{ "{0.__class__}".format(1) }}$q$$e$, 'unsafe|undefined|access|no attribute|has no', 'MS011');

-- On a slow processor the second ends before so much memory is taken.
UPDATE bounds SET message = message || '|takes longer than mistral.expression_timeout' WHERE bound IN ('memory', 'elements');

-- Seconds of processor time that this session has used: a busy machine does not count.  Without
-- /proc it is the clock's.
CREATE FUNCTION pg_temp.seconds_used() RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
    fields text[];
BEGIN
    fields := regexp_split_to_array(regexp_replace(pg_read_file('/proc/self/stat'), '^.*\) ', ''), ' ');
    RETURN (fields[12]::numeric + fields[13]::numeric) / 100;
EXCEPTION WHEN undefined_file OR insufficient_privilege THEN
    RETURN extract(epoch FROM clock_timestamp());
END
$$;

-- The most memory that this session has had, in megabytes; null without /proc.
CREATE FUNCTION pg_temp.memory_peak() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    RETURN substring(pg_read_file('/proc/self/status') FROM 'VmHWM:\s*(\d+) kB')::int / 1024;
EXCEPTION WHEN undefined_file OR insufficient_privilege THEN
    RETURN NULL;
END
$$;

-- Evaluates one: what came of it, the clock's seconds and the processor's.
CREATE FUNCTION pg_temp.attack(expression text, OUT state text, OUT message text, OUT seconds numeric, OUT used numeric)
LANGUAGE plpgsql AS $$
DECLARE
    text_of text;
    started timestamptz;
    before numeric;
BEGIN
    EXECUTE 'SELECT ' || expression INTO text_of;
    started := clock_timestamp();
    before := pg_temp.seconds_used();
    BEGIN
        PERFORM mistral.evaluate(text_of, '{"a": 1, "s": "text", "l": [3, 1, 2]}');
        state := '00000';
        message := 'evaluated';
    EXCEPTION WHEN query_canceled OR OTHERS THEN
        state := SQLSTATE;
        message := regexp_replace(SQLERRM, '^.*": ', '');
    END;
    used := round(pg_temp.seconds_used() - before, 2);
    seconds := round(extract(epoch FROM clock_timestamp() - started), 2);
END
$$;

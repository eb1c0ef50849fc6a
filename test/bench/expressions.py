#!/usr/bin/env python3
"""The speed of expressions, beside the originals evaluating the same text, in one run.

    expressions.py LIBRARY        run by expressions.sh, which says what the environment has to be

Measured is, for each case of test/pgtap/{yaql,jinja}_cases.tsv that gives a value on both sides:

    original    python3-yaql and python3-jinja2 in Mistral's own set-up, evaluation only: the text is
                parsed and the context is made once, before the clock starts
    context     the same, the context made for each evaluation as Mistral makes it, the result looked at
    Mistral     its whole evaluation of the text: parse, make the context, evaluate
    C           ours, compiled once, evaluated in a new environment over the jsonb
    stored      the same, and the result converted to jsonb
    SQL         mistral.evaluate() in one statement over a thousand rows with the context

Each figure is the best of fifteen rounds, taken by turns: short ones, so that some fall between what else runs here.

    SECONDS_EACH=0.001    length of a round
    ROUNDS=15             how many
    CORPUS="FILE ..."     other cases: lines of JSON with "expr" and "context"
    EVERY=1               every n-th case only
    WORST=0               name the n cases with the lowest ratio of each language
"""
import collections
import json
import logging
import os
import re
import statistics
import subprocess
import sys
import time
import warnings

import psycopg2

HERE = os.path.dirname(os.path.abspath(__file__))
EACH = float(os.environ.get("SECONDS_EACH", "0.001"))
EVERY = int(os.environ.get("EVERY", "1"))
WORST = int(os.environ.get("WORST", "0"))
ROWS = 1000
ROUNDS = int(os.environ.get("ROUNDS", "15"))

KINDS = {		# the first that fits
    "yaql": [
        ("paths", r"^<%\s*(\$|\$\w+)(\.\w+)+\s*%>$|^<%\s*\$\s*%>$"),
        ("datetime", r"(?i)datetime|timespan|\bnow\(|localtz|utctz"),
        ("regex", r"regex|matches\(|=~|!~|searchAll|\.search\("),
        ("lambdas", r"\b(select|where|orderBy|orderByDescending|thenBy|any|all|aggregate|accumulate|takeWhile|skipWhile|"
                    r"groupBy|toDict|selectMany|distinct|generate|generateMany|mergeWith|join|sliceWhere|splitWhere|"
                    r"switch|selectCase|selectAllCases|indexWhere|lastIndexWhere|let|with|def)\(|->"),
        ("text around", r"^(?!<%((?!%>).)*%>$)"),
        ("functions", r"\w\("),
        ("operators", r""),
    ],
    "jinja": [
        ("blocks", r"\{%"),
        ("paths", r"^\{\{\s*_(\.\w+)*\s*\}\}$"),
        ("text around", r"^(?!\{\{((?!\}\}).)*\}\}$)"),
        ("filters", r"[^|]\|[^|]"),
        ("tests", r"\bis\b"),
        ("methods, functions", r"\w\("),
        ("operators", r""),
    ],
}

Case = collections.namedtuple("Case", "language text context")


def unescape(field):
    """A field of COPY's text format."""
    return re.sub(r"\\(.)", lambda m: {"n": "\n", "t": "\t", "r": "\r"}.get(m.group(1), m.group(1)), field)


def own_cases():
    base = os.path.join(HERE, "..", "pgtap")
    with open(os.path.join(base, "jinja_context.json"), encoding="utf-8") as f:
        shared = json.load(f)
    for language in KINDS:
        with open(os.path.join(base, language + "_cases.tsv"), encoding="utf-8") as f:
            for line in f:
                fields = [unescape(x) for x in line.rstrip("\n").split("\t")]
                yield Case(language, fields[0], json.loads(fields[1]) if len(fields) == 3 else shared)


def other_cases(files):
    for name in files:
        with open(name, encoding="utf-8") as f:
            for line in f:
                case = json.loads(line)
                if case.get("ok") and case.get("mode", "eval") == "eval" and not case.get("options"):
                    language = "jinja" if re.search(r"\{\{.*\}\}|\{%.*%\}", case["expr"]) else "yaql"
                    if language == "jinja" or re.search("<%.*?%>", case["expr"]):
                        yield Case(language, case["expr"], case["context"])


def a_round(call):
    """Seconds of one call, measured for one round."""
    n, start = 0, time.perf_counter()
    while True:
        batch = n // 4 or 1		# the clock itself must not count
        for _ in range(batch):
            call()
        n += batch
        taken = time.perf_counter() - start
        if taken >= EACH:
            return taken / n


def best(*measures):
    """The best of several rounds of each: by turns, so that what else runs here meets them alike."""
    rounds = [[m() for m in measures] for _ in range(ROUNDS)]
    return [min(r) for r in zip(*rounds)]


class Original:
    """The two originals as Mistral sets them up."""

    def __init__(self):
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        from mistral import config		# noqa: F401  its options
        from mistral import expressions
        from mistral.expressions import jinja_expression, yaql_expression
        self.evaluate, self.jinja, self.yaql = expressions.evaluate, jinja_expression, yaql_expression
        self.yaql_context, self.jinja_context = yaql_expression.get_yaql_context, jinja_expression.get_jinja_context

    def compiled_yaql(self, text):
        """What evaluates the text in a context, parsed."""
        found = self.yaql.InlineYAQLEvaluator.find_inline_expressions(text)
        parsed = [self.yaql.get_yaql_engine_class()(x.strip("<%>").strip()) for x in found]
        if len(found) == 1 and len(found[0]) == len(text):
            evaluate = parsed[0].evaluate
            return lambda context: evaluate(context=context)

        def mixed(context):
            result = text
            for x, p in zip(found, parsed):
                result = result.replace(x, str(p.evaluate(context=context)))
            return result
        return mixed

    def compiled_jinja(self, text):
        found = self.jinja.InlineJinjaEvaluator.find_expression_pattern.findall(text)
        if found[0][0] == text:
            run = self.jinja.JinjaEvaluator._env.compile_expression(found[0][1], **self.jinja.JINJA_OPTS)
        else:
            run = self.jinja.InlineJinjaEvaluator._env.from_string(text).render
        return lambda context: run(**context)

    def prepare(self, case):
        """Functions that measure: evaluation only, with a new context, Mistral's whole; None when it gives no value."""
        try:
            made = getattr(self, "compiled_" + case.language)(case.text)
            renew = getattr(self, case.language + "_context")
            context = renew(case.context)
            first = str(self.evaluate(case.text, case.context))
            # Whatever an evaluation changes for the next one would be measured as well.
            for _ in range(3):
                if str(made(context)) != first and "object at 0x" not in first:
                    return None
        except Exception:		# whatever it raises, this case is none
            return None
        return (lambda: a_round(lambda: made(context)),
                lambda: a_round(lambda: str(made(renew(case.context)))),
                lambda: a_round(lambda: self.evaluate(case.text, case.context)))


class Ours:
    def __init__(self, library):
        self.db = psycopg2.connect(dbname=os.environ["PGDATABASE"])
        self.db.autocommit = True
        self.cursor = self.db.cursor()
        self.cursor.execute("CREATE FUNCTION time_expression(text, jsonb, boolean, float8) RETURNS float8"
                            " LANGUAGE c STRICT AS %s, 'time_expression'", (library,))
        self.cursor.execute("CREATE TEMP TABLE contexts (context jsonb)")

    def one(self, query, *args):
        self.cursor.execute(query, args)
        return self.cursor.fetchone()[0]

    def fill(self, context, rows):
        self.cursor.execute("TRUNCATE contexts")
        self.cursor.execute("INSERT INTO contexts SELECT %s::jsonb FROM generate_series(1, %s)", (context, rows))

    def time(self, text, context, stored):
        return self.one("SELECT time_expression(%s, %s, %s, %s)", text, context, stored, EACH / 2) / 1e9

    def over_rows(self, text, rows):
        return a_round(lambda: self.one("SELECT count(mistral.evaluate(%s, context)) FROM contexts", text)) / rows

    def prepare(self, case):
        """Functions that measure: C, C and stored, SQL; None when it gives no value."""
        context = json.dumps(case.context)
        try:
            self.one("SELECT mistral.evaluate(%s, %s)", case.text, context)
        except psycopg2.Error:
            return None
        self.fill(context, ROWS)
        return (lambda: self.time(case.text, context, False),
                lambda: self.time(case.text, context, True),
                lambda: self.over_rows(case.text, ROWS))


def kind(case):
    return next(name for name, pattern in KINDS[case.language] if re.search(pattern, case.text, re.S))


def number(x):
    return "%.0f" % x if x >= 100 else "%.1f" % x


def table(rows):
    """rows: (case, seconds of: original, its context, Mistral, C, stored, SQL)."""
    print("%-26s %5s %9s %9s %9s %9s %9s %9s   times as fast: C (lowest), SQL (lowest); with context: C, SQL" %
          ("", "cases", "original", "context", "Mistral", "C", "stored", "SQL"))
    for language in KINDS:
        groups = collections.OrderedDict(("%s: %s" % (language, name), []) for name, _ in KINDS[language])
        mine = [r for r in rows if r[0].language == language]
        for r in mine:
            groups["%s: %s" % (language, kind(r[0]))].append(r)
        groups["%s, all" % language] = mine
        for name, group in groups.items():
            if not group:
                continue
            only, renewed, _, bare, _, sql = ([r[1][i] for r in group] for i in range(6))
            fast = [[a / b for a, b in zip(x, y)] for x, y in ((only, bare), (only, sql), (renewed, bare), (renewed, sql))]
            median = [number(statistics.median(x)) for x in fast]
            print("%-26s %5d" % (name, len(group)) +
                  "".join(" %9.0f" % (1 / statistics.median([r[1][i] for r in group])) for i in range(6)) +
                  "   %6s (%s) %6s (%s)  %6s %6s" % (median[0], number(min(fast[0])), median[1], number(min(fast[1])),
                                                     median[2], median[3]))
        for what, i in (("evaluation only", 0), ("evaluation in a new context", 1), ("Mistral's whole evaluation", 2)):
            print("%s, %s: C is a hundred times as fast in %d of %d cases, SQL in %d; over the sum of all cases %s and %s times" %
                  ((language, what, sum(r[1][i] >= 100 * r[1][3] for r in mine), len(mine),
                    sum(r[1][i] >= 100 * r[1][5] for r in mine)) +
                   tuple(number(sum(r[1][i] for r in mine) / sum(r[1][k] for r in mine)) for k in (3, 5))))
        for r in sorted(mine, key=lambda r: r[1][0] / r[1][3])[:WORST]:
            print("  %8.1f  original %8.2f us  C %8.3f us  stored %8.3f us  SQL %8.3f us  %s" %
                  ((r[1][0] / r[1][3], r[1][0] * 1e6) + tuple(x * 1e6 for x in r[1][3:]) + (repr(r[0].text)[:100],)))
        print()


def contexts():
    """Sizes of the context: (name, jsonb)."""
    for size in (1000, 100000, 1000000):
        yield "one text, %d kB" % (size // 1000), {"a": {"b": 5}, "big": "x" * size}
    for size in (1000, 100000, 1000000):
        yield "array, %d kB" % (size // 1000), {"a": {"b": 5}, "big": list(range(1000000, 1000000 + size // 12))}
    for keys in (10, 1000, 10000):
        yield "%d keys" % keys, dict({"key%d" % i: "x" * 80 for i in range(keys)}, a={"b": 5})


def sizes(ours):
    print("A path over contexts of growing size, nanoseconds each: C; SQL in one statement, the context a value in memory;")
    print("SQL over a table whose rows hold it, read anew for each row (PostgreSQL decompresses the whole value)")
    print("%-22s %10s" % ("", "bytes"), end="")
    for text in ("<% $.a.b %>", "{{ _.a.b }}"):
        print("%10s %8s %10s" % (text, "SQL", "stored"), end="")
    print()
    for name, context in contexts():
        context = json.dumps(context)
        print("%-22s %10d" % (name, ours.one("SELECT pg_column_size(%s::jsonb)", context)), end="")
        for text in ("<% $.a.b %>", "{{ _.a.b }}"):
            ours.fill(context, 20)
            # A value that the plan computes once and hands to each call as it is in memory.
            memory = ("SELECT count(mistral.evaluate(%s, c)) FROM (SELECT %s::jsonb || '{}' AS c OFFSET 0) AS c,"
                      " generate_series(1, %s)")
            c, one, many, stored = best(
                lambda: ours.time(text, context, True),
                lambda: a_round(lambda: ours.one(memory, text, context, 1)),
                lambda: a_round(lambda: ours.one(memory, text, context, 20001)),
                lambda: ours.over_rows(text, 20))
            print("%10.0f %8.0f %10.0f" % (c * 1e9, (many - one) / 20000 * 1e9, stored * 1e9), end="")
        print()
    print()


def statements():
    """One call a statement, prepared, through pgbench: beside an empty statement."""
    rates = {}
    for query in ("SELECT 1", """SELECT mistral.evaluate('<% $.a.b %>', '{"a": {"b": 5}}')""",
                  """SELECT mistral.evaluate('{{ _.a.b }}', '{"a": {"b": 5}}')"""):
        run = subprocess.run(["pgbench", "-n", "-M", "prepared", "-T", str(max(1, int(EACH * 2000))), "-f", "/dev/stdin"],
                             input=query + ";\n", capture_output=True, text=True, check=True)
        rates[query] = float(re.search(r"tps = ([0-9.]+)", run.stdout).group(1))
    print("One call a statement, one client, prepared:")
    for query, rate in rates.items():
        print("  %8.0f/s  %s" % (rate, query))


def measure(cases, ours, original):
    rows = []
    for case in cases:
        mine = ours.prepare(case)
        his = mine and original.prepare(case)
        if his:
            rows.append((case, best(*his, *mine)))
    return rows


def main():
    ours = Ours(sys.argv[1])
    files = os.environ.get("CORPUS", "").split()
    cases = list(other_cases(files) if files else own_cases())[::EVERY]
    print("%d cores, load %.2f, PostgreSQL %s, Python %s, %d cases" %
          (os.cpu_count(), os.getloadavg()[0], ours.one("SHOW server_version"), sys.version.split()[0], len(cases)))
    print("Expressions a second, the median of each group")
    try:
        table(measure(cases, ours, Original()))
    except ImportError as e:
        print("left out, the originals are not here (apt-get install python3-mistral): %s\n" % e)
    sizes(ours)
    statements()


if __name__ == "__main__":
    main()

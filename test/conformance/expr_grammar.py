"""Random expressions of both languages, mostly of the right types: what expr_random.py asks.

The functions, filters, tests and methods come from the lists in src/expr, so that whatever is added there is asked for as well.
"""
import os
import random
import re
import unicodedata

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "src", "expr")

# In jsonb's order of keys.
CONTEXT = {
    "b": True, "d": {"a": 1, "b": {"c": "x", "d": [10, 20]}, "k y": 5}, "e": [], "f": 2.5, "i": 7, "l": [3, 1, 2], "n": None,
    "s": "Hello World", "u": "Straße ŉ 🌍 İ", "z": 0, "cnt": {"a": 3, "b": 1, "c": 2}, "big": 12345678901234567890,
    "flo": [1.5, -2.0, 1e-7], "mix": [1, "a", None, True, 2.5], "neg": -3, "pad": "  x y  ", "obj": {}, "txt": "a,b,,c", "nest": [[1, 2], [3], []],
    "html": "<a href=\"x\">b & 'c'</a>", "words": ["pear", "Apple", "fig", "apple"], "lines": "one\ntwo\r\nthree\n",
    "pairs": [["a", 1], ["b", 2]], "when": "2020-02-29T12:34:56+02:00",
    "servers": [{"up": True, "cpu": 4, "name": "s1", "tags": ["x", "y"]}, {"up": False, "cpu": 2, "name": "s2", "tags": []},
                {"up": True, "cpu": 4, "name": "s3", "tags": ["z"]}],
    "__env": {"k": "v", "list": [1, 2]},
}

STRINGS = ["", "a", "ab", "abc", "Hello World", "a,b,c", " x ", "12", "-7", "2.5", "1e3", "é", "ß", "İ", "🌍", "ŉx", "a b  c", "A", "zZ", "a.b",
           "true", "null", "x=1&y=2", "10", "0", "Ǆ", "\u00a0x", "tab\there", "l1\nl2", "%s", "{}", "don\u2019t", "it's", "\"q\"", "<b>", "ſ", "١٢"]
INTS = ["0", "1", "2", "3", "5", "-1", "-2", "7", "10", "100", "255", "1000000", "9223372036854775807", "-9223372036854775808",
        "12345678901234567890", "18446744073709551616"]
SMALL = ["0", "1", "2", "3", "-1", "-2", "4"]
FLOATS = ["0.0", "0.5", "1.0", "2.5", "-2.5", "3.14159", "1.005", "2.675", "100.0", "0.1", "123456789.123", "12345678901234567890.0", "0.00001", "-0.0"]
PATTERNS = ["a", "b", "\\d+", "\\w+", "[a-c]", "(a)(b)?", "x*", "", "^a", "c$", "\\s", "(?i)A", "a|b", "(.)(.)", "[^,]+", "l+", "\\bx", "(?:ab)+", "o(?=r)",
            "(?P<n>a)", "\\W", "a{2}", "a{,2}", "(", "[", "*", "(?<=l)o", "\\Z", "\\u0041", ".", "(a)|(b)", "\\D", "(\\w)\\1", "é", "(?s).", "(?x) a b"]
FORMATS = ["%Y-%m-%d", "%d/%m/%y", "%H:%M:%S", "%Y", "%j", "%a %b %d", "%A %B", "%I %p", "%f", "%z", "%Z", "%%", "%c", "%x", "%X", "%U", "%W", "%w", "%u",
           "%G-%V", "x%Yy", "", "%e", "%y%m%d%H%M%S", "%s", "%-d", "%D", "%T", "%R", "%F", "%C", "%h", "%n", "%t", "%q", "é%Y", "%"]
DATES = ["2020-01-02", "2020-02-29T12:34:56", "2020-02-29T12:34:56.789+02:00", "2020-02-29T12:34:56Z", "29 Feb 2020", "Feb 29, 2020", "01/02/2020",
         "13/02/2020", "2020/3/4", "10:20", "10:20:30.5", "Sat, 29 Feb 2020 10:20:30 GMT", "20200229", "20200229T102030", "2020-13-01", "", "abc", "2020",
         "Feb 2020", "10pm", "10:20 PM", "2020-02-29 12:34:56 +0530", "1.2.2020", "02-03-04", "Thu Sep 25 10:36:28 2003", "2003-09-25T10:49:41.5-03:00",
         "September 25, 2003", "25-Sep-2003", "2003.09.25", "20030925T1049", "1996.07.10 AD at 15:08:56 PDT", "10h36m28.5s", "Wed", "July 4", "99-1-2",
         "2020-060", "2020-W10-1", "12/31/99", "1st of May 2003", "2003-09-25 10:49:41,5", "31-Dec-1999 23:59", "4 jul 1976 12:00 am", "0001-01-01", "24:00"]


def lists(name):
    """The entries of a list of src/expr: tuples of what is between the parentheses."""
    text = open(os.path.join(SOURCE, name), encoding="utf-8").read()
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    return re.findall(r"^(?:YAQL|JINJA|JINJA_METHOD)\((.*)\)$", text, flags=re.M)


class Generator:
    def __init__(self, seed):
        self.r = random.Random(seed)

    def pick(self, *items):
        return self.r.choice(items)

    def chance(self, p):
        return self.r.random() < p


# ---------------------------------------------------------------------------------------- YAQL

def yaql_functions():
    out = []
    for entry in lists("yaql_func_list.h"):
        name, flags, _, signature = re.match(r'"([^"]*)", ([^,]*), (\w+), "(.*)"$', entry).groups()
        if name[0] in "#*" or name in ("now", "random", "uuid", "localtz", "task", "tasks", "execution", "executions", "global"):
            continue
        parameters = []
        for p in filter(None, re.split(r", (?=\*{0,2}\w+:)", signature)):
            star, pname, ptype, default = re.match(r"(\**)(\w+):([\w!*]+\??)(?:=(.*))?$", p).groups()
            parameters.append((star, pname, ptype, default))
        out.append((name, flags, parameters))
    return out


class Yaql(Generator):
    binary = ["+", "-", "*", "/", "mod", "<", "<=", ">", ">=", "=", "!=", "in", "and", "or", "=~", "!~"]

    def __init__(self, seed):
        super().__init__(seed)
        self.functions = yaql_functions()
        self.kinds = ["null", "bool", "int", "float", "string", "list", "dict", "set", "iterator", "ordered", "view", "regex", "datetime", "timespan"]
        # In a lambda, $ is an element.
        self.inside = 0

    def quote(self, s):
        if s.isalpha() and s.isascii() and self.chance(0.4) and s not in ("true", "null"):
            return s
        return "'" + s.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\t", "\\t") + "'"

    def any(self, depth):
        return self.of(self.r.choice(self.kinds), depth)

    def of(self, kind, depth):
        if self.inside and self.chance(0.25):
            return self.pick("$", "$", "$1", "$2", "$.a", "$[0]")
        if depth > 0 and self.chance(0.12):
            return self.call(depth - 1)
        return getattr(self, "of_" + kind)(depth - 1)

    def of_null(self, depth):
        return self.pick("null", "null", "$.n", "$nope", "$.get(nope)")

    def of_bool(self, depth):
        return self.pick("true", "false", "$.b", "not $.b", "isString(%s)" % (self.any(depth) if depth > 0 else "1"))

    def of_int(self, depth):
        if depth > 0 and self.chance(0.2):
            return "(%s %s %s)" % (self.of_int(depth - 1), self.pick("+", "-", "*", "/", "mod"), self.of_int(depth - 1))
        return self.pick("$.i", "$.neg", "$.z", self.r.choice(INTS), self.r.choice(SMALL), self.r.choice(SMALL))

    def of_small(self, depth):
        return self.r.choice(SMALL)

    def of_float(self, depth):
        return self.pick("$.f", self.r.choice(FLOATS), self.r.choice(FLOATS), "float('%s')" % self.pick("inf", "nan", "1e22", "1e-5", "-0", "1e16"))

    def of_string(self, depth):
        if depth > 0 and self.chance(0.15):
            return "(%s + %s)" % (self.of_string(depth - 1), self.of_string(depth - 1))
        return self.pick("$.s", "$.u", "$.txt", "$.pad", self.quote(self.r.choice(STRINGS)), self.quote(self.r.choice(STRINGS)))

    def items(self, depth):
        kind = self.r.choice(self.kinds) if depth > 0 and self.chance(0.3) else self.pick("int", "string", "int")
        return ", ".join(self.of(kind, depth) for _ in range(self.r.randint(0, 4)))

    def of_list(self, depth):
        if depth <= 0 or self.chance(0.3):
            return self.pick("$.l", "$.mix", "$.servers", "$.e", "$.words", "$.nest", "$.flo", "[1, 2, 3]", "[b, a, c]", "[[1, 2], [3, 4]]", "[]", "$.pairs")
        return self.pick("[%s]" % self.items(depth - 1), "%s.toList()" % self.of_iterator(depth - 1), "'a b c'.split()", "[%s]" % self.items(depth - 1))

    def of_dict(self, depth):
        if depth <= 0 or self.chance(0.4):
            return self.pick("$.d", "$.cnt", "$.obj", "{}", "{a => 1}", "{a => 1, b => 2}", "{b => [1], a => {c => 2}}", "$.servers[0]")
        return self.pick("{%s}" % ", ".join("%s => %s" % (self.of(self.pick("string", "int"), 0), self.any(depth - 1)) for _ in range(self.r.randint(0, 3))),
                         "dict(%s)" % self.pick("$.pairs", "a => 1", "[[a, 1]]"), "%s.toDict($)" % self.of_list(depth - 1))

    def of_set(self, depth):
        return self.pick("set(%s)" % self.items(depth - 1), "set(1, 2, 3)", "%s.toSet()" % self.of_list(depth - 1), "set()")

    def of_iterator(self, depth):
        return self.pick("range(%s)" % self.r.choice(SMALL), "range(1, 4)", "%s.select($)" % self.of_list(depth - 1),
                         "%s.where(%s)" % (self.of_list(depth - 1), self.of_lambda(depth - 1)), "$.servers.name", "%s.reverse()" % self.of_list(depth - 1),
                         "%s.skip(1)" % self.of_list(depth - 1), "sequence().limit(3)")

    def of_ordered(self, depth):
        return self.pick("$.l.orderBy($)", "$.words.orderByDescending($)", "$.servers.orderBy($.cpu).thenBy($.name)", "$.servers.orderBy($.cpu)")

    def of_view(self, depth):
        return "%s.%s()" % (self.of_dict(depth - 1), self.pick("keys", "values", "items"))

    def of_regex(self, depth):
        flags = self.pick("", "", "", ", true", ", ignoreCase => true", ", multiLine => true", ", false, true, true")
        return "regex('%s'%s)" % (self.r.choice(PATTERNS).replace("\\", "\\\\"), flags)

    def of_datetime(self, depth):
        return self.pick("datetime(2020, 2, 29)", "datetime(2021, 12, 31, 23, 59, 59, 999999)", "datetime($.when)", "datetime('%s')" % self.r.choice(DATES),
                         "datetime(%s)" % self.pick("0", "1600000000", "1.5", "-1"), "datetime(2000, 1, 1, offset => timespan(hours => 2))",
                         "datetime('2020-01-02', '%Y-%m-%d')")

    def of_timespan(self, depth):
        return "timespan(%s)" % self.pick("", "1", "hours => 25", "0, 1, 2, 3", "days => -1", "milliseconds => 1500", "microseconds => 1", "minutes => -90",
                                          "seconds => 86400", "100000")

    def of_lambda(self, depth):
        self.inside += 1
        try:
            return self.pick("$", "$ > 1", "$.a", "$1 + $2", "$[0]", "$.len()", "not $", "str($)", "isInteger($)", "$ = 2", "$.name", "$.cpu", "$ mod 2",
                             self.any(max(depth, 0)), "%s %s %s" % (self.pick("$", "$1", "$2"), self.r.choice(self.binary), self.any(max(depth, 0))))
        finally:
            self.inside -= 1

    def argument(self, name, ptype, depth):
        if self.chance(0.08):
            return self.any(depth)
        if ptype.endswith("?") and self.chance(0.1):
            return "null"
        kind = ptype.rstrip("?")
        lower = name.lower()
        if kind == "string":
            if lower in ("pattern", "regexp"):
                return "'%s'" % self.r.choice(PATTERNS).replace("\\", "\\\\")
            if lower == "format":
                return self.quote(self.r.choice(FORMATS))
            if lower == "repl":
                return self.pick("x", "'\\\\1'", "'<\\\\g<0>>'", "''", "'\\\\g<n>'", "'\\\\2'", "'\\\\q'", "'a\\\\nb'")
            if lower == "separator":
                return self.pick("','", "' '", "''", "ab", "b")
        if kind in ("any", "obj"):
            return self.any(depth)
        if kind in ("int*", "integer"):
            return self.of_small(depth) if self.chance(0.8) else self.of("int", depth)
        if kind == "number":
            return self.of(self.pick("int", "float", "int", "float"), depth)
        if kind == "iterable" or kind == "iterable!set":
            return self.of(self.pick("list", "list", "list", "iterator", "set", "ordered", "view"), depth)
        if kind == "sequence":
            return self.of("list", depth)
        if kind == "context":
            return "let(a => 1)"
        if kind in ("pair", "mapping"):
            return "%s => %s" % (self.any(depth), self.any(depth))
        if kind == "any!null":
            return self.any(depth)
        return self.of(kind, depth)

    def arguments(self, parameters, depth):
        """Positional first, then by name; now and then one too few or too many."""
        out, named = [], False
        for star, name, ptype, default in parameters:
            if star == "**":
                out += ["%s => %s" % (self.pick("default", "a", "x"), self.any(depth)) for _ in range(self.r.randint(0, 2))]
            elif star:
                if named and not ptype in ("pair", "mapping"):
                    continue
                out += [self.argument(name, ptype, depth) for _ in range(self.pick(0, 1, 2, 2, 3))]
            elif default is not None and self.chance(0.55):
                named = named or self.chance(0.8)
                if not named:
                    break
            else:
                value = self.argument(name, ptype, depth)
                named = named or self.chance(0.08)
                out.append("%s => %s" % (name, value) if named else value)
        if self.chance(0.04):
            out.append(self.any(depth))
        elif out and self.chance(0.04):
            out.pop()
        return out

    def call(self, depth):
        name, flags, parameters = self.r.choice(self.functions)
        method = "METHOD" in flags or ("EXTENSION" in flags and self.chance(0.6))
        if name == "assert":
            parameters = parameters[:2]
        if self.chance(0.02):
            method = not method
        if method and parameters:
            star, pname, ptype, _ = parameters[0]
            receiver = self.argument(pname, ptype, depth)
            if re.match(r"-|not ", receiver):
                receiver = "(%s)" % receiver
            rest = parameters if star else parameters[1:]
            return "%s.%s(%s)" % (receiver, name, ", ".join(self.arguments(rest, depth)))
        return "%s(%s)" % (name, ", ".join(self.arguments(parameters, depth)))

    def compound(self, depth):
        return self.pick(
            lambda: "let(%s) -> %s" % (", ".join("%s => %s" % (v, self.any(depth)) for v in ("a", "b")), self.pick(
                "$a", "[$a, $b]", "$a + $b", "$a = $b", "[$a, $a]", "{x => $a}.x", "[$a.len(), $a.len()]", "$a.toList()", "$b in $a")),
            lambda: "with(%s, %s) -> [$1, $2, $]" % (self.any(depth), self.any(depth)),
            lambda: "%s.unpack(%s) -> %s" % (self.of("list", depth), self.pick("", "a", "a, b", "a, b, c"), self.pick("$1", "$a", "[$a, $b]", "$2")),
            lambda: "def(f, %s) -> [f(%s), f(1)]" % (self.of_lambda(depth), self.any(depth)),
            lambda: "switch(%s)" % ", ".join("%s => %s" % (self.any(depth), self.any(depth)) for _ in range(self.r.randint(1, 3))),
            lambda: "%s.%s(%s).%s(%s)" % (self.of("list", depth), self.pick("where", "select", "orderBy", "groupBy", "distinct", "takeWhile"), self.of_lambda(depth),
                                        self.pick("select", "where", "orderBy", "selectMany", "all", "any", "indexWhere", "toDict", "sliceWhere"), self.of_lambda(depth)),
            lambda: "str(%s)" % self.any(depth),
            lambda: "json_dump(%s)" % self.any(depth),
            lambda: "yaml_dump(%s)" % self.any(depth),
            lambda: "[%s, %s]" % (self.any(depth), self.any(depth)),
            lambda: "(%s).%s" % (self.of_datetime(depth), self.pick("year", "month", "day", "hour", "minute", "second", "microsecond", "weekday", "utc", "offset",
                                                                    "timestamp", "date", "time", "nope")),
            lambda: "(%s).%s" % (self.of_timespan(depth), self.pick("days", "hours", "minutes", "seconds", "milliseconds", "microseconds")),
            lambda: "(%s)[%s]" % (self.any(depth), self.any(depth)),
            lambda: "(%s)%s%s" % (self.any(depth), self.pick(".", "?."), self.pick("a", "name", "b", "toList()", "len()", "nope", "get(a)")),
            lambda: "call(%s, [%s], {%s})" % (self.pick("len", "str", "'#operator_+'", "max", "join"), self.items(depth), self.pick("", "a => 1")),
            lambda: "%s.search(%s, %s)" % (self.of_regex(depth), self.of("string", depth), self.pick("$", "$.value", "$.start", "[$, $2]", "$2.value")),
            lambda: "%s.replaceBy(%s, %s)" % (self.of("string", depth), self.of_regex(depth), self.pick("x", "$.value.toUpper()", "$2.value", "str($.start)", "$")),
        )()

    def expression(self):
        depth = self.pick(1, 1, 2, 2, 3)
        roll = self.r.random()
        if roll < 0.2:
            return "%s %s %s" % (self.any(depth), self.r.choice(self.binary), self.any(depth))
        if roll < 0.7:
            return self.call(depth)
        if roll < 0.95:
            return self.compound(depth)
        return "%s %s %s %s %s" % (self.any(1), self.r.choice(self.binary), self.any(1), self.r.choice(self.binary), self.any(1))

    def template(self):
        e = self.expression()
        if self.chance(0.1):
            return "%s<%% %s %%>%s" % (self.pick("", "x=", " "), e, self.pick("", "y", " <% $.i %>", "\n"))
        return "<% " + e + " %>"


# ---------------------------------------------------------------------------------------- Jinja2

def jinja_list(name):
    out = []
    for entry in lists(name):
        owner, fname, signature = re.match(r'(?:(JINJA_TYPE[^,]*), )?"([^"]*)", \w+, "(.*)"$', entry).groups()
        parameters = [re.match(r"(/?)(\*{0,2})(\w*)(=?)", p).groups() for p in filter(None, signature.split(","))]
        out.append((owner, fname, parameters))
    return out


class Jinja(Generator):
    binary = ["+", "-", "*", "/", "//", "%", "**", "~", "<", "<=", ">", ">=", "==", "!=", "in", "not in", "and", "or"]

    def __init__(self, seed):
        super().__init__(seed)
        self.filters = [f for f in jinja_list("jinja_filter_list.h") if f[1] not in ("random",)]
        self.tests = jinja_list("jinja_test_list.h")
        self.methods = jinja_list("jinja_method_list.h")
        self.kinds = ["none", "bool", "int", "float", "string", "list", "dict", "lazy", "undefined", "markup", "tuple"]
        self.names = []

    def quote(self, s):
        return "'" + s.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\t", "\\t").replace("{}", "{0}").replace("%s", "%d") + "'"

    def any(self, depth):
        return self.of(self.r.choice(self.kinds), depth)

    def of(self, kind, depth):
        if self.names and self.chance(0.3):
            return self.r.choice(self.names)
        if depth > 0 and self.chance(0.15):
            return "(%s)" % self.piece(depth - 1)
        return getattr(self, "of_" + kind)(depth - 1)

    def of_none(self, depth):
        return self.pick("none", "_.n")

    def of_bool(self, depth):
        return self.pick("true", "false", "_.b")

    def of_int(self, depth):
        return self.pick("_.i", "_.neg", "_.z", self.r.choice(INTS), self.r.choice(SMALL), self.r.choice(SMALL))

    def of_small(self, depth):
        return self.r.choice(SMALL)

    def of_float(self, depth):
        return self.pick("_.f", self.r.choice(FLOATS), self.r.choice(FLOATS), "1e%d" % self.r.randint(-8, 24))

    def of_string(self, depth):
        return self.pick("_.s", "_.u", "_.txt", "_.pad", "_.html", "_.lines", self.quote(self.r.choice(STRINGS)), self.quote(self.r.choice(STRINGS)))

    def of_markup(self, depth):
        return "(%s | %s)" % (self.of_string(depth), self.pick("e", "safe", "tojson", "forceescape"))

    def of_list(self, depth):
        if depth <= 0 or self.chance(0.5):
            return self.pick("_.l", "_.mix", "_.servers", "_.e", "_.words", "_.nest", "_.flo", "[1, 2, 3]", "['b', 'a']", "[]", "_.pairs")
        return "[%s]" % ", ".join(self.any(depth - 1) for _ in range(self.r.randint(0, 4)))

    def of_tuple(self, depth):
        return self.pick("()", "(1,)", "(1, 'a')", "(%s, %s)" % (self.any(0), self.any(0)))

    def of_dict(self, depth):
        if depth <= 0 or self.chance(0.5):
            return self.pick("_.d", "_.cnt", "_.obj", "{}", "{'a': 1}", "{'b': [1], 'a': none }", "dict(a=1)", "_.servers[0]")
        return "{%s }" % ", ".join("%s: %s" % (self.of(self.pick("string", "int"), 0), self.any(depth - 1)) for _ in range(self.r.randint(0, 3)))

    def of_lazy(self, depth):
        return self.pick("range(3)", "(_.l | map('string'))", "(_.words | select)", "_.d.items()", "_.cnt.keys()", "_.cnt.values()", "(_.l | reverse)",
                         "(_.servers | map(attribute='name'))", "(_.servers | selectattr('up'))", "(_.mix | unique)", "(_.l | batch(2))", "range(1, 10, 3)")

    def of_undefined(self, depth):
        return self.pick("_.nope", "nope", "_.d.nope", "_.l[9]")

    def hint(self, name, depth):
        """An argument that fits the parameter's name."""
        if self.chance(0.1):
            return self.any(depth)
        if name in ("attribute", "by"):
            return self.pick("'name'", "'cpu'", "'up'", "0", "'a'", "'key'", "'value'", "'b.c'", "'tags.0'", "'nope'")
        if name in ("case_sensitive", "reverse", "boolean", "binary", "killwords", "first", "blank", "break_long_words", "break_on_hyphens", "keepends", "autospace",
                    "nofollow"):
            return self.of_bool(depth)
        if name in ("width", "length", "linecount", "slices", "precision", "count", "maxsplit", "tabsize", "indent", "base", "start", "end", "num", "index", "stop",
                    "leeway", "trim_url_limit"):
            return self.of_small(depth) if self.chance(0.7) else self.pick("8", "10", "16", "20", "none")
        if name == "method":
            return self.pick("'common'", "'ceil'", "'floor'", "'x'")
        if name in ("sep", "sub", "prefix", "suffix", "old", "new", "chars", "d", "wrapstring", "fillchar", "value_if", "target", "rel"):
            return self.of_string(depth) if self.chance(0.5) else self.pick("','", "' '", "''", "'a'", "'o'", "'\\n'", "none")
        if name in ("seq", "iterable", "other"):
            return self.of(self.pick("list", "string", "dict", "lazy"), depth)
        if name == "mapping":
            return self.of("dict", depth)
        return self.any(depth)

    def arguments(self, parameters, depth):
        out, named = [], False
        for slash, star, name, optional in parameters:
            if star == "**":
                out += ["%s=%s" % (n, self.any(depth)) for n in ("a", "b") if self.chance(0.3)]
            elif star:
                out += [self.any(depth) for _ in range(self.pick(0, 1, 1, 2))]
            elif optional and self.chance(0.55):
                named = named or self.chance(0.8)
                if not named:
                    break
            else:
                value = self.hint(name, depth)
                named = named or (not slash and self.chance(0.1))
                out.append("%s=%s" % (name, value) if named else value)
        if self.chance(0.03):
            out.append(self.any(depth))
        elif out and self.chance(0.04):
            out.pop()
        return out

    def filter(self, depth):
        _, name, parameters = self.r.choice(self.filters)
        kind = self.r.choice(self.kinds)
        if self.chance(0.75):
            if name in ("batch", "slice", "sort", "map", "select", "reject", "selectattr", "rejectattr", "groupby", "unique", "sum", "join", "list", "first", "last",
                        "min", "max", "reverse", "length", "count"):
                kind = self.pick("list", "list", "lazy", "tuple", "dict", "string")
            elif name in ("abs", "round", "int", "float", "filesizeformat"):
                kind = self.pick("int", "float", "string", "bool")
            elif name in ("dictsort", "items", "xmlattr", "urlencode"):
                kind = "dict"
            elif name not in ("default", "d", "tojson", "pprint", "string"):
                kind = self.pick("string", "string", "markup", "int")
        args = self.arguments(parameters[1:], depth)
        if name in ("map", "select", "reject"):
            args = [self.pick("'%s'" % self.r.choice(self.filters)[1] if name == "map" else "'%s'" % self.r.choice(self.tests)[1], "attribute='name'")] + \
                ([self.any(depth)] if self.chance(0.3) else [])
            if name != "map" and self.chance(0.3):
                args = []
        elif name in ("selectattr", "rejectattr"):
            args = [self.pick("'up'", "'cpu'", "'name'", "'nope'", "0")] + (["'%s'" % self.r.choice(self.tests)[1]] + ([self.any(0)] if self.chance(0.6) else [])
                                                                           if self.chance(0.6) else [])
        elif name == "format":
            return "%s | format(%s)" % (self.pick("'%s'", "'%d|%5.2f'", "'%05d'", "'%x'", "'%(a)s'", "'%r %s'", "'%-5s|'", "'%+d'", "'%e'", "'%g'", "'%c'", "'%%'", "'%.3s'",
                                                  "'%10.3e'", "'%#x'", "'%i'", "'%o'", "'%a'"), ", ".join(args))
        text = "%s | %s" % (self.of(kind, depth), name)
        if args or self.chance(0.1):
            text += "(%s)" % ", ".join(args)
        if self.chance(0.25):
            text += " | " + self.pick("list", "string", "first", "length", "tojson", "join(',')", "upper", "int", "default('z')", "last", "sort", "sum")
        return text

    def test(self, depth):
        _, name, parameters = self.r.choice([t for t in self.tests if t[1][0].isalpha()])
        args = self.arguments(parameters[1:], depth)
        if len(args) == 1 and self.chance(0.3) and re.match(r"[\w.]+$", args[0]):
            tail = " " + args[0]
        else:
            tail = "(%s)" % ", ".join(args) if args else ""
        return "%s is %s%s%s" % (self.any(depth), self.pick("", "", "not "), name, tail)

    def method(self, depth):
        owner, name, parameters = self.r.choice(self.methods)
        kind = "string"
        for word, k in (("LIST", "list"), ("SEQUENCE", "list"), ("DICT", "dict"), ("INT", "int"), ("NUMBER", "int"), ("FLOAT", "float")):
            if word in owner:
                kind = k
        receiver = self.of(kind, depth)
        if kind in ("int", "float") or receiver[0] == "-":
            receiver = "(%s)" % receiver
        text = "%s.%s(%s)" % (receiver, name, ", ".join(self.arguments(parameters, depth)))
        if name in ("format", "format_map") and self.chance(0.9):
            spec = self.pick("{0}", "{}", "{0:>5}", "{:05d}", "{:.2f}", "{a}", "{0!r}", "{0[0]}", "{:x}", "{:,}", "{0:^9}", "{:e}", "{:%}", "{:<4}|", "{0.real}", "{:+d}",
                             "{:g}", "{:s}", "{:n}", "{:b}", "{:#o}", "{0:_}", "{:*^7.1f}", "{{0}}")
            text = "'%s'.%s(%s)" % (spec, name, self.of_dict(depth) if name == "format_map" else ", ".join([self.any(depth)] + (["a=1"] if self.chance(0.3) else [])))
            text = text.replace("{{", "{ {").replace("}}", "} }")
        return text

    def access(self, depth):
        return self.pick(
            lambda: "%s[%s]" % (self.any(depth), self.any(depth)),
            lambda: "%s[%s:%s]" % (self.of(self.pick("list", "string", "tuple"), depth), self.pick("", "1", "-1", "-2", "0", "5"), self.pick("", "1", "-1", "2", "9")),
            lambda: "%s[%s:%s:%s]" % (self.of(self.pick("list", "string"), depth), self.pick("", "1", "-1"), self.pick("", "0", "-3"), self.pick("1", "-1", "2", "-2", "0")),
            lambda: "%s.%s" % (self.of(self.pick("dict", "list", "string", "int", "undefined"), depth), self.pick("a", "items", "name", "real", "b", "__class__", "numerator",
                                                                                                         "imag", "denominator", "nope", "0", "1")),
            lambda: "_.servers[%s].%s" % (self.of_small(0), self.pick("name", "cpu", "tags", "nope")),
            lambda: "%s(%s)" % (self.pick("range", "dict", "namespace", "cycler", "joiner", "json_dump", "json_parse", "yaml_dump", "yaml_parse", "env", "nope", "json_pp"),
                                ", ".join(self.any(depth) for _ in range(self.r.randint(0, 2)))),
        )()

    def piece(self, depth):
        roll = self.r.random()
        if roll < 0.3:
            return self.filter(depth)
        if roll < 0.42:
            return self.test(depth)
        if roll < 0.62:
            return self.method(depth)
        if roll < 0.74:
            return self.access(depth)
        if roll < 0.9:
            return "%s %s %s" % (self.any(depth), self.r.choice(self.binary), self.any(depth))
        if roll < 0.93:
            return "%s %s" % (self.pick("not", "-", "+"), self.any(depth))
        if roll < 0.97:
            return "%s if %s%s" % (self.any(depth), self.any(depth), " else " + self.any(depth) if self.chance(0.8) else "")
        return "%s %s %s %s %s" % (self.any(0), self.r.choice(self.binary), self.any(0), self.r.choice(self.binary), self.any(0))

    def block(self, depth):
        """A template of statements."""
        ws = lambda: self.pick("", "", "", "\n", " ", "  ")
        dash = lambda: self.pick("", "", "", "-", "+")
        tag = lambda s: "%s{%%%s %s %s%%}%s" % (ws(), self.pick("", "", "", "-", "+"), s, self.pick("", "", "", "-"), ws())
        out = lambda e: "%s{{%s %s %s}}%s" % (ws(), self.pick("", "", "", "-"), e, self.pick("", "", "", "-"), ws())
        body = lambda *names: self.scoped(names, lambda: out(self.piece(0)) if self.chance(0.7) or depth <= 0 else self.block(depth - 1))

        def loop():
            seq = self.of(self.pick("list", "dict", "lazy", "string"), depth)
            names = self.pick(("x",), ("x",), ("x", "y"))
            extra = self.pick("", "", " if x", " recursive")
            text = tag("for %s in %s%s" % (", ".join(names), seq if len(names) == 1 else self.pick("_.pairs", "_.d.items()", "_.cnt | dictsort", seq), extra))
            text += self.scoped(names + ("loop.index", "loop.first", "loop.last", "loop.revindex0", "loop.length", "loop.previtem", "loop.nextitem", "loop.depth",
                                         "loop.cycle('a', 'b')", "loop.changed(x)"), lambda: out(self.piece(0) if self.chance(0.5) else self.r.choice(self.names)))
            if self.chance(0.2):
                text += tag("else") + body()
            return text + tag("endfor")

        return self.pick(
            loop, loop,
            lambda: tag("if " + self.piece(0)) + body() + (tag("elif " + self.piece(0)) + body() if self.chance(0.2) else "") +
            (tag("else") + body() if self.chance(0.5) else "") + tag("endif"),
            lambda: tag("set v = " + self.piece(depth)) + body("v"),
            lambda: tag("set v") + body() + tag("endset") + body("v"),
            lambda: tag("set v, w = " + self.pick("1, 2", "_.nest[0]", self.any(depth))) + body("v", "w"),
            lambda: tag("macro m(a, b=%s)" % self.any(0)) + body("a", "b", "varargs", "kwargs", "caller") + tag("endmacro") +
            out("m(%s)" % ", ".join(self.any(0) for _ in range(self.r.randint(0, 3)))),
            lambda: tag("macro m(a)") + out("caller(a)") + tag("endmacro") + tag("call(c) m(%s)" % self.any(0)) + body("c") + tag("endcall"),
            lambda: tag("filter " + self.pick("upper", "trim", "replace('a', 'b')", "length", "indent", "title", "e")) + body() + tag("endfilter"),
            lambda: tag("with v = " + self.any(depth)) + body("v") + tag("endwith"),
            lambda: tag("raw") + "{{ x }} {% y %}" + tag("endraw") + out("1"),
            lambda: "{#%s c %s#}" % (dash(), dash()) + body(),
            lambda: tag("set ns = namespace(n=0)") + tag("for x in " + self.of_list(0)) + tag("set ns.n = " + self.pick("ns.n + 1", "x", "loop.index")) + tag("endfor") + out("ns.n"),
            lambda: tag("block b") + body() + tag("endblock") + self.pick("", out("self.b()")),
            lambda: tag("print " + self.piece(0)) + out("''"),
            lambda: tag("autoescape " + self.pick("true", "false", "_.b")) + body() + tag("endautoescape"),
            lambda: tag(self.pick("do x", "break", "include 'a'", "import 'a' as b", "extends 'a'", "endif", "else", "from 'a' import b", "nope")) + body(),
        )()

    def scoped(self, names, make):
        before = self.names
        self.names = before + list(names)
        try:
            return make()
        finally:
            self.names = before

    def template(self):
        roll = self.r.random()
        if roll < 0.7:
            return "{{ %s }}" % self.piece(self.pick(0, 1, 1, 2))
        if roll < 0.8:
            return "%s{{ %s }}%s" % (self.pick("x=", " ", "a\n"), self.piece(1), self.pick("", " {{ _.i }}", "\n", "\n\n", "b"))
        text = "".join(self.block(1) for _ in range(self.pick(1, 1, 2)))
        return text if "{{" in text or self.chance(0.1) else text + "{{ '' }}"


# ---------------------------------------------------------------------------------------- topics

WORDS = ["http://example.com/a?b=c&d", "www.x.org", "mail@x.com", "(https://x.io/y)", "<b>bold</b>", "&amp;", "<!-- c -->", "a" * 30, "don't", "O'Neill", "x-y", "été",
         "1st", "ÀB", "ﬁn", "\u0001", "z\u0301", "a\tb", "end.", "http://a.b.c.", "ΑΣ", "ǆa", "\u2028x", "ⅷ", "²", "٣", "x_y", "\xad", "\u3000", "https://"]


class Topics(Generator):
    """Where the rules are many: times, patterns, numbers in text, YAML, JSON, Unicode, formatting."""

    def __init__(self, seed, language):
        super().__init__(seed)
        self.language = language
        self.topics = [self.yaml_text, self.json_text, self.numbers, self.unicode]
        self.topics += [self.dates, self.strftime, self.strptime, self.regexes, self.regexes] if language == "yaql" else \
            [self.percent, self.spec, self.wrapping, self.printing, self.slices, self.whitespace, self.attributes]

    def quote(self, s):
        return "'%s'" % "".join({"\\": "\\\\", "'": "\\'", "\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(c, c) for c in s)

    def word(self):
        return self.pick(self.r.choice(STRINGS), self.r.choice(WORDS), "".join(self.letter() for _ in range(self.r.randint(1, 5))))

    def letter(self):
        while True:
            c = chr(self.pick(self.r.randint(32, 126), self.r.randint(160, 0x24f), self.r.randint(0x370, 0x5ff), self.r.randint(0x1e00, 0x20ff),
                              self.r.randint(0x2100, 0x2fff), self.r.randint(0xa640, 0xabff), self.r.randint(0xf900, 0xffef), self.r.randint(0x10000, 0x1f9ff)))
            # What a younger version of Unicode has named is printed differently.
            if unicodedata.category(c) not in ("Cn", "Cs", "Co") and c not in "%{}<>":
                return c

    def text(self):
        return self.pick(" ", " ", "\n", "  ", ",", "").join(self.word() for _ in range(self.r.randint(0, 6)))

    def dates(self):
        d = self.pick(self.r.choice(DATES), lambda: None)
        if callable(d):
            y, m, dd = self.r.randint(1, 2100), self.r.randint(1, 12), self.r.randint(1, 29)
            month = self.pick("Jan", "feb", "March", "Sept", "DEC", "August")
            day = self.pick("Mon", "Tuesday", "wed,", "")
            date = self.pick("%04d-%02d-%02d" % (y, m, dd), "%d/%d/%d" % (m, dd, y), "%d.%d.%d" % (dd, m, y), "%s %d, %d" % (month, dd, y), "%d %s %d" % (dd, month, y),
                             "%d-%s-%02d" % (dd, month, y % 100), "%04d%02d%02d" % (y, m, dd), "%s %s %d %d" % (day, month, dd, y), "%s %d" % (month, dd), "%d" % y,
                             "%02d-%02d-%02d" % (m, dd, y % 100), "%04d/%02d/%02d" % (y, m, dd), "%s %d" % (month, y), "%d of %s %d" % (dd, month, y), "%04d-%02d" % (y, m),
                             "%s %dth %d" % (month, dd, y), "")
            h, mi, sec = self.r.randint(0, 24), self.r.randint(0, 59), self.r.randint(0, 60)
            time = self.pick("", "", "%02d:%02d" % (h, mi), "%02d:%02d:%02d" % (h, mi, sec), "%02d:%02d:%02d.%d" % (h, mi, sec, self.r.randint(0, 9999999)), "%d pm" % h, "%dam" % h,
                             "%d:%02d PM" % (h, mi), "%02d%02d" % (h, mi), "%02d%02d%02d" % (h, mi, sec), "%dh%dm%ds" % (h, mi, sec), "%02d:%02d:%02d,%d" % (h, mi, sec, 5))
            zone = self.pick("", "", "", "Z", "+02:00", "-0530", " UTC", " GMT", "+3", " EST", " GMT+3", " (CET)", "UTC-2", " +01:30") if time else ""
            d = self.pick(date + " " + time + zone, date + "T" + time + zone, time + zone + " " + date, date).strip(" T" if not time else " ")
        return self.pick("datetime(%s)", "str(datetime(%s))", "datetime(%s).offset.hours", "str(datetime(%s))") % self.quote(d)

    def strftime(self):
        when = self.pick("datetime(2020, 2, 29, 3, 4, 5, 678)", "datetime(2021, 1, 3, 15, 59)", "datetime(1999, 12, 31, 23, 59, 59)", "datetime(999, 5, 1)",
                         "datetime(2024, 12, 30, 12, offset => timespan(hours => -5, minutes => -30))", "datetime(2005, 1, 1, offset => timespan(hours => 2))")
        fmt = "".join(self.pick(self.r.choice(FORMATS), "%" + self.r.choice("aAbBcdDeFgGhHIjkmMnprRsStTuUVwWxXyYzZ%fq"), " ", "-", "x") for _ in range(self.r.randint(1, 4)))
        return "%s.format(%s)" % (when, self.quote(fmt))

    def strptime(self):
        parts = [("%Y", "2020"), ("%m", "02"), ("%d", "29"), ("%H", "13"), ("%M", "5"), ("%S", "61"), ("%y", "68"), ("%y", "69"), ("%b", "feb"), ("%B", "February"), ("%j", "060"), ("%a", "sat"),
                 ("%A", "Monday"), ("%p", "PM"), ("%I", "11"), ("%f", "12"), ("%z", "+02:30"), ("%z", "Z"), ("%Z", "UTC"), ("%%", "%"), ("%U", "9"), ("%w", "0"), ("%G", "2020"), ("%V", "9"), ("%u", "1"), ("%D", "1")]
        chosen = self.r.sample(parts, self.r.randint(1, 5))
        sep = self.pick("-", " ", "/", "", "T", "  ")
        return "str(datetime(%s, %s))" % (self.quote(sep.join(b for _, b in chosen)), self.quote((self.pick(" ", "-") if self.chance(0.1) else sep).join(a for a, _ in chosen)))

    def pattern(self, depth):
        if depth <= 0:
            return self.pick("a", "b", "c", ".", "\\d", "\\w", "\\s", "[abc]", "[^a]", "x", "\\b", "^", "$", "é", " ", "\\.", "[a-z]", "\\W", "[\\d_]", "\\S", "\\A", "\\Z", "\\1", "[]a]", "[a\\]]",
                             "\\x61", "\\n", "\\-", "{", "}", "\\B", "[^\\W\\d]", "[a-\\d]", "[z-a]", "\\u00e9", "\\101", "\\0", "[[a]", "\\t")
        return self.pick(
            lambda: self.pattern(0), lambda: self.pattern(0),
            lambda: self.pattern(depth - 1) + self.pattern(depth - 1), lambda: self.pattern(depth - 1) + self.pattern(depth - 1),
            lambda: self.pattern(depth - 1) + "|" + self.pattern(depth - 1),
            lambda: self.pattern(depth - 1) + self.pick("*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}", "{,2}", "{2,}", "{1,2}?", "**", "*+", "{3,1}", "{a}", "++"),
            lambda: "(%s)" % self.pattern(depth - 1),
            lambda: "(%s%s)" % (self.pick("?:", "?=", "?!", "?<=", "?<!", "?P<n>", "?i:", "?-i:", "?#", "?P=n", "?(1)a|", "?>", "?s:", "?<n>", "?'n'", "?i", "?x", "?m-s:", "?a:"), self.pattern(depth - 1)),
            lambda: "(?%s)%s" % (self.pick("i", "m", "s", "x", "u", "a", "L", "im", "q", ""), self.pattern(depth - 1)),
        )()

    def regexes(self):
        p = self.quote(self.pattern(self.pick(1, 2, 2, 3)))
        s = self.quote(self.pick("abc", "aXbXc", "a1 b22\nc333", "aaa", "", "é a.b-c_d", "abab\n", "x\n", "ABC abc", "a\nb\n\nc", "aa bb cc", "a[b]c{2}", "ééÉ ſsK\u212a"))
        flags = self.pick("", "", "", ", true", ", false, true", ", false, false, true", ", true, true, true")
        return self.pick("%s =~ %s" % (s, p), "regex(%s%s).searchAll(%s)" % (p, flags, s), "regex(%s%s).search(%s, [$.value, $.start, $.end, $2.value, $2.start])" % (p, flags, s),
                         "regex(%s%s).split(%s%s)" % (p, flags, s, self.pick("", "", ", 1", ", -1")),
                         "%s.replace(regex(%s%s), %s%s)" % (s, p, flags, self.pick("x", "'<\\\\1>'", "'\\\\g<0>\\\\g<0>'", "'[\\\\g<n>]'", "''"), self.pick("", ", 1", ", 2")),
                         "%s.replaceBy(regex(%s%s), str($.start))" % (s, p, flags), "regex(%s%s).matches(%s)" % (p, flags, s), "str(regex(%s%s))" % (p, flags))

    def scalar(self):
        return self.pick(self.word(), self.pick("yes", "No", "on", "off", "TRUE", "~", "null", "Null", "", "017", "0o17", "0x1F", "0b11", "1_000", "1:30", "190:20:30.15", "1e3", "1.5e+3", "1.", ".5", "-.inf", ".NaN",
                                                "+12", "-0", "2020-01-02", "2020-01-02T03:04:05Z", "2020-1-2 3:4:5 +2", "'it''s'", '"a\\tb"', "<<", "=", "! x", "!!str 5", "!!int '5'", "!!float 1", "# c", "a # c",
                                                "a: b", "- a", "[1, 2]", "{a: 1}", "|\n  x\n  y", ">\n  x\n  y\n\n  z", "|-\n  x\n", "*a", "&a b", "@x", "%x", "`x", "a:b", "a#b", "12e03", "1__2", "0.1", "y", "n",
                                                "0x", "08", "1e", "---", "...", "--- x", "? a", "a\n b", "'a\n\n  b'", "!!set {a, b}", "!!binary aGk=", "!!python/none x"))

    def yaml_text(self):
        doc = self.pick(self.scalar, lambda: "\n".join("%s: %s" % (self.pick("a", "b", "a b", "1", "yes", "'q'"), self.scalar()) for _ in range(self.r.randint(1, 3))),
                        lambda: "\n".join("- %s" % self.scalar() for _ in range(self.r.randint(1, 3))), lambda: "[%s, %s]" % (self.scalar(), self.scalar()),
                        lambda: "{%s: %s}" % (self.word(), self.scalar()), lambda: "a:\n  - %s\n  - b: %s\nc: %s\n" % (self.scalar(), self.scalar(), self.scalar()))()
        name = "yaml_parse" if self.chance(0.5) else "yaml_dump"
        value = self.quote(doc)
        if name == "yaml_dump":
            value = self.pick(value, "[%s, %s]" % (value, self.quote(self.scalar())), ("{k => %s, %s => [%s]}" if self.language == "yaql" else "{'k': %s, %s: [%s] }") % (
                value, self.quote(self.word()), self.quote(self.scalar())), "[[], %s, [1.5, [2, [3]]]]" % value, self.pick(*FLOATS), value)
        return "%s(%s)" % (name, value)

    def json_text(self):
        def value(depth):
            return self.pick(lambda: self.pick("1", "-0", "1.0", "1e5", "1E-7", "01", "+1", ".5", "1.", "NaN", "Infinity", "-Infinity", "true", "false", "null", "True", '""', '"a"', '"\\u00e9"', '"\\ud83d\\ude00"',
                                               '"\\x"', '"\\n"', "'a'", '"a\nb"', "12345678901234567890", "1e400", "", "tru", '"\\ud800"', "0.1", "-5", '"é"'),
                             lambda: "[%s]" % self.pick(",", ", ").join(value(depth - 1) for _ in range(self.r.randint(0, 3))) if depth else "[]",
                             lambda: "{%s}" % ", ".join('"%s": %s' % (self.pick("a", "b", "", "é"), value(depth - 1)) for _ in range(self.r.randint(0, 3))) if depth else "{}",
                             lambda: " %s " % value(depth), lambda: value(depth) + self.pick(",", "]", " x", ""))()
        call = "json_parse(%s)" % self.quote(value(2))
        return call if self.chance(0.6) else "json_dump(%s)" % call

    def number(self):
        digits = lambda n: "".join(self.r.choice("0123456789") for _ in range(n))
        return self.pick(digits(self.r.randint(1, 20)), digits(self.r.randint(1, 4)) + "." + digits(self.r.randint(1, 18)), "0." + "0" * self.r.randint(0, 8) + digits(3),
                         digits(self.r.randint(15, 18)) + ".0", digits(1) + "." + digits(1) + "5")

    def numbers(self):
        n, m = (re.sub(r"^0+(?=\d)", "", self.number()) for _ in "ab")
        t = self.quote(self.pick(self.number(), " %s " % self.number(), "-" + self.number(), self.number() + "e" + str(self.r.randint(-320, 310)), "1_0", "_1", "1__0", "٣", "inf", "-Infinity", "nan", "0x1f",
                                 "1e", "e5", ".5", "5.", "+5", "- 5", "1 2", "\u00a05", "1_0.5_0", "1e1_0", "0b1", "²", "", "1,5"))
        if self.language == "yaql":
            return self.pick("str(%s)" % n, "%s / %s" % (n, m), "%s * %s" % (n, m), "str(float(%s))" % t, "int(%s)" % t, "round(%s, %s)" % (n, self.r.randint(-4, 6)), "%s mod %s" % (n, m), "%s - %s" % (n, m),
                             "str(-%s / %s)" % (n, m), "pow(%s, %s)" % (n, self.pick("0", "1", "2", "3", "-1", "0.5")), "int(%s)" % n, "pow(%s, %s, %s)" % (self.r.randint(-5, 50), self.r.randint(-2, 50), self.r.randint(-5, 50)),
                             "-%s mod %s" % (n, m), "%s = %s" % (n, m), "str(%s + %s)" % (n, m), "[%s, %s]" % (n, m), "float(%s) = %s" % (t, n), "abs(-%s)" % n, "sign(%s - %s)" % (n, m),
                             "bitwiseXor(%s, -%s)" % (n.split(".")[0], m.split(".")[0]), "shiftBitsRight(-%s, %s)" % (n.split(".")[0], self.r.randint(0, 70)))
        return self.pick("%s | string" % n, "%s / %s" % (n, m), "%s * %s" % (n, m), "%s | float" % t, "%s | int" % t, "%s | round(%s)" % (n, self.r.randint(-4, 6)), "%s %% %s" % (n, m), "%s // %s" % (n, m),
                         "%s | int(0, %s)" % (t, self.pick("2", "8", "10", "16", "36", "0", "1")), "%s ** %s" % (n, self.pick("0", "1", "2", "3", "-1", "0.5")), "%s | int" % n, "-%s // %s" % (n, m),
                         "%s | filesizeformat%s" % (n, self.pick("", "(true)")), "[%s, -%s] | string" % (n, m), "%s | round(%s, '%s')" % (n, self.r.randint(-2, 4), self.pick("ceil", "floor", "common")),
                         "'%s' | filesizeformat" % n, "%s == %s" % (n, m), "(%s, %s) | sum" % (n, m), "[%s, %s] | max" % (n, m))

    def unicode(self):
        s = self.quote(self.text())
        if self.language == "yaql":
            return self.pick("%s.toUpper()", "%s.toLower()", "str([%s])", "%s.trim()", "%s.split()", "%s.len()", "%s.isEmpty()", "json_dump(%s)", "yaml_dump(%s)", "escapeRegex(%s)", "%s.toCharArray().toSet().len()",
                             "regex('\\\\w+').searchAll(%s)", "regex('\\\\s').split(%s)", "%s.toLower() = %s.toLower()", "regex('\\\\d').searchAll(%s)", "str({%s => 1})", "regex('\\\\b').replace(%s, '|')").replace("%s", s)
        return self.pick("%s | upper", "%s | lower", "%s | title", "%s | capitalize", "[%s] | string", "%s.split()", "%s.swapcase()", "%s.casefold()", "%s | wordcount", "%s | urlencode", "%s | tojson", "%s.splitlines()", "%s.title()",
                         "%s.isalpha()", "%s.isdigit()", "%s.isnumeric()", "%s.isdecimal()", "%s.isprintable()", "%s.istitle()", "%s.isupper()", "%s.islower()", "%s.isspace()", "%s.isidentifier()", "%s.isalnum()",
                         "%s | trim", "%s.zfill(9)", "%s.expandtabs(4)", "%s | e", "%s is upper", "%s is lower", "%s | pprint", "%s | length", "%s.center(15, '*')", "%s | reverse", "%s[::-1]", "%s.capitalize()").replace("%s", s)

    def operand(self):
        return self.pick("1", "-5", "2.5", "'ab'", "none", "true", "[1]", "12345678901234567890", "1e10", "0.0001", "_.u", "'é'", "65", "(1, 2)", "{'a': 1}", "-0.0", "1e300", "255", "123456789")

    def percent(self):
        spec = "%" + self.pick("", "", "#", "0", "-", " ", "+", "-0", "+0", "(a)") + self.pick("", "", "5", "10", "1", "*") + self.pick("", "", ".2", ".0", ".10", ".", ".*") + self.pick("", "", "", "l", "h") + \
            self.r.choice("sdifFeEgGxXocra%b")
        args = self.pick("%s" % self.operand(), "(%s,)" % self.operand(), "(%s, %s)" % (self.operand(), self.operand()), "{'a': %s }" % self.operand())
        text = "'%s%s' %% %s" % (spec, self.pick("", "", "|%s", "x"), args)
        return text.replace("%}", "% }").replace("{%", "{ %")

    def spec(self):
        spec = self.pick("", "", "<", ">", "^", "=", "*<", "x^", "0>") + self.pick("", "", "+", "-", " ") + self.pick("", "", "#", "z") + self.pick("", "", "0") + self.pick("", "", "5", "12", "1") + self.pick("", "", ",", "_") + \
            self.pick("", "", ".2", ".0", ".10") + self.pick("", "", "s", "d", "f", "F", "e", "E", "g", "G", "x", "X", "o", "b", "c", "n", "%", "q")
        text = self.pick("'{:SPEC}'.format(VALUE)", "'{0:SPEC}|{0!r:SPEC}'.format(VALUE)", "'{0:SPEC}'.format(VALUE)", "'{a:SPEC}'.format(a=VALUE)", "('{:SPEC}' | safe).format(VALUE)")
        return text.replace("SPEC", spec).replace("VALUE", self.operand())

    def wrapping(self):
        s, n, b = self.quote(self.text()), lambda: self.r.randint(-1, 20), lambda: self.pick("true", "false")
        return self.pick(lambda: "%s | wordwrap(%d%s)" % (s, n(), self.pick("", ", false", ", true, '|'", ", break_on_hyphens=false")), lambda: "%s | truncate(%d%s)" % (s, n(), self.pick("", ", true", ", true, '…'", ", false, '', 0", ", leeway=0", ", leeway=3")),
                         lambda: "%s | indent(%s%s)" % (s, self.pick(str(n()), "'> '"), self.pick("", ", true", ", first=true, blank=true", ", blank=true")), lambda: "%s | center(%d)" % (s, n()), lambda: "%s | urlize%s" % (
                             s, self.pick("", "(10)", "(nofollow=true)", "(target='_blank')", "(rel='x')", "(5, true, '_top')", "(extra_schemes=['tel:'])")), lambda: "%s | striptags" % s, lambda: "%s | wordcount" % s,
                         lambda: "%s | forceescape" % s, lambda: "%s | replace(%s, %s%s)" % (s, self.quote(self.word()), self.quote(self.word()), self.pick("", ", 1")), lambda: "%s.split(%s, %d)" % (s, self.quote(self.word()), n()),
                         lambda: "%s.rsplit(none, %d)" % (s, n()), lambda: "%s.partition(' ')" % s, lambda: "%s.rpartition(%s)" % (s, self.quote(self.word())), lambda: "%s.splitlines(true)" % s, lambda: "%s | trim(%s)" % (s, self.quote(self.word())),
                         lambda: "%s.find(%s, %d, %d)" % (s, self.quote(self.word()), n(), n()), lambda: "%s.count(%s)" % (s, self.quote(self.word())), lambda: "%s.ljust(%d, '.')" % (s, n()))()

    def printing(self):
        v = lambda d: self.pick(lambda: self.quote(self.word()), lambda: self.operand(), lambda: "[%s]" % ", ".join(v(d - 1) for _ in range(self.r.randint(0, 6))) if d else "[]",
                                lambda: "{%s }" % ", ".join("%s: %s" % (self.quote(self.word()), v(d - 1)) for _ in range(self.r.randint(0, 4))) if d else "{}", lambda: "(%s,)" % v(d - 1) if d else "()")()
        return "%s | %s" % (v(3), self.pick("pprint", "pprint", "string", "tojson", "tojson(2)", "xmlattr", "urlencode", "join('-')", "list | string", "length", "items | list", "dictsort", "sort | string", "unique | list", "first", "last"))

    def slices(self):
        o = lambda: self.pick("", "", str(self.r.randint(-6, 6)))
        return "%s[%s:%s%s]" % (self.pick("_.words", "_.s", "_.l", "range(10)", "'abcdefg'", "(1, 2, 3, 4)", "_.mix"), o(), o(), self.pick("", ":" + o()))

    def whitespace(self):
        piece = lambda: self.pick("a", " ", "\n", "  ", "\t", "\r\n", "b ", "{{ 1 }}", "{{- 2 }}", "{{ 3 -}}", "{% if true %}", "{%- if true %}", "{% if true -%}", "{%+ if true %}", "{% if true +%}", "{% set x = 1 %}",
                                  "{# c #}", "{#- c #}", "{# c -#}", "{%- set y = 2 -%}", "{% raw %} {{ {% endraw %}", "{%- raw -%} r {%- endraw -%}", "{# a\nb #}", "{#+ c +#}", "\n\n", "{% set z %} q {% endset %}", "\x0c", "{{+ 4 }}", "{{ 5 +}}",
                                  "{% for i in [1, 2] %}", "{%- for i in [1, 2] -%}", "{{ i }}", "{{", "%}", "}}", "#}")
        out, open_ = "", []
        for _ in range(self.r.randint(2, 9)):
            p = piece()
            out += p
            if "if true" in p:
                open_.append("if")
            elif "for i" in p:
                open_.append("for")
            elif open_ and self.chance(0.4):
                out += self.pick("{%% end%s %%}", "{%%- end%s %%}", "{%% end%s -%%}", "  {%% end%s %%}\n") % open_.pop()
        while open_:
            out += self.pick("{%% end%s %%}", "{%%- end%s %%}", "\n{%% end%s -%%}\n", "  {%% end%s %%}\n") % open_.pop()
        return "\0" + out + self.pick("", "{{ '' }}", "\n", "{{ x }}")

    def attributes(self):
        return self.pick("%s.%s", "%s['%s']", "%s | attr('%s')", "%s.%s is defined", "%s.%s is callable", "%s.%s | default('q')", "%s.%s()") % (
            self.pick("_.s", "_.l", "_.d", "(5)", "(2.5)", "none", "true", "range(3)", "_.nope", "(1, 2)", "('a' | e)", "cycler(1)", "joiner()", "namespace(a=1)", "dict", "range", "_.d.items()", "(_.l | map('string'))", "_", "_.s.upper", "env"),
            self.pick("__class__", "__init__", "mro", "a", "items", "upper", "real", "start", "stop", "step", "sep", "pos", "current", "next", "reset", "count", "append", "format", "__len__", "_x", "striptags", "unescape", "gi_frame",
                      "func_code", "numerator", "as_integer_ratio", "hex", "to_bytes", "isdigit", "sort", "keys", "k y", "fromhex", "maketrans", "send", "cr_code"))

    def template(self):
        e = self.r.choice(self.topics)()
        if e.startswith("\0"):
            return e[1:]
        return ("<% {} %>" if self.language == "yaql" else "{{{{ {} }}}}").format(e)


# ---------------------------------------------------------------------------------------- mutations

FAMILIES = [
    ["+", "-", "*", "/", "mod", "//", "%", "~", "**"], ["<", "<=", ">", ">=", "=", "!=", "=="], ["and", "or"], ["in", "=~", "!~"], [".", "?."],
    ["where", "select", "selectMany", "takeWhile", "skipWhile", "any", "all", "orderBy", "groupBy", "distinct", "toDict", "indexWhere", "sliceWhere"],
    ["first", "last", "single", "count", "len", "sum", "min", "max", "toList", "toSet", "reverse", "flatten", "memorize", "keys", "values", "items"],
    ["split", "rightSplit", "join", "startsWith", "endsWith", "indexOf", "lastIndexOf", "trim", "trimLeft", "trimRight", "toUpper", "toLower", "norm", "isEmpty"],
    ["insert", "insertMany", "replace", "replaceMany", "delete", "deleteAll", "append", "concat", "skip", "limit", "slice", "splitAt", "contains", "containsKey"],
    ["map", "select", "reject", "unique", "reverse", "list", "sort", "batch", "slice", "sum", "join", "first", "last", "length", "max", "min"],
    ["upper", "lower", "title", "capitalize", "trim", "string", "int", "float", "round", "abs", "tojson", "pprint", "urlencode", "escape", "striptags", "wordcount"],
    ["int", "float", "str", "bool", "isString", "isInteger", "isNumber", "isList", "isDict", "isSet"],
    ["true", "false", "null", "none"],
]
TOKEN = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\d+(?:\.\d+)?|[^\W\d]\w*|=>|->|<=|>=|!=|=~|!~|\?\.|\*\*|//|==|\s+|.", re.S)


def mutate(r, text):
    """Another expression of the same kind: constants, operators and names change places with others."""
    tokens = TOKEN.findall(text)
    inner = [i for i, t in enumerate(tokens) if not t.isspace() and t not in "{}%<>"]
    for _ in range(r.choice((1, 1, 2, 3))):
        if not inner:
            break
        i = r.choice(inner)
        t = tokens[i]
        family = [f for f in FAMILIES if t in f]
        if family:
            tokens[i] = r.choice(r.choice(family))
        elif t[0] in "'\"":
            tokens[i] = "'%s'" % r.choice(STRINGS).replace("'", "").replace("\n", "\\n") if r.random() < 0.7 else r.choice(("1", "null", "2.5", "[1, 2]"))
        elif t[0].isdigit():
            tokens[i] = r.choice(INTS + SMALL + FLOATS) if r.random() < 0.8 else r.choice(("'a'", "[1]", "null", "none"))
        elif t in ("$", "_"):
            continue
        elif t.isidentifier() and r.random() < 0.3:
            tokens[i] = r.choice([x for x in CONTEXT if x != "__env"])
        elif r.random() < 0.1:
            del tokens[i]
            inner = [j for j, t in enumerate(tokens) if not t.isspace() and t not in "{}%<>"]
    return "".join(tokens)

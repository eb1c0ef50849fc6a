#!/usr/bin/env python3
"""Random expressions, evaluated here and by OpenStack Mistral itself, and what differs.

    expr_random.py --oracle PROGRAM [--seed N] [--count N] [--lang yaql|jinja|both] [--corpus FILE.jsonl ...] [--show N] [-v]

PROGRAM answers questions with Mistral's own evaluator: lines of JSON {"id", "lang", "expr", "context", "mode"} on its input, lines
{"id", "ok", "value" | "persisted" | "error"} on its output.  The server is the one that libpq's environment names, with the extension in
the database.  With --corpus, the expressions of these files are asked as well, changed at random.  The seed decides everything.

Values and whether it is an error are compared, texts of errors are not.  What differs is printed by cause: what Mistral raised, what we
raised, the outermost function.  Exit status 0 when nothing differs.
"""
import argparse
import collections
import json
import math
import os
import random
import re
import subprocess
import sys

import psycopg2

from expr_grammar import CONTEXT, Jinja, Topics, Yaql, mutate

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.I)
EVALUATE = """
CREATE FUNCTION pg_temp.outcome(expression text, context jsonb, language text) RETURNS text[] LANGUAGE plpgsql AS $$
BEGIN
    RETURN ARRAY[mistral.evaluate(expression, context, language)::text];
EXCEPTION WHEN OTHERS THEN
    RETURN ARRAY[NULL, SQLSTATE, SQLERRM];
END $$;
CREATE FUNCTION pg_temp.valid(expression text) RETURNS text[] LANGUAGE plpgsql AS $$
BEGIN
    RETURN CASE WHEN mistral.validate_expression(expression) IS NULL THEN ARRAY['true'] ELSE ARRAY[NULL, 'MS010', mistral.validate_expression(expression)] END;
END $$;
SET statement_timeout = '20s';
"""


def questions(args):
    r = random.Random(args.seed)
    languages = [l for l in ("yaql", "jinja") if args.lang in (l, "both")]
    makers = [{"yaql": Yaql, "jinja": Jinja}[l](r.random()) for l in languages]
    topics = [Topics(r.random(), l) for l in languages]
    corpus = []
    for path in args.corpus:
        corpus += [c for c in map(json.loads, open(path, encoding="utf-8")) if isinstance(c["expr"], str) and not c.get("options")]
    corpus = [c for c in corpus if args.lang == "both" or c["lang"] == args.lang]
    contexts = [CONTEXT] + [c["context"] for c in corpus if c["context"]]
    out = []
    for i in range(args.count):
        q = {"id": i, "lang": "auto", "context": CONTEXT, "mode": "eval"}
        if corpus and r.random() < args.share:
            c = r.choice(corpus)
            q["expr"], q["mode"] = mutate(r, c["expr"]), c.get("mode", "eval")
            q["context"] = c["context"] if r.random() < 0.8 else r.choice(contexts)
            if not re.search(r"<%|{{|{%", c["expr"]) and q["mode"] != "validate":
                q["expr"] = ("<% {} %>" if c["lang"] == "yaql" else "{{{{ {} }}}}").format(q["expr"])
            if q["context"] is None:
                q["context"] = {}
        else:
            q["expr"] = r.choice(topics if r.random() < args.topics else makers).template()
        if "\0" not in q["expr"]:
            out.append(q)
    return out


def ask(program, asked):
    """The original's answers: {id: ("value", v) | ("error", cause)}."""
    half = (len(asked) + 1) // 2
    running = [subprocess.Popen(["/usr/bin/python3", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                cwd="/", env=dict(os.environ, PYTHONHASHSEED="0", PYTHONIOENCODING="utf-8:backslashreplace")) for _ in range(2)]
    import threading
    texts = [None, None]

    def talk(i):
        texts[i] = running[i].communicate("".join(json.dumps(q) + "\n" for q in asked[i * half:(i + 1) * half]))[0]
    threads = [threading.Thread(target=talk, args=(i,)) for i in (0, 1)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    answers = {}
    for line in filter(None, "".join(texts).split("\n")):
        a = json.loads(line)
        if not a["ok"]:
            answers[a["id"]] = ("error", a.get("cause") or a["error"], a["error"])
        elif a.get("nonjson") and "persisted" not in a:
            answers[a["id"]] = ("error", "not storable: " + a["type"], "")
        else:
            answers[a["id"]] = ("value", a["persisted"] if a.get("nonjson") else a["value"], a["type"])
    return answers


def same(x, y, unordered=False):
    if isinstance(x, bool) or isinstance(y, bool):
        return x is y
    if isinstance(x, (int, float)) and isinstance(y, (int, float)):
        return x == y or math.isclose(x, y, rel_tol=1e-12)
    if type(x) is not type(y):
        return False
    if isinstance(x, dict):
        return x.keys() == y.keys() and all(same(x[k], y[k], unordered) for k in x)
    if isinstance(x, list):
        if len(x) != len(y):
            return False
        if not unordered:
            return all(same(v, w) for v, w in zip(x, y))
        rest = list(y)
        for v in x:
            i = next((i for i, w in enumerate(rest) if same(v, w, True)), None)
            if i is None:
                return False
            del rest[i]
        return True
    if isinstance(x, str) and x != y:
        if unordered and sorted(x) == sorted(y):
            return True
        return UUID.sub("", x) == UUID.sub("", y)
    return x == y


# The order of sets is an accident of the original's.
SETS = re.compile(r"\bset\(|toSet|\bkeys\(|\bitems\(|characters\(|union|intersect|ifference")


# What stays different, and why: docs/differences.md.  (What it is, in the question, in the original's answer, in ours.)
LISTED = [
    ("an address in memory", None, r" at 0x[0-9a-f]+>", None),
    ("json_pp() of YAQL's own context", r"json_pp\(", r"Circular reference", None),
    ("format() of texts, gone in the newest version", r"\bformat\(", None, r'no (function|method) .*"format"'),
    ("an object that is no value", None, r"<.* object( at .*)?>|<built-in|<bound|<function|<class|not storable", r"no value that can be kept"),
]


def listed(q, theirs, ours):
    for name, *patterns in LISTED:
        texts = q["expr"], json.dumps(theirs[1]), " ".join(filter(None, ours))
        if all(p is None or re.search(p, t, re.S) for p, t in zip(patterns, texts)):
            return name
    return None


def cause(q, theirs, ours):
    t = re.sub(r"'[^']*'|\"[^\"]*\"|\d+", "_", theirs[1])[:70] if theirs[0] == "error" else "value"
    o = "%s %s" % (ours[1], re.sub(r".*?\": ", "", ours[2], count=1)) if ours[0] is None else "value"
    return t, re.sub(r"\d+|'[^']*'|\"[^\"]*\"", "_", o)[:90]


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--oracle", required=True)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--count", type=int, default=10000)
    ap.add_argument("--lang", default="both", choices=["yaql", "jinja", "both"])
    ap.add_argument("--corpus", nargs="*", default=[])
    ap.add_argument("--share", type=float, default=0.5, help="of the questions that come from the corpus")
    ap.add_argument("--topics", type=float, default=0.4, help="of the others, about times, patterns, Unicode and the like")
    ap.add_argument("--show", type=int, default=4, help="examples of each cause")
    args = ap.parse_args()
    sys.stdout.reconfigure(errors="backslashreplace")
    asked = questions(args)
    theirs = ask(args.oracle, asked)
    db = psycopg2.connect("")
    db.autocommit = True
    cursor = db.cursor()
    cursor.execute("CREATE EXTENSION IF NOT EXISTS mistral")
    cursor.execute(EVALUATE)
    causes, counts = collections.defaultdict(list), collections.Counter()
    for q in asked:
        t = theirs.get(q["id"])
        if t is None or t[0] == "error" and ("OracleTimeout" in t[2] or "MemoryError" in t[1] or "MemoryError" in t[2] or "NeedsDB" in t[1]):
            counts["left out"] += 1
            continue
        if q["mode"] == "validate":
            cursor.execute("SELECT pg_temp.valid(%s)", (q["expr"],))
        else:
            cursor.execute("SELECT pg_temp.outcome(%s, %s, NULL)", (q["expr"], json.dumps(q["context"])))
        o = cursor.fetchone()[0]
        o = [None if len(o) > 1 else o[0]] + o[1:]
        if o == [None]:
            o = ["null"]
        if t[0] == "error":
            agrees = o[0] is None and not o[1].startswith("XX")
        else:
            agrees = o[0] is not None and (same(t[1], json.loads(o[0])) or
                                           (t[2] in ("set", "frozenset") or SETS.search(q["expr"]) is not None) and same(t[1], json.loads(o[0]), True))
        if not agrees and listed(q, t, o):
            counts["listed: " + listed(q, t, o)] += 1
            continue
        counts["agree" if agrees else "differ"] += 1
        counts["errors in both" if agrees and t[0] == "error" else "values in both" if agrees else "-"] += 1
        if not agrees:
            causes[cause(q, t, o)].append((q, t, o))
    for key, found in sorted(causes.items(), key=lambda c: -len(c[1])):
        print("\n== %d: original: %s | here: %s" % (len(found), *key))
        for q, t, o in found[:args.show]:
            print("   %s%s\n      original: %s\n      here:     %s" % (
                q["expr"].replace("\n", "\\n"), "" if q["context"] is CONTEXT else "   in " + json.dumps(q["context"])[:160],
                json.dumps(t[1], ensure_ascii=False)[:200], (o[0] or " ".join(o[1:]))[:300].replace("\n", "\\n")))
    for name, n in sorted(counts.items()):
        if name.startswith("listed"):
            print("%s: %d" % (name, n))
    print("\nseed %d: %d compared, %d agree (%d values, %d errors), %d differ, %d left out" % (
        args.seed, counts["agree"] + counts["differ"], counts["agree"], counts["values in both"], counts["errors in both"],
        counts["differ"], counts["left out"]))
    return 1 if counts["differ"] else 0


if __name__ == "__main__":
    sys.exit(main())

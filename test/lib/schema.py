#!/usr/bin/env python3
"""Holds docs/mistral.schema.json to what the check of definitions says, as TAP.

    schema.py             needs a server with the extension (libpq's environment), as a superuser
    schema.py --update    writes the file from the server

The file is what mistral.json_schema() gives; every definition of the cases and of examples/ that is accepted fits it;
what is wrong with one value does not.
"""
import glob
import json
import os
import sys

import jsonschema
import psycopg2

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
FILE = os.path.join(TOP, "docs", "mistral.schema.json")
DB = "mistral_schema"

WORKFLOW = "version: '2.0'\nwf:\n  tasks:\n    t1: {action: std.noop}\n    t2:\n      %s\n"
MISTAKES = (
    "wf: {tasks: {t: {action: std.noop}}}",
    "version: '2.0'",
    "version: '2.0'\nwf: {task: {t: {action: std.noop}}}",
    "version: '2.0'\nwf: {type: revers, tasks: {t: {action: std.noop}}}",
    "version: '2.0'\nwf: {type: reverse, tasks: {t: {on-success: noop}}}",
    "version: '2.0'\nwf: {input: [a, a], tasks: {t: {action: std.noop}}}",
    "version: '2.0'\nwf: {task-defaults: {retries: 1}, tasks: {t: {action: std.noop}}}",
    "version: '3.0'\nname: wb\nworkflows: {wf: {tasks: {t: {action: std.noop}}}}",
    "version: '2.0'\nname: wb\nworkflow: {wf: {tasks: {t: {action: std.noop}}}}",
    "version: '2.0'\nname: wb\nworkflows: {a b: {tasks: {t: {action: std.noop}}}}",
    "version: '2.0'\na: {base: std.echo, inptu: [x]}",
    "version: '2.0'\nname: wb\nactions: {a: {input: [x]}}",
) + tuple(WORKFLOW % line for line in (
    "on-sucess: t1", "action: 5", "{action: a, workflow: b}", "requires: t1", "wait-before: soon", "timeout: -1",
    "join: some", "retry: {count: 1}", "retry: {count: 1, delay: 1, backoff: x}", "publish: {}", "on-success: []",
    "on-success: [t1, t1]", "on-success: [{t1: true}]", "on-success: {publish: {glob: {x: 1}}, next: t1}",
    "with-items: i of [1]", "pause-before: 1", "tags: a", "description: ''"))


def sql(db, query, *args):
    with db.cursor() as c:
        c.execute(query, args)
        return c.fetchall() if c.description else []


def read(db, text):
    return sql(db, "SELECT mistral.evaluate('<%% yaml_parse($) %%>', to_jsonb(%s::text))", text)[0][0]


def accepted():
    """(name, text) of what loads."""
    for path in sorted(glob.glob(os.path.join(TOP, "test", "conformance", "cases", "*.json"))):
        for case in json.load(open(path, encoding="utf-8")):
            if case["expected"].get("refused"):
                continue
            for d in case["definitions"]:
                lines = d["yaml"]
                yield case["name"], lines if isinstance(lines, str) else "\n".join(lines) + "\n"
    for path in sorted(glob.glob(os.path.join(TOP, "examples", "**", "*.yaml"), recursive=True)):
        yield os.path.basename(path), open(path, encoding="utf-8").read()


def main():
    admin = psycopg2.connect(dbname="postgres")
    admin.autocommit = True
    sql(admin, "DROP DATABASE IF EXISTS %s WITH (FORCE)" % DB)
    sql(admin, "CREATE DATABASE %s" % DB)
    db = psycopg2.connect(dbname=DB)
    db.autocommit = True
    sql(db, "CREATE EXTENSION mistral")
    text = sql(db, "SELECT jsonb_pretty(mistral.json_schema())")[0][0] + "\n"
    if "--update" in sys.argv:
        open(FILE, "w", encoding="utf-8").write(text)
    schema = json.loads(text)
    jsonschema.Draft7Validator.check_schema(schema)
    validator = jsonschema.Draft7Validator(schema)
    results = [("docs/mistral.schema.json is what the server gives (schema.py --update)",
                open(FILE, encoding="utf-8").read() == text, [])]
    wrong, n = [], 0
    for name, definition in accepted():
        n += 1
        wrong += ["%s: %s" % (name, e.message[:200]) for e in validator.iter_errors(read(db, definition))]
    results.append(("%d accepted definitions fit the schema" % n, n > 0 and not wrong, wrong[:20]))
    for definition in MISTAKES:
        fits = validator.is_valid(read(db, definition))
        valid = not sql(db, "SELECT 1 FROM mistral.validate(%s) LIMIT 1", definition)
        results.append(("a mistake for both: %s" % definition.replace("\n", "|")[-60:], not fits and not valid,
                        ["validate accepts it" if valid else "the schema accepts it"]))
    db.close()
    sql(admin, "DROP DATABASE IF EXISTS %s WITH (FORCE)" % DB)
    print("1..%d" % len(results))
    for i, (what, ok, said) in enumerate(results, 1):
        print("%s %d - %s" % ("ok" if ok else "not ok", i, what))
        for line in [] if ok else said:
            print("#   %s" % line)
    return not all(ok for _, ok, _ in results)


sys.exit(main())

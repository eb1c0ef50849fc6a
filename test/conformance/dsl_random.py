#!/usr/bin/python3
"""Compares what is accepted with OpenStack Mistral, on definitions that chance has changed.

    dsl_random.py [--seed N] [--count N] [--show] [DIR_OR_FILE ...]

The definitions of cases/*.json, and of the case files given, are changed in one to three places: keys, values, types, structure,
or characters and lines of the text. Each result is asked of mistral.lang.parser (python3-mistral, in this Python) and of
mistral.validate; the same seed gives the same definitions. A difference prints the definition (with --show all of it) and both
answers, and counts as a failure unless KNOWN has a reason for it, as docs/differences.md and docs/language.md do.

Needs a server with the extension (libpq's environment), as a superuser.
"""
import argparse
import collections
import copy
import datetime
import glob
import json
import logging
import os
import random
import re
import sys
import warnings

import psycopg2
import yaml

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)
from mistral.lang import parser                  # noqa: E402
from mistral.utils import safe_yaml              # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
DB = "mistral_dsl_random"

# What loading refuses, and lint with it, and validate does not.
NAMES = re.compile(r"expected a name (without spaces|of 1 to \d+ characters|that does not start with)")
# Keys that Mistral 15 does not have.
NEWER = re.compile(r"on-skip|backoff|max-delay|jitter")
VALUES = (
    None, True, False, 0, 1, 2, -1, 1.0, 1.5, 2.0, "", " ", "x", "a b", "a: b", "1", "2.0", "3.0", "true", "null",
    [], {}, ["a"], ["a", "a"], [1], [None], [[]], [{}], {"a": 1}, {"a": None}, {1: 2}, {"a": 1, "b": 2}, {"a b": 1}, {"a-b": "c"},
    "<% $.x %>", "<% $.x > 1 %>", "<% $. %>", "<% %>", "<%%>", "<% $.x", "x <% $.x %>", " <% $.x %>", "<% $.x %> ", "<% $.x %>\n",
    "<% 1 %><% 2 %>", "<% 1\n %>", "{{ _.x }}", "{{ _. }}", "{{ }}", "{{ _.x", " {{ _.x }}", "{{ _.x }} ", "{{ _.x }}{{ _.y }}",
    "{% if 1 %}a{% endif %}", "{% if 1 %}{{ 1 }}{% endif %}", "{% if %}", "<% 1 %> {{ 2 }}", "{{ 1 }} <% 2 %>",
    datetime.date(2020, 1, 1), datetime.datetime(2020, 1, 1, 12, 30), 10 ** 20, "é", "\t", "x" * 256,
    "all", "one", "direct", "reverse", "fail", "succeed", "pause", "noop", "std.noop", "std.echo output=1", "std.echo output='<% $.x %>'",
    "std.echo output=<% $. %>", "fail msg=x", "fail(msg=x)", "fail(msg='x y')", "fail msg='x' more='y'", " fail", "a=b", "a b=c", "<% $.x %> a=1",
    "count=3 delay=1", "count=3", "count=-1 delay=1", "count='3' delay=1", "count=<% 1 %> delay=<% $. %>", {"count": 3, "delay": 1},
    {"count": 3}, {"count": "x", "delay": 1}, {"count": 1, "delay": 0, "break-on": "x"}, {"count": 1, "delay": 0, "continue-on": "<% 1 %>"},
    "i in <% $.x %>", "i in [1, 2]", "i in [1,]", "i of [1]", "i in {{ _.x }}", " i in [1] x", "i in <% $. %>", ["i in [1]", "j in [2]"],
    ["i in [1]", 5], {"publish": {"branch": {"a": 1}}, "next": "x"}, {"publish": {"global": {}}}, {"next": []}, {"publish": {"a": 1}},
    {"branch": {"a": 1}}, {"publish": {"branch": {"a": "<% $. %>"}}},
)
KEYS = (
    "version", "name", "description", "tags", "type", "input", "output", "output-on-error", "vars", "task-defaults", "tasks", "workflows",
    "actions", "base", "base-input", "action", "workflow", "with-items", "publish", "publish-on-error", "retry", "wait-before", "wait-after",
    "timeout", "pause-before", "concurrency", "fail-on", "target", "keep-result", "safe-rerun", "join", "on-success", "on-error",
    "on-complete", "requires", "next", "branch", "global", "atomic", "count", "delay", "break-on", "continue-on", "fail", "noop",
    "t", "x", "a b", "onsuccess", "on_success", "", 1, True, None, datetime.date(2020, 1, 1), "<% $.x %>", "fail msg='x'", "fail(msg=x)",
    "6d1f7d5a-1b3e-4c71-8c53-0f4a8d2f9d11",
)


def places(node, found=None):
    """Every (container, key or index) of a document."""
    found = [] if found is None else found
    if isinstance(node, dict):
        for k, v in node.items():
            found.append((node, k))
            places(v, found)
    elif isinstance(node, list):
        for i, v in enumerate(node):
            found.append((node, i))
            places(v, found)
    return found


def rename(dictionary, old, new):
    items = [(new if k is old or k == old and type(k) is type(old) else k, v) for k, v in dictionary.items()]
    dictionary.clear()
    dictionary.update(items)


def change_text(r, text):
    if not text:
        return "x"
    i = r.randrange(len(text))
    return r.choice((text[:i] + text[i + 1:], text[:i] + r.choice(" \t\n.<%>{}=()[]'\"-_:,&*@#|x1é") + text[i:], text + r.choice((" ", "\n", "%>")),
                     text[:i] + text[i:i + 2][::-1] + text[i + 2:]))


def change(r, document):
    """One change of a tree, in place."""
    found = places(document)
    if not found:
        return
    holder, key = r.choice(found)
    value = holder[key]
    what = r.randrange(9)
    if what == 0:
        holder[key] = copy.deepcopy(r.choice(VALUES))
    elif what == 1:
        del holder[key]
    elif what == 2 and isinstance(holder, dict):
        rename(holder, key, r.choice(KEYS))
    elif what == 3 and isinstance(holder, dict):
        rename(holder, key, change_text(r, str(key)))
    elif what == 4 and isinstance(value, str):
        holder[key] = change_text(r, value)
    elif what == 5:
        holder[key] = r.choice((lambda v: [v], lambda v: {"a": v}, lambda v: [v, copy.deepcopy(v)], lambda v: str(v), lambda v: {"next": v}))(value)
    elif what == 6:
        other, other_key = r.choice(found)
        holder[key] = copy.deepcopy(other[other_key])
    elif what == 7 and isinstance(value, dict):
        value[r.choice(KEYS)] = copy.deepcopy(r.choice(VALUES))
    elif what == 8 and isinstance(value, list):
        value.insert(r.randrange(len(value) + 1), copy.deepcopy(r.choice(VALUES)))
    else:
        holder[key] = copy.deepcopy(r.choice(VALUES))


def change_lines(r, text):
    lines = text.split("\n")
    i = r.randrange(len(lines))
    what = r.randrange(5)
    if what == 0:
        del lines[i]
    elif what == 1:
        lines.insert(i, lines[r.randrange(len(lines))])
    elif what == 2:
        lines[i] = " " * r.choice((1, 2, 4)) + lines[i]
    elif what == 3:
        lines[i] = lines[i][r.choice((1, 2)):]
    else:
        lines[i] = change_text(r, lines[i])
    return "\n".join(lines)


def mutant(r, kind, text):
    if r.random() < 0.25:
        for _ in range(r.choice((1, 1, 2))):
            text = change_lines(r, text)
        return text
    document = copy.deepcopy(safe_yaml.load(text))
    for _ in range(r.choice((1, 1, 1, 2, 3))):
        change(r, document)
    return yaml.dump(document, Dumper=yaml.SafeDumper, default_flow_style=r.random() < 0.2, sort_keys=False, allow_unicode=True, width=r.choice((40, 200)))


PARSE = {"workflow": parser.get_workflow_list_spec_from_yaml, "action": parser.get_action_list_spec_from_yaml,
         "workbook": parser.get_workbook_spec_from_yaml}


def original(kind, text):
    """None when the definition is accepted, else why not."""
    try:
        PARSE[kind](text, validate=True)
    except RecursionError:
        raise
    except Exception as e:
        return "%s: %s" % (type(e).__name__, str(e).replace("\n", " ")[:300])


# Differences with a reason: the reason, and a test of the text, the original's answer and ours (place, path, message).
KNOWN = (
    ("a workflow's own timeout is checked; the original ignores the key",
     lambda text, theirs, ours: theirs is None and all(re.fullmatch(r"(workflows\.)?[^.]+\.timeout", path) for _, _, path, _ in ours)),
)


def sources(paths):
    for path in sorted(glob.glob(os.path.join(HERE, "cases", "*.json"))) + paths:
        files = sorted(glob.glob(os.path.join(path, "*.json"))) if os.path.isdir(path) else [path]
        for file in files:
            cases = json.load(open(file, encoding="utf-8"))
            for case in cases if isinstance(cases, list) else [cases]:
                for d in case.get("definitions", []):
                    text = d["yaml"] if isinstance(d["yaml"], str) else "\n".join(d["yaml"]) + "\n"
                    try:
                        document = safe_yaml.load(text)
                    except yaml.YAMLError:
                        continue
                    if isinstance(document, dict) and not NEWER.search(text):
                        yield d["kind"], text


def sql(db, query, *args):
    with db.cursor() as c:
        c.execute(query, args)
        return c.fetchall() if c.description else []


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--count", type=int, default=1000)
    ap.add_argument("--show", action="store_true")
    ap.add_argument("paths", nargs="*")
    a = ap.parse_args()
    r = random.Random(a.seed)
    base = list(sources(a.paths))
    admin = psycopg2.connect(dbname="postgres")
    admin.autocommit = True
    sql(admin, "DROP DATABASE IF EXISTS %s WITH (FORCE)" % DB)
    sql(admin, "CREATE DATABASE %s" % DB)
    db = psycopg2.connect(dbname=DB)
    db.autocommit = True
    sql(db, "CREATE EXTENSION mistral")
    score = collections.Counter()
    for n in range(a.count):
        kind, text = r.choice(base)
        try:
            text = mutant(r, kind, text)
        except (yaml.YAMLError, RecursionError):
            continue
        if "\0" in text or NEWER.search(text):
            continue
        theirs = original(kind, text)
        linted = [p for p in sql(db, "SELECT line, col, path, message FROM mistral.lint(%s, %s) WHERE severity = 'error'", text, kind)
                  if not NAMES.match(p[3])]
        ours = sql(db, "SELECT line, col, path, message FROM mistral.validate(%s, %s)", text, kind)
        if linted != ours:
            score["DIFFERENT"] += 1
            print("---- %d.%d %s: lint finds other errors than validate\n%s" % (a.seed, n, kind, text), flush=True)
        score["accepted" if theirs is None else "refused"] += 1
        if (theirs is None) == (not ours):
            continue
        reason = next((why for why, test in KNOWN if test(text, theirs, ours)), None)
        score[reason or "DIFFERENT"] += 1
        if reason is None or a.show:
            print("---- %d.%d %s: %s\n%s\noriginal: %s\nours: %s" % (
                a.seed, n, kind, reason or "DIFFERENT", text if a.show else text[:1500], theirs or "accepted", ours[0] if ours else "accepted"), flush=True)
    db.close()
    sql(admin, "DROP DATABASE IF EXISTS %s WITH (FORCE)" % DB)
    print(", ".join("%s: %d" % i for i in sorted(score.items())))
    return 1 if score["DIFFERENT"] else 0


if __name__ == "__main__":
    sys.exit(main())

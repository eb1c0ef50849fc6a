#!/usr/bin/env python3
"""Runs the examples of the documentation, as TAP: yaml blocks that a `run` block follows.

Lint has nothing against any of them. What a line of a run block means (docs/language.md explains it to its readers):

    NAME [INPUT] [params PARAMS]     starts the workflow
    → STATE [OUTPUT]                 waits for the execution's state, and compares its output
    → tasks NAME STATE, ...          compares all tasks of the execution, in their order
    → refused: TEXT                  the definition is refused with a message that holds the text
    env NAME VARIABLES               sets an environment
    pause | resume [ENV] | cancel    the execution that was started last
    complete | fail TASK [RESULT]    its task's running action
    rerun | skip TASK                its task

Needs a server with the extension preloaded (libpq's environment), as a superuser.
"""
import glob
import json
import os
import re
import sys
import time

import psycopg2

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
DB = "mistral_examples"
SECONDS = 30
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)


def sql(db, query, *args):
    with db.cursor() as c:
        c.execute(query, args)
        return c.fetchall() if c.description else []


def until(what, test):
    end = time.time() + SECONDS
    while True:
        found = test()
        if found:
            return found
        if time.time() > end:
            raise AssertionError("not within %d s: %s" % (SECONDS, what))
        time.sleep(0.01)


def values(text):
    """The JSON values that stand one after the other in a text, and `params` before the second."""
    found = []
    text = text.strip()
    while text:
        text = re.sub(r"^params\s+", "", text)
        value, end = json.JSONDecoder().raw_decode(text)
        found.append(value)
        text = text[end:].strip()
    return found


def load(db, text):
    if re.search(r"^(workflows|actions):", text, re.M):
        function = "load_workbook"
    elif re.search(r"^  base:", text, re.M):
        function = "load_action"
    else:
        function = "load_workflow"
    sql(db, "SELECT mistral.%s(%%s)" % function, text)


class Example:
    def __init__(self, db):
        self.db = db
        self.id = None

    def task_id(self, name):
        return until("task %s" % name, lambda: sql(
            self.db, "SELECT id FROM mistral.tasks WHERE execution_id = %s AND name = %s ORDER BY ordinal DESC LIMIT 1",
            self.id, name))[0][0]

    def action_id(self, task):
        return until("a running action of %s" % task, lambda: sql(
            self.db, """SELECT a.id FROM mistral.action_executions a JOIN mistral.tasks t ON t.id = a.task_id
                         WHERE t.execution_id = %s AND t.name = %s AND a.state = 'RUNNING'
                         ORDER BY a.created_at, a.id LIMIT 1""", self.id, task))[0][0]

    def start(self, name, rest):
        given = [json.dumps(v) for v in values(rest)] + ["{}", "{}"]
        self.id = sql(self.db, "SELECT mistral.start_workflow(%s, %s, %s)", name, given[0], given[1])[0][0]

    def expect_state(self, state, rest):
        def look():
            return sql(self.db, "SELECT state_info, output FROM mistral.executions WHERE id = %s AND state = %s", self.id, state)
        try:
            info, output = until("%s" % state, look)[0]
        except AssertionError as e:
            raise AssertionError("%s, it is %s" % (e, sql(
                self.db, "SELECT state, state_info FROM mistral.executions WHERE id = %s", self.id)))
        for wanted in values(rest):
            if output != wanted:
                raise AssertionError("output %s (%s), not %s" % (json.dumps(output), info, json.dumps(wanted)))

    def expect_tasks(self, rest):
        wanted = [tuple(t.strip().rsplit(" ", 1)) for t in rest.split(",")]

        def look():
            found = sql(self.db, "SELECT name, state FROM mistral.tasks WHERE execution_id = %s ORDER BY ordinal", self.id)
            self.found = found
            return found == wanted
        try:
            until("these tasks", look)
        except AssertionError:
            raise AssertionError("tasks %s, not %s" % (self.found, wanted))

    def line(self, line):
        word, _, rest = line.partition(" ")
        if word == "→":
            what, _, more = rest.partition(" ")
            if what == "tasks":
                self.expect_tasks(more)
            else:
                self.expect_state(what, more)
        elif word == "env":
            name, _, variables = rest.partition(" ")
            sql(self.db, "SELECT mistral.set_environment(%s, %s)", name, variables)
        elif word == "pause":
            sql(self.db, "SELECT mistral.pause_workflow(%s)", self.id)
        elif word == "resume":
            sql(self.db, "SELECT mistral.resume_workflow(%s, %s)", self.id, rest or None)
        elif word == "cancel":
            sql(self.db, "SELECT mistral.cancel_workflow(%s)", self.id)
        elif word in ("complete", "fail"):
            task, _, result = rest.partition(" ")
            sql(self.db, "SELECT mistral.%s_action(%%s, %%s)" % word, self.action_id(task), result or "null")
        elif word == "rerun":
            sql(self.db, "SELECT mistral.rerun_task(%s)", self.task_id(rest))
        elif word == "skip":
            sql(self.db, "SELECT mistral.skip_task(%s)", self.task_id(rest))
        else:
            self.start(word, rest)


def run(db, definitions, block):
    refused = re.search(r"^→ refused: (.*)$", block, re.M)
    try:
        for text in definitions:
            load(db, text)
    except psycopg2.Error as e:
        said = "%s %s %s" % (e.diag.message_primary, e.diag.message_detail, e.diag.message_hint)
        if refused and refused.group(1).strip() in said:
            return
        raise
    if refused:
        raise AssertionError("it is not refused")
    for text in definitions:
        for found in sql(db, "SELECT line, message FROM mistral.lint(%s) WHERE severity <> 'info'", text):
            raise AssertionError("lint, line %d: %s" % found)
    example = Example(db)
    for line in block.split("\n"):
        if line.strip() and not line.startswith("#"):
            example.line(line.strip())


def examples(path):
    """(line number, definitions, run block) of a page."""
    text = open(path, encoding="utf-8").read()
    definitions = []
    for m in BLOCK.finditer(text):
        if m.group(1) == "yaml":
            definitions.append(m.group(2))
        elif m.group(1) == "run":
            yield text.count("\n", 0, m.start()) + 1, definitions, m.group(2)
            definitions = []
        else:
            definitions = []


def main():
    pages = sys.argv[1:] or sorted(glob.glob(os.path.join(TOP, "docs", "*.md")))
    found = [(p, *e) for p in pages for e in examples(p)]
    admin = psycopg2.connect(dbname="postgres")
    admin.autocommit = True
    sql(admin, "DROP DATABASE IF EXISTS %s WITH (FORCE)" % DB)
    sql(admin, "CREATE DATABASE %s" % DB)
    db = psycopg2.connect(dbname=DB)
    db.autocommit = True
    sql(db, "CREATE EXTENSION mistral")
    bad = 0
    print("1..%d" % max(len(found), 1), flush=True)
    if not found:
        print("not ok 1 - the documentation has examples")
        bad = 1
    for n, (page, line, definitions, block) in enumerate(found):
        said = None
        try:
            run(db, definitions, block)
        except (AssertionError, psycopg2.Error, ValueError) as e:
            said = str(e)
        print("%s %d - %s:%d: %s" % ("not ok" if said else "ok", n + 1, os.path.relpath(page, TOP), line,
                                     block.strip().split("\n")[0][:60]), flush=True)
        if said:
            print("".join("#   %s\n" % part for part in said.strip().split("\n")), end="", flush=True)
            bad = 1
    db.close()
    sql(admin, "DROP DATABASE IF EXISTS %s WITH (FORCE)" % DB)
    return bad


sys.exit(main())

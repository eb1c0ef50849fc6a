#!/usr/bin/env python3
"""Runs the cases of cases/*.json against a server with the extension, and prints TAP.

    run.py [--show] [FILE.json ...]       --show prints what came out

A file holds a list of cases:

    {"name": "what it shows",
     "definitions": [{"kind": "workflow", "yaml": ["line", "line"]}],
     "environments": [{"name": "e", "variables": {}}],                    optional
     "start": {"workflow": "wf", "input": {}, "params": {}},
     "steps": [{"wait": "RUNNING", "task": "t"},                          optional
               {"complete": "t", "result": 1}, {"fail": "t", "error": 1}, {"cancel": "t"},
               {"pause": true}, {"resume": true}, {"stop": "CANCELLED"}, {"rerun": "t", "reset": true}],
     "expected": {"state": "SUCCESS", "output": {}, "tasks": [["name", "SUCCESS", {"published": 1}]]}
              or {"refused": true}}

What is expected was recorded from OpenStack Mistral 15 (record.py).  Compared are the final state, the
output, and every task's name, state and published variables.  The text of an error is not compared
(the key "result" of a failed workflow's output).  A case that ends with something still open (an action
that nobody completes) expects the state RUNNING.
"""
import glob
import json
import os
import sys
import time

import psycopg2

HERE = os.path.dirname(os.path.abspath(__file__))
DB = "mistral_cases"
OPEN = ("RUNNING", "PAUSED", "IDLE")
SECONDS = 30


def connect(name):
    db = psycopg2.connect(dbname=name)
    db.autocommit = True
    return db


def sql(db, query, *args):
    with db.cursor() as c:
        c.execute(query, args)
        return c.fetchall() if c.description else []


def until(what, seconds, test):
    end = time.time() + seconds
    while not test():
        if time.time() > end:
            raise AssertionError("not within %d s: %s" % (seconds, what))
        time.sleep(0.01)


def action_of(db, execution, task):
    found = []

    def look():
        found[:] = sql(db, """SELECT a.id FROM mistral.action_executions a JOIN mistral.tasks t ON t.id = a.task_id
                              WHERE t.root_execution_id = %s AND t.name = %s AND a.state = 'RUNNING'
                              ORDER BY a.created_at, a.id LIMIT 1""", execution, task)
        return found
    until("a running action of %s" % task, SECONDS, look)
    return found[0][0]


def do_step(db, e, step):
    if "wait" in step and "task" in step:
        until(json.dumps(step), SECONDS, lambda: sql(db, """SELECT 1 FROM mistral.tasks WHERE root_execution_id = %s
                                                            AND name = %s AND state = %s""", e, step["task"], step["wait"]))
    elif "wait" in step:
        until(json.dumps(step), SECONDS, lambda: sql(db, "SELECT 1 FROM mistral.executions WHERE id = %s AND state = %s",
                                                     e, step["wait"]))
    elif "complete" in step:
        sql(db, "SELECT mistral.complete_action(%s, %s)", action_of(db, e, step["complete"]), json.dumps(step.get("result")))
    elif "fail" in step:
        sql(db, "SELECT mistral.fail_action(%s, %s)", action_of(db, e, step["fail"]), json.dumps(step.get("error")))
    elif "cancel" in step:
        sql(db, "SELECT mistral.cancel_action(%s)", action_of(db, e, step["cancel"]))
    elif "pause" in step:
        sql(db, "SELECT mistral.pause_workflow(%s)", e)
    elif "resume" in step:
        sql(db, "SELECT mistral.resume_workflow(%s)", e)
    elif "stop" in step:
        sql(db, "SELECT mistral.stop_workflow(%s, %s, 'stopped')", e, step["stop"])
    elif "rerun" in step:
        sql(db, "SELECT mistral.rerun_task(id, %s) FROM mistral.tasks WHERE root_execution_id = %s AND name = %s ORDER BY ordinal DESC LIMIT 1",
            step.get("reset", True), e, step["rerun"])
    else:
        raise AssertionError("unknown step %s" % json.dumps(step))


def picture(db, e):
    state, output = sql(db, "SELECT state, output FROM mistral.executions WHERE id = %s", e)[0]
    tasks = sql(db, "SELECT name, state, published FROM mistral.tasks WHERE execution_id = %s", e)
    return {"state": state, "output": cut(state, output), "tasks": order([n, s, p or {}] for n, s, p in tasks)}


def cut(state, output):
    output = dict(output or {})
    if state in ("ERROR", "CANCELLED"):
        output.pop("result", None)
    return output


def order(tasks):
    return sorted(tasks, key=lambda t: json.dumps(t, sort_keys=True))


def run(db, case):
    """Gives what is wrong, as a list of lines, and what came out."""
    want = case["expected"]
    try:
        for env in case.get("environments", []):
            sql(db, "SELECT mistral.set_environment(%s, %s)", env["name"], json.dumps(env["variables"]))
        for d in case["definitions"]:
            sql(db, "SELECT mistral.load_%s(%%s)" % d["kind"], text(d))
        start = case["start"]
        e = sql(db, "SELECT mistral.start_workflow(%s, %s, %s)", start["workflow"], json.dumps(start.get("input", {})),
                json.dumps(start.get("params", {})))[0][0]
    except psycopg2.Error as x:
        if want.get("refused") and x.pgcode and x.pgcode.startswith(("MS", "22")):
            return [], None
        return ["%s %s" % (x.pgcode, str(x).strip())], None
    if want.get("refused"):
        return ["was started, and should have been refused"], None
    for step in case.get("steps", []):
        do_step(db, e, step)
    if want["state"] not in OPEN:
        sql(db, "SELECT mistral.wait_workflow(%s, %s)", e, "%d s" % SECONDS)
    # An open one has to reach the picture, and to keep it; what came after the end may still be on its way.
    try:
        until("the expected picture", 5, lambda: not differences(want, picture(db, e)))
        if want["state"] in OPEN:
            time.sleep(0.5)
    except AssertionError:
        pass
    got = picture(db, e)
    return differences(want, got), got


def differences(want, got):
    return ["%s: expected %s, got %s" % (k, json.dumps(w, sort_keys=True), json.dumps(got[k], sort_keys=True))
            for k, w in (("state", want["state"]), ("output", cut(want["state"], want["output"])),
                         ("tasks", order(want["tasks"]))) if w != got[k]]


def text(definition):
    lines = definition["yaml"]
    return lines if isinstance(lines, str) else "\n".join(lines) + "\n"


def fresh():
    """A new database with the extension: a connection to it, and one that may drop it."""
    admin = connect("postgres")
    sql(admin, "DROP DATABASE IF EXISTS %s WITH (FORCE)" % DB)
    sql(admin, "CREATE DATABASE %s" % DB)
    db = connect(DB)
    sql(db, "CREATE EXTENSION mistral")
    return db, admin


def finish(db, admin):
    db.close()
    sql(admin, "DROP DATABASE IF EXISTS %s WITH (FORCE)" % DB)


def main():
    paths = [a for a in sys.argv[1:] if not a.startswith("-")] or sorted(glob.glob(os.path.join(HERE, "cases", "*.json")))
    cases = []
    for p in paths:
        for c in json.load(open(p, encoding="utf-8")):
            cases.append((os.path.basename(p)[:-5], c))
    print("1..%d" % len(cases), flush=True)
    db, admin = fresh()
    bad = 0
    for i, (group, case) in enumerate(cases, 1):
        try:
            wrong, got = run(db, case)
        except (AssertionError, psycopg2.Error) as x:
            wrong, got = str(x).strip().split("\n"), None
            if db.closed:
                db = connect(DB)
        bad += bool(wrong)
        print("%s %d - %s: %s" % ("not ok" if wrong else "ok", i, group, case["name"]), flush=True)
        for line in wrong:
            print("#   %s" % line, flush=True)
        if "--show" in sys.argv:
            print("#   %s" % json.dumps(got), flush=True)
    finish(db, admin)
    return min(bad, 100)


if __name__ == "__main__":
    sys.exit(main())

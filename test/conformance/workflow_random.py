#!/usr/bin/env python3
"""Random workflows against OpenStack Mistral: what comes out has to be the same, down to each action.

    workflow_random.py make KIND FIRST COUNT > CASES.json       the cases of these seeds, as questions (see record.py); KIND is random
                                                                (workflows) or control (what is done to them)
    workflow_random.py compare CASES.json ANSWERS.json          runs the cases here, and prints what differs, as TAP
    workflow_random.py take CASES.json ANSWERS.json > FILE.json keeps cases with their answers
    workflow_random.py [FILE.json ...]                          runs what was kept (default: random/*.json), as TAP

ANSWERS.json is what a driver around Mistral's engine prints for the questions.  Compared are of every execution, also of
sub-workflows, the state, the output and the published globals, and of every task its name, type, state, published variables,
result, what follows, and each action's state, input and output.  The texts of errors are not compared: a value that holds
one stands for any other (see `hide`).
"""
import glob
import json
import os
import re
import sys
import time

import psycopg2

import record
import run
import workflow_make

HERE = os.path.dirname(os.path.abspath(__file__))
FINAL = ("SUCCESS", "ERROR", "CANCELLED")
SECONDS = 30
MESSAGE = re.compile(r"Failure caused by|The action raised an exception|[Ff]ailed to |Can't |Error|Exception|<uuid>|<time>|Cancelled tasks"
                     r"|cannot|does not|is not |must be|[Ii]nvalid input|no variable|execution_id|^action ")


# ------------------------------------------------------------------------ pictures

def hide(value):
    """The value without what cannot be the same: an error's words, identifiers."""
    if isinstance(value, str):
        return "<message>" if MESSAGE.search(value) else value
    if isinstance(value, list):
        return [hide(v) for v in value]
    if isinstance(value, dict):
        return {k: hide(v) for k, v in value.items()}
    if isinstance(value, float) and value == int(value):
        return int(value)
    return value


def compact(state, output, published_global, tasks):
    """An execution's picture: what both sides are reduced to."""
    output = dict(output or {}) if isinstance(output, dict) or not output else output
    if state in ("ERROR", "CANCELLED") and isinstance(output, dict):
        output.pop("result", None)
    picture = {"state": state, "output": hide(output)}
    # Ours shows a workflow's vars as well; what tasks publish is called g... here (workflow_make.py).
    published_global = {k: v for k, v in (published_global or {}).items() if k.startswith("g")}
    if published_global:
        picture["global"] = hide(published_global)
    picture["tasks"] = sorted(tasks, key=lambda t: json.dumps(t, sort_keys=True))
    return picture


def compact_task(name, kind, state, published, result, following, actions, subs):
    t = {"name": name, "state": state}
    if kind == "WORKFLOW":
        t["type"] = kind
    if published:
        t["published"] = hide(published)
    if state == "SUCCESS" and result is not None:
        t["result"] = hide(result)
    if following:
        t["next"] = sorted(following)
    if actions:
        t["actions"] = sorted(actions, key=lambda a: json.dumps(a, sort_keys=True))
    if subs:
        t["subs"] = subs
    return t


def compact_action(state, accepted, given, output):
    a = [state, bool(accepted), hide(given or {})]
    if state == "SUCCESS":
        a.append(hide((output or {}).get("result")))
    return a


def answered(w):
    """The picture of an answer."""
    tasks = []
    for t in w["tasks"]:
        subs = [answered(s) for s in t["sub_executions"]]
        actions = [compact_action(a["state"], a["accepted"], a["input"], a["output"]) for a in t["actions"]]
        tasks.append(compact_task(t["name"], t["type"], t["state"], t["published"], t["result"], [n[0] for n in t["next_tasks"] if n[1]], actions, subs))
    return compact(w["state"], w.get("output"), w.get("published_global"), tasks)


def expected(answer):
    if "error" in answer:
        return {"refused": True}
    return answered(answer)


def seen(db, e):
    """The picture of one of our executions."""
    state, output, published = run.sql(db, "SELECT state, output, published_global FROM mistral.executions WHERE id = %s", e)[0]
    tasks = []
    for i, name, kind, tstate, p, result, following in run.sql(
            db, "SELECT id, name, type, state, published, result, next_tasks FROM mistral.tasks WHERE execution_id = %s", e):
        subs = [seen(db, s) for (s,) in run.sql(db, "SELECT id FROM mistral.executions WHERE task_execution_id = %s ORDER BY created_at, id", i)]
        actions = [compact_action(*a) for a in run.sql(
            db, "SELECT state, accepted, input, output FROM mistral.action_executions WHERE task_id = %s", i)]
        tasks.append(compact_task(name, kind, tstate, p, result, [n[0] for n in following or [] if n[1]], actions, subs))
    return compact(state, output, published, tasks)


def differences(want, got, path=""):
    """What differs, in words that are the same for the same kind of difference after `kind`."""
    if "refused" in want or "refused" in got:
        return [] if want == got else ["%s: %s" % (path or "start", "should have been refused" if "refused" in want else got.get("why", "refused"))]
    out = []
    for k in ("state", "output", "global"):
        if want.get(k) != got.get(k):
            out.append("%s: %s: expected %s, got %s" % (path or "workflow", k, short(want.get(k)), short(got.get(k))))
    names = lambda p: sorted(t["name"] for t in p["tasks"])
    if names(want) != names(got):
        return out + ["%s: tasks: expected %s, got %s" % (path or "workflow", names(want), names(got))]
    for w, g in zip(sorted(want["tasks"], key=rank), sorted(got["tasks"], key=rank)):
        where = "%s/%s" % (path, w["name"])
        for k in ("type", "state", "published", "result", "next", "actions"):
            if w.get(k) != g.get(k):
                out.append("%s: %s: expected %s, got %s" % (where, k, short(w.get(k)), short(g.get(k))))
        ws, gs = w.get("subs", []), g.get("subs", [])
        if len(ws) != len(gs):
            out.append("%s: subs: expected %d, got %d" % (where, len(ws), len(gs)))
        for i, (a, b) in enumerate(zip(ws, gs)):
            out += differences(a, b, "%s[%d]" % (where, i))
    return out


def rank(t):
    return (t["name"], t["state"], json.dumps(t.get("published", {}), sort_keys=True), json.dumps(t, sort_keys=True))


def short(value):
    return json.dumps(value, sort_keys=True, ensure_ascii=False)[:300]


# ------------------------------------------------------------------------ running

def still(db, e):
    """Nothing of the tree can move by itself: no message, no timer, no finished parent to be told."""
    return not run.sql(db, "SELECT 1 FROM mistral.message WHERE root_id = %s UNION ALL SELECT 1 FROM mistral.timer WHERE root_id = %s LIMIT 1", e, e)


def play(db, case):
    """Runs a case; its picture."""
    try:
        for env in case.get("environments", []):
            run.sql(db, "SELECT mistral.set_environment(%s, %s)", env["name"], json.dumps(env["variables"]))
        for d in case["definitions"]:
            run.sql(db, "SELECT mistral.load_%s(%%s)" % d["kind"], run.text(d))
        start = case["start"]
        e = run.sql(db, "SELECT mistral.start_workflow(%s, %s, %s)", start["workflow"], json.dumps(start.get("input", {})),
                    json.dumps(start.get("params", {})))[0][0]
    except psycopg2.Error as x:
        if x.pgcode and x.pgcode.startswith(("MS", "22")):
            return {"refused": True, "why": "%s %s" % (x.pgcode, str(x).strip().split("\n")[0])}
        raise
    for step in case.get("steps", []):
        if "rest" in step:
            run.until("rest", SECONDS, lambda: still(db, e))
        elif applies(db, e, step):
            run.do_step(db, e, step)
    run.until("rest", SECONDS, lambda: still(db, e))
    return seen(db, e)


def applies(db, e, step):
    """Whether the state allows the step: the driver leaves it out where it does not, too."""
    root = run.sql(db, "SELECT state FROM mistral.executions WHERE id = %s", e)[0][0]
    if "pause" in step:
        return root == "RUNNING"
    if "resume" in step:
        return root == "PAUSED"
    if "stop" in step:
        return root == "RUNNING" or root == "PAUSED" and step["stop"] == "CANCELLED"
    if "rerun" in step:
        last = run.sql(db, "SELECT state FROM mistral.tasks WHERE execution_id = %s AND name = %s ORDER BY ordinal DESC LIMIT 1", e, step["rerun"])
        return root == "ERROR" and bool(last) and last[0][0] == "ERROR"
    name = step.get("complete") or step.get("fail") or step.get("cancel")
    return bool(run.sql(db, """SELECT 1 FROM mistral.action_executions a JOIN mistral.tasks t ON t.id = a.task_id
                               WHERE t.root_execution_id = %s AND t.name = %s AND a.state = 'RUNNING'""", e, name))


def clean(db):
    run.sql(db, """SELECT mistral.stop_workflow(id, 'CANCELLED') FROM mistral.executions WHERE task_execution_id IS NULL
                   AND state NOT IN ('SUCCESS', 'ERROR', 'CANCELLED')""")
    run.sql(db, "SELECT mistral.delete_execution(id) FROM mistral.executions WHERE task_execution_id IS NULL")
    run.sql(db, "SELECT mistral.delete_workbook(name) FROM mistral.workbooks")
    run.sql(db, "SELECT mistral.delete_workflow(name) FROM mistral.workflows")
    run.sql(db, "SELECT mistral.delete_action(name) FROM mistral.actions WHERE definition IS NOT NULL")
    run.sql(db, "SELECT mistral.delete_environment(name) FROM mistral.environments")


def tap(cases):
    """Runs cases that carry what is expected."""
    print("1..%d" % len(cases) if cases else "1..0 # SKIP no cases", flush=True)
    db, admin = run.fresh()
    bad = 0
    for i, case in enumerate(cases, 1):
        try:
            wrong = differences(case["expected"], play(db, case))
            clean(db)
        except (AssertionError, psycopg2.Error) as x:
            wrong = str(x).strip().split("\n")
            if db.closed:
                db = run.connect(run.DB)
        bad += bool(wrong)
        print("%s %d - %s" % ("not ok" if wrong else "ok", i, case["name"]), flush=True)
        for line in wrong[:8]:
            print("#   %s" % line, flush=True)
    run.finish(db, admin)
    return min(bad, 100)


def with_answers(cases, answers):
    """The cases whose answer is one: the others did not come to an end, or their steps did not fit."""
    out = []
    for case, answer in zip(cases, answers):
        if answer["name"] != case["name"]:
            sys.exit("the answers are not those of the cases: %s, %s" % (answer["name"], case["name"]))
        # A random workflow that has not come to an end was not given the time to.
        unfinished = case["name"].startswith("random") and answer.get("idle")
        if not unfinished and not any(answer.get(k) for k in ("oracle_failure", "timed_out", "step_error")):
            out.append(dict(case, expected=expected(answer)))
    return out


def read(path):
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def main():
    args = sys.argv[1:]
    if args[:1] == ["make"]:
        first, count = int(args[2]), int(args[3])
        json.dump([record.question(workflow_make.make("%s %d" % (args[1], s))) for s in range(first, first + count)], sys.stdout, indent=1)
        return 0
    if args[:1] in (["compare"], ["take"]):
        cases = [workflow_make.make(q["name"]) for q in read(args[1])]
        cases = with_answers(cases, read(args[2]))
        if args[0] == "compare":
            return tap(cases)
        sys.stdout.write("[\n" + ",\n".join(json.dumps(c, ensure_ascii=False) for c in cases) + "\n]\n")
        return 0
    return tap([c for p in args or sorted(glob.glob(os.path.join(HERE, "random", "*.json"))) for c in read(p)])


if __name__ == "__main__":
    sys.exit(main())

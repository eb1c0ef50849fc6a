#!/usr/bin/env python3
"""Writes what OpenStack Mistral answers into a file of cases.

    record.py ask FILE.json > QUESTIONS.json        the cases as a list of questions, one for each case, in order
    record.py take FILE.json < ANSWERS.json         puts the answers into FILE.json as "expected"

A question holds name, definitions, environments, start and steps (complete_action, pause, resume, stop, wait).
An answer holds name, state, output and tasks (name, state, published), or "error" where the definition or the
start was refused; it is what a driver around Mistral's engine prints that runs each question in a fresh database.
"""
import json
import sys

import run


def question(case):
    q = {k: case[k] for k in ("name", "environments", "start") if k in case}
    q["definitions"] = [{"kind": d["kind"], "yaml": run.text(d)} for d in case["definitions"]]
    q["steps"] = []
    for s in case.get("steps", []):
        if "complete" in s:
            s = {"complete_action": {"task": s["complete"], "result": s.get("result")}}
        elif "fail" in s:
            s = {"complete_action": {"task": s["fail"], "error": s.get("error")}}
        elif "cancel" in s:
            s = {"complete_action": {"task": s["cancel"], "cancel": True}}
        elif "rerun" in s:
            s = {"rerun": {"task": s["rerun"], "reset": s.get("reset", True)}}
        elif "rest" in s:
            s = {"wait_idle": True}
        elif "stop" in s:
            s = {"stop": {"state": s["stop"], "message": "stopped"}}
        q["steps"].append(s)
    return q


def expected(answer):
    if "error" in answer:
        return {"refused": True}
    return {"state": answer["state"], "output": run.cut(answer["state"], answer.get("output")),
            "tasks": [[t["name"], t["state"], t["published"] or {}] for t in answer["tasks"]]}


def main():
    verb, path = sys.argv[1:3]
    cases = json.load(open(path, encoding="utf-8"))
    if verb == "ask":
        json.dump([question(c) for c in cases], sys.stdout, indent=1)
        return
    answers = json.load(sys.stdin)
    for case, answer in zip(cases, answers):
        if answer["name"] != case["name"] or answer.get("oracle_failure") or answer.get("timed_out") or answer.get("step_error"):
            sys.exit("no answer for %s: %s" % (case["name"], json.dumps(answer)[:400]))
        case["expected"] = expected(answer)
    with open(path, "w", encoding="utf-8") as f:
        write(f, cases)


def write(f, cases):
    """A line for each line of YAML and for each task, so that a difference is a line."""
    def lines(items, indent):
        return "[\n" + ",\n".join(" " * indent + json.dumps(i, ensure_ascii=False) for i in items) + "]" if items else "[]"
    out = []
    for c in cases:
        parts = ['"name": %s' % json.dumps(c["name"], ensure_ascii=False)]
        parts.append('"definitions": [%s]' % ", ".join(
            '{"kind": %s, "yaml": %s}' % (json.dumps(d["kind"]), lines(run.text(d).rstrip("\n").split("\n"), 3))
            for d in c["definitions"]))
        for k in ("environments", "start"):
            if k in c:
                parts.append('"%s": %s' % (k, json.dumps(c[k], ensure_ascii=False)))
        if c.get("steps"):
            parts.append('"steps": %s' % lines(c["steps"], 3))
        e = c.get("expected")
        if e:
            inner = ['"refused": true'] if e.get("refused") else [
                '"state": %s' % json.dumps(e["state"]), '"output": %s' % json.dumps(e["output"], ensure_ascii=False),
                '"tasks": %s' % lines(e["tasks"], 4)]
            parts.append('"expected": {%s}' % ",\n   ".join(inner))
        out.append(" {" + ",\n  ".join(parts) + "}")
    f.write("[\n" + ",\n".join(out) + "\n]\n")


if __name__ == "__main__":
    main()

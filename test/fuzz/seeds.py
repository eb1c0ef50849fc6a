#!/usr/bin/env python3
"""Writes the seed corpus and the dictionary of a fuzz target.

    seeds.py TARGET DIRECTORY DICTIONARY

The seeds are what the project's tests and documentation already hold (the tables of expressions, the
workflows of the conformance cases, the documents of the pgTAP tests), and the files of seeds/TARGET:
inputs that once found something.  The dictionary has the names of all functions, from the lists in
src/expr, and the words of TARGET.dict.
"""
import glob
import json
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))


def read(*path):
    with open(os.path.join(TOP, *path), encoding="utf-8") as f:
        return f.read()


def unescape(text):
    """As COPY and E'' write it."""
    simple = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v"}
    return re.sub(r"\\(.)", lambda m: simple.get(m.group(1), m.group(1)), text)


def expressions(table):
    """The first column; with and without the delimiters, as both are ways into the languages."""
    for line in read("test", "pgtap", table).splitlines():
        text = unescape(line.split("\t")[0])
        yield text
        bare = re.fullmatch(r"(?:<%|\{\{)\s*(.*?)\s*(?:%>|\}\})", text)
        if bare:
            yield bare.group(1)


def workflow(body, indent):
    head = 'version: "2.0"\nwf:\n' + ("  tasks:\n" if indent > 2 else "")
    return head + re.sub("^", " " * indent, body.strip("\n"), flags=re.M) + "\n"


def documents():
    for path in sorted(glob.glob(os.path.join(TOP, "test", "conformance", "cases", "*.json"))):
        with open(path, encoding="utf-8") as f:
            for case in json.load(f):
                for definition in case.get("definitions", []):
                    yield "\n".join(definition["yaml"]) + "\n"
    for path in sorted(glob.glob(os.path.join(TOP, "docs", "*.md"))):
        yield from re.findall(r"^```yaml\n(.*?)^```", read("docs", os.path.basename(path)), flags=re.S | re.M)
    for path in sorted(glob.glob(os.path.join(TOP, "examples", "*.yaml"))):
        yield read("examples", os.path.basename(path))
    sql = read("test", "pgtap", "validate.sql")
    for tasks, text in re.findall(r"(pg_temp\.tasks\()?E'((?:[^'\\]|\\.|'')*)'", sql):
        text = unescape(text.replace("''", "'"))
        yield workflow(text, 4) if tasks else text
    for text in re.findall(r"pg_temp\.load\('\w+', \$\$(.*?)\$\$", read("test", "pgtap", "engine.sql"), flags=re.S):
        yield workflow(text, 2)


def own(target):
    for path in sorted(glob.glob(os.path.join(HERE, "seeds", target, "*"))):
        with open(path, "rb") as f:
            yield f.read()


def quoted(word):
    return '"%s"\n' % "".join(c if c.isalnum() or c in "_. " else "\\x%02X" % ord(c) for c in word)


def main():
    target, directory, dictionary = sys.argv[1:]
    seeds = documents() if target == "yaml" else expressions(target + "_cases.tsv")
    seeds = {s.encode("utf-8") for s in seeds} | set(own(target))
    for n, seed in enumerate(sorted(seeds)):
        with open(os.path.join(directory, "%04d" % n), "wb") as f:
            f.write(seed)
    with open(dictionary, "w", encoding="ascii") as f:
        for path in sorted(glob.glob(os.path.join(TOP, "src", "expr", "*_list.h"))):
            # What is the languages' own, and what both have.
            if target in ("yaql", "jinja") and not os.path.basename(path).startswith(("jinja_", "yaql_")[target == "jinja"]):
                for name in re.findall(r'^\w+\([^"]*"(\w+)"', read("src", "expr", os.path.basename(path)), flags=re.M):
                    f.write(quoted(name))
        f.write(read("test", "fuzz", target + ".dict"))
    print(len(seeds))


main()

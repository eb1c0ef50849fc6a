#!/usr/bin/env python3
"""How long a healthy workflow with an HTTP request takes, alone and beside five hundred requests that hang.

    http_latency.py HEALTHY-URL SILENT-PORT CONTROL-PORT [ROUNDS [COUNT]]

Runs in one session (libpq's environment), one workflow at a time, ROUNDS times COUNT of each kind in turn: alone; with
500 requests of five roles to 50 addresses under 127.1.0.0/16 that take connections and say nothing; alone; with 500 of one
role to one of them.  SILENT-PORT and CONTROL-PORT are those of hostile_net.py.  Prints a line of JSON: for each
kind the 50th and 99th percentile in milliseconds, all rounds together and of the best round.
"""

import json
import socket
import sys
import time

import psycopg2

HANGING = 500
DEFINITION = """
version: '2.0'
healthy:
  input: [url]
  tasks:
    ask: {action: std.http, input: {url: <% $.url %>, timeout: 20}}
"""


def percentile(values, part):
    return round(sorted(values)[min(int(len(values) * part), len(values) - 1)] * 1000, 2)


def control(port, line):
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(line.encode() + b"\n")
        return json.loads(connection.makefile().readline())


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.02)


def measure(cursor, url, count):
    times = []
    for _ in range(count):
        start = time.perf_counter()
        cursor.execute("SELECT mistral.start_workflow('healthy', jsonb_build_object('url', %s::text))", (url,))
        cursor.execute("SELECT mistral.wait_workflow(%s, '30 s')", cursor.fetchone())
        if cursor.fetchone()[0] != "SUCCESS":
            raise RuntimeError("the healthy workflow did not end well")
        times.append(time.perf_counter() - start)
    return times


def hang(cursor, port, spread):
    """Starts what hangs: of five roles and for 50 addresses, or of one for one."""
    for role in range(5 if spread else 1):
        cursor.execute("SET ROLE hanging%s", (role,))
        cursor.execute("SELECT count(mistral.run_action('std.http', jsonb_build_object('url', "
                       "'http://127.1.' || %s || '.' || i %% %s || ':' || %s || '/', 'timeout', 600))) FROM generate_series(1, %s) AS i",
                       (role, 10 if spread else 1, port, HANGING // 5 if spread else HANGING))
        cursor.execute("RESET ROLE")


def main(url, port, control_port, rounds=3, count=500):
    cursor = psycopg2.connect("")
    cursor.autocommit = True
    cursor = cursor.cursor()
    cursor.execute("SELECT mistral.load_workflow(%s)", (DEFINITION,))
    for role in range(5):
        cursor.execute("CREATE ROLE hanging%s; SELECT mistral.grant_access('hanging%s', 'operator'); "
                       "GRANT EXECUTE ON FUNCTION mistral.std_http(jsonb) TO hanging%s", (role, role, role))
    measure(cursor, url, 50)
    taken = {"alone": [], "spread": [], "one host": []}
    for _ in range(rounds):
        for kind in ("alone", "spread", "alone", "one host"):
            if kind != "alone":
                hang(cursor, port, kind == "spread")
                # Of those for one host, as many as a host may have at once are under way; the others wait for them.
                until(lambda: control(control_port, "counts")["silent"] >= (HANGING if kind == "spread" else 100))
            taken[kind].append(measure(cursor, url, count))
            while kind != "alone":
                control(control_port, "release")
                cursor.execute("SELECT count(*) FROM mistral.action_execution "
                               "WHERE finished_at IS NULL AND owner::regrole::text LIKE 'hanging%'")
                if cursor.fetchone()[0] == 0:
                    break
                time.sleep(0.05)
    result = {}
    for kind, parts in taken.items():
        whole = [value for part in parts for value in part]
        result[kind] = {"n": len(whole), "p50": percentile(whole, 0.5), "p99": percentile(whole, 0.99),
                        "best p99": min(percentile(part, 0.99) for part in parts)}
    print(json.dumps(result))


main(sys.argv[1], *(int(argument) for argument in sys.argv[2:]))

#!/usr/bin/python3
"""OpenStack Mistral as Debian packages it (python3-mistral), its engine and executor in this process.

    original.py FLIGHT SECONDS

Its messages go from thread to thread here (oslo.messaging's fake:/), not through a broker, which favours it.
It speaks as load.mjs does: "ready", then a line from outside, then what it has done as JSON.
"""
import json
import logging
import os
import sys
import time
import warnings

sys.dont_write_bytecode = True
warnings.simplefilter("ignore")
import eventlet  # noqa: E402

eventlet.monkey_patch()
logging.disable(logging.CRITICAL)

from mistral import config  # noqa: E402,F401  (registers the options)
from mistral import context  # noqa: E402
from mistral.db.v2 import api as db_api  # noqa: E402
from mistral.engine import engine_server  # noqa: E402
from mistral.rpc import clients  # noqa: E402
from mistral.services import security, workflows  # noqa: E402
from oslo_config import cfg  # noqa: E402
from oslo_log import log  # noqa: E402
import oslo_messaging  # noqa: E402

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import definitions  # noqa: E402


def configure():
    conf = cfg.CONF
    try:
        log.register_options(conf)
    except cfg.DuplicateOptError:
        pass
    conf(args=[], default_config_files=[], project="mistral")
    conf.set_override("connection", os.environ["BENCH_URL"].replace("postgresql:", "postgresql+psycopg2:"), "database")
    conf.set_override("max_pool_size", 50, "database")
    # Its options are registered by the first who asks for a transport.
    oslo_messaging.get_transport(conf)
    conf.set_override("transport_url", "fake:/")
    conf.set_override("type", "local", "executor")
    conf.set_override("type", "local", "notifier")
    conf.set_override("only_builtin_actions", True, "legacy_action_provider")
    conf.set_override("load_action_generators", False, "legacy_action_provider")


def main():
    flight, seconds = int(sys.argv[1]), float(sys.argv[2])
    configure()
    db_api.setup_db()
    context.set_ctx(context.MistralContext.from_dict({
        "user_name": "bench", "user": "bench", "tenant": security.DEFAULT_PROJECT_ID,
        "project_id": security.DEFAULT_PROJECT_ID, "project_name": "bench", "is_admin": False}))
    service = engine_server.get_oslo_service(setup_profiler=False)
    service.start()
    service.wait_started()
    engine = clients.get_engine_client()
    workflows.create_workflows(definitions.chain("seq10", 10).replace(", {big: null}", ""))

    def count(state):
        with db_api.transaction():
            return len(db_api.get_workflow_executions(fields=["id"], state=state))

    def run(duration, most):
        """Starts as many as end, until the time is over; waits for the rest."""
        started = 0
        end = time.time() + duration
        while True:
            left = count("RUNNING")
            if time.time() >= end:
                if left == 0:
                    return started
            else:
                for _ in range(most - left):
                    engine.start_workflow("seq10", "", None, {"n": 7}, "")
                    started += 1
            time.sleep(0.25)

    run(1, 2)
    print("ready", flush=True)
    sys.stdin.readline()
    done = run(seconds, flight)
    if count("ERROR"):
        raise SystemExit("%d workflows failed" % count("ERROR"))
    print(json.dumps({"workflows": done}), flush=True)
    sys.stdin.readline()
    os._exit(0)


main()

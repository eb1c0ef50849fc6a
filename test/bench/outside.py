"""What actions cost that are done outside the engine: by pull workers, by functions of the database."""
import select
import threading

import definitions
import drivers
from db import Db
from rows import Outcome, Row
from shapes import per_core

CLAIM = 100
ITEMS = 1000


def worker(database, over):
    """Claims and completes a hundred at a time until it is over; how many it has done."""
    done = 0
    with Db(database) as s:
        s.run("LISTEN mistral_actions")
        while not over.is_set():
            claimed = s.rows("SELECT action_execution_id::text, attempt FROM mistral.claim_actions('bench', 'bench', %s)", CLAIM)
            if not claimed:
                # Told when there is more, as a worker should be: asking over and over would be measured as well.
                if not s.con.notifies:
                    select.select([s.con], [], [], 0.1)
                    s.con.poll()
                s.con.notifies.clear()
                continue
            refused = s.rows("SELECT * FROM mistral.complete_actions(%s::uuid[], %s::jsonb[], %s)",
                             [c[0] for c in claimed], ['{"done": true}'] * len(claimed), [c[1] for c in claimed])
            if refused:
                raise RuntimeError("refused: %s" % (refused[0],))
            done += len(claimed)
    return done


def pulled(workers):
    def run(bench):
        with bench.database(definitions.pulled("pulled")) as d:
            d.rows("SELECT mistral.register_action('work', target => 'bench')")
            over = threading.Event()
            pool = threading.Thread(target=drivers.sessions, args=(d.name, workers, lambda name: worker(name, over)))
            pool.start()
            try:
                data = '{"n": %d}' % ITEMS
                drivers.lockstep(d.name, "pulled", data, 4)
                cost = bench.measure(d, lambda: drivers.lockstep(d.name, "pulled", data, 4, bench.seconds), ITEMS)
            finally:
                over.set()
                pool.join()
        return per_core(cost, 15000, "actions")
    return run


def functions(bench):
    with bench.database() as d:
        d.run("CREATE TABLE ledger (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, item int, at timestamptz DEFAULT now())",
              "CREATE FUNCTION enter(input jsonb) RETURNS void LANGUAGE sql AS "
              "$$INSERT INTO public.ledger (item) VALUES ((input ->> 'item')::int)$$",
              "SELECT mistral.register_action('enter', 'public.enter(jsonb)')")
        d.rows("SELECT mistral.load_workflow(%s)", definitions.entered("entered"))
        data = '{"n": %d}' % ITEMS
        drivers.lockstep(d.name, "entered", data, 4)
        before = d.value("SELECT count(*) FROM ledger")
        cost = bench.measure(d, lambda: drivers.lockstep(d.name, "entered", data, 4, bench.seconds), ITEMS)
        entered = d.value("SELECT count(*) FROM ledger") - before
    return Outcome("%s actions/s, %s entries for %s actions" % tuple(format(round(v), ",") for v in (cost.rate, entered, cost.n)),
                   cost.rate >= 3000 and entered == cost.n, cost,
                   note="%.0f us of the server's CPU in all" % (cost.cpu_each * 1e6))


ROWS = [
    Row("pull worker, claims and completes 100", "15,000", pulled(1)),
    Row("SQL action, an INSERT, two workers", "3,000/s, each once", functions),
]

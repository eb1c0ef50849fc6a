-- workflow_graph and execution_graph: tasks, ways, overlays, states, names that want to be more than names, rights.
BEGIN;
SET client_min_messages = error;
SELECT no_plan();

CREATE FUNCTION pg_temp.run() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 200 LOOP EXIT WHEN mistral.step() = 0; END LOOP;
END $$;

SELECT mistral.load_workflow($$
version: '2.0'
pay:
  tasks:
    check:
      action: std.noop
      on-success: [transfer, {log: <% $.get(x) %>}]
      on-error: [fail]
      on-complete: log
    transfer: {workflow: low, on-success: both}
    log: {action: std.noop, on-skip: both, on-success: both}
    both: {join: all}
low:
  tasks:
    begin: {action: std.noop, on-success: again}
    again: {action: std.noop, publish: {i: "<% $.get(i, 0) + 1 %>"}, on-success: [{again: <% $.i < 3 %>}]}
backwards:
  type: reverse
  tasks:
    first: {action: std.noop}
    second: {action: std.noop, requires: first}
odd:
  tasks:
    'a "quote", <b>, \, & #x;': {action: std.noop}
$$);
SELECT is(mistral.workflow_graph('pay'), $$digraph "pay" {
  node [shape=box, style="filled", fillcolor=white];
  t0 [label="check"];
  t1 [label="transfer", peripheries=2];
  t2 [label="log"];
  t3 [label="both", shape=hexagon];
  t0 -> t1 [label=""];
  t0 -> t2 [label="", style=dashed];
  t0 -> c1 [label="on-error"];
  t0 -> t2 [label="on-complete"];
  t1 -> t3 [label=""];
  t2 -> t3 [label=""];
  t2 -> t3 [label="on-skip"];
  c1 [label="fail", shape=oval];
}
$$, 'for Graphviz');
SELECT is(mistral.workflow_graph('pay', 'mermaid'), $$flowchart TD
  t0["check"]
  t1[["transfer"]]
  t2["log"]
  t3{{"both"}}
  t0 --> t1
  t0 -.-> t2
  t0 -->|on-error| c1
  t0 -->|on-complete| t2
  t1 --> t3
  t2 --> t3
  t2 -->|on-skip| t3
  c1(["fail"])
$$, 'for Mermaid');
SELECT is(mistral.workflow_graph('backwards', 'mermaid'), E'flowchart TD\n  t0["first"]\n  t1["second"]\n  t0 --> t1\n', 'a reverse workflow: what is required comes first');
SELECT is((regexp_match(mistral.workflow_graph('odd'), 't0 [^\n]*'))[1], 't0 [label="a \"quote\", <b>, \\, & #x;"];', 'a name stays within its label: dot');
SELECT is((regexp_match(mistral.workflow_graph('odd', 'mermaid'), 't0[^\n]*'))[1], 't0["a #34;quote#34;, #60;b#62;, #92;, #38; #35;x;"]', 'and Mermaid');

-- ---- executions, and overlays

SELECT mistral.start_workflow('pay') AS before \gset
SELECT pg_temp.run();
SELECT mistral.add_overlay('pay', 'four eyes', $$
version: '2.0'
tasks:
  look: {before: transfer, action: std.async_noop}
  tell: {after: transfer, action: std.noop}
$$);
SELECT matches(mistral.workflow_graph('pay'), 'label="look\\noverlay four eyes", style="filled,dashed"', 'tasks of an overlay are there, and say whose they are');
SELECT is((SELECT count(*)::int FROM regexp_matches(mistral.workflow_graph('pay', 'mermaid'), 'overlay four eyes', 'g')), 2, 'each of them');
SELECT mistral.start_workflow('pay') AS with_it \gset
SELECT pg_temp.run();
SELECT matches(mistral.execution_graph(:'with_it'), 'label="look\\noverlay four eyes\\nRUNNING", style="filled,dashed", fillcolor="#a5d8ff"', 'an execution has states');
SELECT matches(mistral.execution_graph(:'with_it'), 'label="tell\\noverlay four eyes", style', 'what has not run has none');
SELECT matches(mistral.execution_graph(:'with_it', 'mermaid'), 'style t\d+ fill:#a5d8ff,stroke-dasharray:5 5', 'and Mermaid shows both');
SELECT unalike(mistral.execution_graph(:'before'), '%overlay%', 'an execution that began before shows the version that it runs');
SELECT matches(mistral.execution_graph(:'before'), 'label="check\\nSUCCESS"', 'with its states');
SELECT matches((SELECT mistral.execution_graph(id) FROM mistral.executions WHERE root_execution_id = :'before' AND workflow_name = 'low'),
               'label="again\\nSUCCESS \(3 runs\)"', 'a sub-workflow, and a task that ran several times');
SELECT mistral.remove_overlay('four eyes');
SELECT unalike(mistral.workflow_graph('pay'), '%overlay%', 'without the overlay the workflow is its author''s again');
SELECT matches(mistral.execution_graph(:'with_it'), 'overlay four eyes', 'what began with it goes on with it');

-- ---- refusals, and rights

SELECT throws_ok($$SELECT mistral.workflow_graph('pay', 'svg')$$, '22023', 'format "svg" does not exist');
SELECT throws_ok($$SELECT mistral.workflow_graph('nothing')$$, 'MS003', 'workflow "nothing" does not exist');
SELECT throws_ok($$SELECT mistral.workflow_graph('pay', namespace => 'elsewhere')$$, 'MS003', 'workflow "pay" does not exist');
SELECT throws_ok($$SELECT mistral.execution_graph('00000000-0000-0000-0000-000000000001')$$, 'MS023', NULL, 'an execution that does not exist');
SELECT throws_ok($$SELECT mistral.workflow_graph(NULL)$$, '22004', 'name must not be null');
CREATE ROLE mistral_graph_viewer;
SELECT mistral.grant_access('mistral_graph_viewer', 'viewer');
SET ROLE mistral_graph_viewer;
SELECT throws_ok($$SELECT mistral.workflow_graph('pay')$$, 'MS003', 'workflow "pay" does not exist', 'somebody else''s private workflow');
SELECT throws_ok(format('SELECT mistral.execution_graph(%L)', :'before'), 'MS023', NULL, 'somebody else''s execution');
RESET ROLE;
SELECT mistral.grant_hook('mistral_graph_viewer', 'pay', 'results');
SET ROLE mistral_graph_viewer;
SELECT throws_ok($$SELECT mistral.workflow_graph('pay')$$, 'MS003', 'workflow "pay" does not exist', 'nor does who may only listen see how it hangs together');
RESET ROLE;
SELECT mistral.grant_hook('mistral_graph_viewer', 'pay', 'insert');
SET ROLE mistral_graph_viewer;
SELECT matches(mistral.workflow_graph('pay'), 'label="check"', 'who may insert tasks sees where');
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;

-- Pictures of workflows and executions, as text that other programs draw.

CREATE FUNCTION mistral.workflow_graph(name text, format text DEFAULT 'dot', namespace text DEFAULT '') RETURNS text
  LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'mistral_workflow_graph';
COMMENT ON FUNCTION mistral.workflow_graph(text, text, text) IS
  'The tasks of a workflow that you may start, or insert tasks into, those of overlays among them, and how they lead to each other, as text for Graphviz (dot) or Mermaid (mermaid)';

CREATE FUNCTION mistral.execution_graph(id uuid, format text DEFAULT 'dot') RETURNS text
  LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'mistral_execution_graph';
COMMENT ON FUNCTION mistral.execution_graph(uuid, text) IS
  'The version of the workflow that an execution runs, as workflow_graph has it, with the states of its tasks';

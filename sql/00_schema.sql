-- What the rest of the script may rely on.  Every name below is qualified, and
-- nothing is created OR REPLACE or IF NOT EXISTS: an object that is there
-- already belongs to somebody else.
SET LOCAL search_path = pg_catalog, pg_temp;

COMMENT ON SCHEMA mistral IS
  'Workflow engine: load_workflow, start_workflow, the views executions and tasks';

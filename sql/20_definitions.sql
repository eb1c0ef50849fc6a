-- Definitions: workbooks, workflows, ad-hoc actions.

CREATE FUNCTION mistral.load_workbook(definition text, namespace text DEFAULT '', scope text DEFAULT 'private')
RETURNS text LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mistral_load_workbook';
COMMENT ON FUNCTION mistral.load_workbook(text, text, text) IS
  'Creates or replaces a workbook; its workflows and actions become <workbook>.<name>. Returns the workbook''s name';

CREATE FUNCTION mistral.load_workflow(definition text, namespace text DEFAULT '', scope text DEFAULT 'private')
RETURNS text[] LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mistral_load_workflow';
COMMENT ON FUNCTION mistral.load_workflow(text, text, text) IS
  'Creates or replaces every workflow of the document. Returns their names';

CREATE FUNCTION mistral.load_action(definition text, namespace text DEFAULT '', scope text DEFAULT 'private')
RETURNS text[] LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mistral_load_action';
COMMENT ON FUNCTION mistral.load_action(text, text, text) IS
  'Creates or replaces every ad-hoc action of the document. Returns their names';

CREATE FUNCTION mistral.delete_workbook(name text, namespace text DEFAULT '')
RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mistral_delete_workbook';
COMMENT ON FUNCTION mistral.delete_workbook(text, text) IS
  'Takes a workbook out of use; its workflows and actions stay';

CREATE FUNCTION mistral.delete_workflow(name text, namespace text DEFAULT '')
RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mistral_delete_workflow';
COMMENT ON FUNCTION mistral.delete_workflow(text, text) IS
  'Takes a workflow out of use; running executions keep the version they started with';

CREATE FUNCTION mistral.delete_action(name text, namespace text DEFAULT '')
RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mistral_delete_action';
COMMENT ON FUNCTION mistral.delete_action(text, text) IS
  'Takes an ad-hoc action, or one that was registered, out of use';

CREATE FUNCTION mistral.validate(definition text, kind text DEFAULT NULL,
                                 OUT line int, OUT col int, OUT path text, OUT message text, OUT hint text)
RETURNS SETOF record LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 10 AS 'MODULE_PATHNAME', 'mistral_validate';
COMMENT ON FUNCTION mistral.validate(text, text) IS
  'Every problem of a definition, with its place; no row when it is valid. The kind (workbook, workflow, action) is found out when it is not given';

CREATE FUNCTION mistral.lint(definition text, kind text DEFAULT NULL,
                             OUT severity text, OUT line int, OUT col int, OUT path text, OUT message text, OUT hint text)
RETURNS SETOF record LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 10 AS 'MODULE_PATHNAME', 'mistral_lint';
COMMENT ON FUNCTION mistral.lint(text, text) IS
  'Everything that validate and loading have against a definition (error), and what is legal and surprising (warning, info), with its place';

CREATE FUNCTION mistral.json_schema()
RETURNS jsonb LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mistral_json_schema';
COMMENT ON FUNCTION mistral.json_schema() IS
  'The JSON Schema (draft 7) of workbooks and of lists of workflows and actions, for editors';

CREATE FUNCTION mistral.publish_definition()
RETURNS void LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mistral_publish_definition';
COMMENT ON FUNCTION mistral.publish_definition() IS
  'Does nothing: whoever may execute it may load definitions and environments with scope => ''public''';

-- Each session remembers what the names meant that it has started until this table changes, whoever changes it: also where
-- it is replicated into, hence ALWAYS.
CREATE FUNCTION mistral.definitions_changed() RETURNS trigger
  LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'mistral_definitions_changed';
COMMENT ON FUNCTION mistral.definitions_changed() IS 'The trigger function that tells all processes that definitions have changed';
CREATE TRIGGER definitions_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON mistral.definition
  FOR EACH STATEMENT EXECUTE FUNCTION mistral.definitions_changed();
ALTER TABLE mistral.definition ENABLE ALWAYS TRIGGER definitions_changed;

CREATE VIEW mistral.workbooks WITH (security_barrier) AS
  SELECT d.id, d.name, d.namespace, d.definition, d.tags, d.scope, d.owner::pg_catalog.regrole AS owner,
         d.created_at, d.updated_at
    FROM mistral.definition d
   WHERE d.kind = 'workbook' AND d.live
     AND (d.scope = 'public' OR pg_catalog.pg_has_role(d.owner, 'USAGE'));
COMMENT ON VIEW mistral.workbooks IS 'Workbooks that the current role may use';

CREATE VIEW mistral.workflows WITH (security_barrier) AS
  SELECT d.id, d.name, d.namespace, d.input,
         CASE WHEN d.workbook IS NULL THEN E'version: "2.0"\n\n' ELSE '' END || d.definition AS definition,
         d.tags, d.scope, d.owner::pg_catalog.regrole AS owner, d.created_at, d.updated_at, d.workbook AS workbook_name,
         d.merged AS merged_definition, COALESCE(d.overlays, '{}'::jsonb) AS overlays, d.refused
    FROM mistral.definition d
   WHERE d.kind = 'workflow' AND d.live
     AND (d.scope = 'public' OR pg_catalog.pg_has_role(d.owner, 'USAGE'));
COMMENT ON VIEW mistral.workflows IS 'Workflows that the current role may start';
COMMENT ON COLUMN mistral.workflows.merged_definition IS 'What runs, with the tasks of overlays; null: the definition itself';
COMMENT ON COLUMN mistral.workflows.overlays IS 'The tasks that overlays have inserted: {"task": "overlay"}';
COMMENT ON COLUMN mistral.workflows.refused IS 'Why it cannot be started: an overlay that is required does not fit';
COMMENT ON COLUMN mistral.workflows.definition IS 'The workflow''s own part of its document, which can be loaded again; of a workbook''s, without the version';

REVOKE ALL ON FUNCTION mistral.load_workbook(text, text, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION mistral.load_workflow(text, text, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION mistral.load_action(text, text, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION mistral.delete_workbook(text, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION mistral.delete_workflow(text, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION mistral.delete_action(text, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION mistral.validate(text, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION mistral.lint(text, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION mistral.json_schema() FROM PUBLIC;
REVOKE ALL ON FUNCTION mistral.publish_definition() FROM PUBLIC;

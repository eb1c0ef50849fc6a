-- Overlays: tasks that a role with the right puts into the workflow of another.

CREATE TABLE mistral.overlay (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    owner oid NOT NULL,
    workflow_owner oid NOT NULL,
    workflow text NOT NULL,
    namespace text NOT NULL DEFAULT '',
    required boolean NOT NULL,
    created_at timestamptz NOT NULL,
    problem text,
    definition text COMPRESSION lz4 NOT NULL,
    UNIQUE (name, owner)
);
CREATE INDEX overlay_workflow ON mistral.overlay (workflow_owner, workflow, namespace);
COMMENT ON TABLE mistral.overlay IS
  'Tasks to be inserted into workflows, which are kept with each version of the workflow (definition.merged). problem: why the live version is without it';
SELECT pg_catalog.pg_extension_config_dump('mistral.overlay', '');

CREATE FUNCTION mistral.add_overlay(workflow text, name text, definition text, required boolean DEFAULT true, namespace text DEFAULT '') RETURNS uuid
  LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'mistral_add_overlay';
COMMENT ON FUNCTION mistral.add_overlay(text, text, text, boolean, text) IS
  'Inserts tasks into a workflow, for executions that start from now on; its author''s text stays. A later version that a required overlay does not fit is not started';

CREATE FUNCTION mistral.remove_overlay(name text, owner regrole DEFAULT NULL) RETURNS void
  LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'mistral_remove_overlay';
COMMENT ON FUNCTION mistral.remove_overlay(text, regrole) IS
  'Removes an overlay of yours, or one on a workflow of yours (owner: whose, where several have the name); executions that have begun with it go on with it';

CREATE VIEW mistral.overlays WITH (security_barrier) AS
SELECT o.id,
       o.name,
       o.workflow AS workflow_name,
       o.namespace AS workflow_namespace,
       o.workflow_owner::pg_catalog.regrole AS workflow_owner,
       o.definition,
       o.required,
       o.owner::pg_catalog.regrole AS owner,
       o.created_at,
       o.problem
  FROM mistral.overlay o
 WHERE pg_catalog.pg_has_role(o.owner, 'USAGE') OR pg_catalog.pg_has_role(o.workflow_owner, 'USAGE');
COMMENT ON VIEW mistral.overlays IS 'Overlays of yours, and overlays on workflows of yours';
COMMENT ON COLUMN mistral.overlays.problem IS 'Why the live version of the workflow is without it; null: it is in';
COMMENT ON COLUMN mistral.overlays.required IS 'Whether a version that it does not fit is not started, instead of going without it';

-- Environments: named sets of variables.

CREATE FUNCTION mistral.set_environment(name text, variables jsonb, description text DEFAULT '', scope text DEFAULT 'private')
RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mistral_set_environment';
COMMENT ON FUNCTION mistral.set_environment(text, jsonb, text, text) IS
  'Creates or replaces an environment; running executions keep the variables they started with';

CREATE FUNCTION mistral.delete_environment(name text)
RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mistral_delete_environment';
COMMENT ON FUNCTION mistral.delete_environment(text) IS 'Deletes an environment';

CREATE VIEW mistral.environments WITH (security_barrier) AS
  SELECT e.id, e.name, e.description, e.variables, e.scope, e.owner::pg_catalog.regrole AS owner,
         e.created_at, e.updated_at
    FROM mistral.environment e
   WHERE e.scope = 'public' OR pg_catalog.pg_has_role(e.owner, 'USAGE');
COMMENT ON VIEW mistral.environments IS 'Environments that the current role may use';

REVOKE ALL ON FUNCTION mistral.set_environment(text, jsonb, text, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION mistral.delete_environment(text) FROM PUBLIC;

-- Sources: what modules read from outside.

CREATE FUNCTION mistral.add_source(name text, module text, kind text, config jsonb) RETURNS void
  LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'mistral_add_source';
COMMENT ON FUNCTION mistral.add_source(text, text, text, jsonb) IS
  'Creates or replaces a source, which a module reads from now on: what comes are events, notifications of OpenStack (oslo), or answers that complete actions, with the rights of the role that calls this';

CREATE FUNCTION mistral.delete_source(name text) RETURNS void
  LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'mistral_delete_source';
COMMENT ON FUNCTION mistral.delete_source(text) IS 'Ends a source: what comes from then on stays where it is';

CREATE VIEW mistral.sources WITH (security_barrier) AS
  SELECT s.name, s.module, s.kind, s.owner::pg_catalog.regrole AS owner, s.config, s.created_at
    FROM mistral.source s
   WHERE pg_catalog.pg_has_role(s.owner, 'USAGE');
COMMENT ON VIEW mistral.sources IS 'What modules read from outside: the sources of roles whose rights you have';

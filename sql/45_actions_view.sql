-- Actions: those that are built in, and the ad-hoc actions that were loaded.

CREATE VIEW mistral.actions WITH (security_barrier) AS
  SELECT d.id, d.name, d.namespace, d.input,
         CASE WHEN d.workbook IS NULL THEN E'version: "2.0"\n\n' ELSE '' END || d.definition AS definition,
         d.tags, d.scope, d.owner::pg_catalog.regrole AS owner, d.created_at, d.updated_at, d.workbook AS workbook_name, NULL::text AS description, false AS is_system, NULL::text AS target, NULL::text AS function, NULL::text AS module
    FROM mistral.definition d
   WHERE d.kind = 'action' AND d.live
     AND (d.scope = 'public' OR pg_catalog.pg_has_role(d.owner, 'USAGE'))
  UNION ALL
  SELECT r.id, r.name, '', '', NULL::text, '{}'::text[], 'private', r.owner::pg_catalog.regrole, r.created_at, r.updated_at,
         NULL::text, r.description, false, r.target, r.function, NULL::text
    FROM mistral.registered_action r
   WHERE pg_catalog.pg_has_role(r.owner, 'USAGE')
  UNION ALL
  SELECT NULL::uuid, b.name, '', b.input, NULL::text, '{}'::text[], 'public', NULL::pg_catalog.regrole,
         NULL::timestamptz, NULL::timestamptz, NULL::text, b.description, true, NULL::text, NULL::text, b.module
    FROM mistral.builtin_actions() b
  UNION ALL
  SELECT NULL::uuid, m.name, '', m.input, NULL::text, '{}'::text[], 'public', NULL::pg_catalog.regrole,
         NULL::timestamptz, NULL::timestamptz, NULL::text, m.description, false, NULL::text, NULL::text, m.module
    FROM mistral.module_action m
   WHERE NOT EXISTS (SELECT FROM mistral.builtin_actions() b WHERE b.name = m.name);
COMMENT ON VIEW mistral.actions IS 'Actions that the current role may use: ad-hoc actions, those that pull workers (target), functions or modules perform, and built-in ones';
COMMENT ON COLUMN mistral.actions.module IS 'The module that performs it; mistral.io_modules has to name it';
COMMENT ON COLUMN mistral.actions.definition IS 'The action''s own part of its document; null for all but ad-hoc actions';

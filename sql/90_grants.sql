-- Rights in the words of those who need them.

CREATE FUNCTION mistral.grant_access(role regrole, kind text)
RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mistral_grant_access';
COMMENT ON FUNCTION mistral.grant_access(regrole, text) IS
  'Grants a role what an author, an operator, a worker, a viewer, a publisher or an approver needs, in plain GRANTs; for the extension''s owner';

CREATE FUNCTION mistral.revoke_access(role regrole, kind text)
RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mistral_revoke_access';
COMMENT ON FUNCTION mistral.revoke_access(regrole, text) IS
  'Takes back what grant_access of that kind granted, except what another kind that the role has needs as well; for the extension''s owner';

-- Whatever a part of this script forgot: PUBLIC has nothing.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA mistral FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA mistral FROM PUBLIC;

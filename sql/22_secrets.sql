-- Secrets: values that only a request on its way out sees.

CREATE TABLE mistral.secret (
    id uuid NOT NULL UNIQUE,
    name text NOT NULL,
    owner oid NOT NULL,
    value bytea NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (name, owner)
);
COMMENT ON TABLE mistral.secret IS
  'Values sealed (AES-256-GCM) under a key of mistral.secret_key_file. id: new with each value, which opens in no other row';
SELECT pg_catalog.pg_extension_config_dump('mistral.secret', '');

CREATE FUNCTION mistral.set_secret(name text, value text)
RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mistral_set_secret';
COMMENT ON FUNCTION mistral.set_secret(text, text) IS
  'Creates or replaces a secret of the current role, which nobody can read back; expressions name it as secret(name). Give the value as a parameter of the statement, not in its text';

CREATE FUNCTION mistral.delete_secret(name text)
RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mistral_delete_secret';
COMMENT ON FUNCTION mistral.delete_secret(text) IS 'Deletes a secret of the current role; actions that still name it end in ERROR';

CREATE FUNCTION mistral.rotate_secrets()
RETURNS bigint LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mistral_rotate_secrets';
COMMENT ON FUNCTION mistral.rotate_secrets() IS
  'Seals all secrets anew under the first key of mistral.secret_key_file, and returns how many; for the extension''s owner';

CREATE VIEW mistral.secrets WITH (security_barrier) AS
  SELECT s.name, s.owner::pg_catalog.regrole AS owner, s.created_at, s.updated_at
    FROM mistral.secret s
   WHERE pg_catalog.pg_has_role(s.owner, 'USAGE');
COMMENT ON VIEW mistral.secrets IS 'Names of the secrets of roles whose rights the current role has';

-- Who may use the actions that reach out: by HTTP, by SMTP, by SQL, by modules.

CREATE FUNCTION mistral.std_http(input jsonb) RETURNS jsonb
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'mistral_std_http';
REVOKE ALL ON FUNCTION mistral.std_http(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION mistral.std_http(jsonb) IS
  'Guard of the action std.http: roles with EXECUTE may use it in workflows. Not to be called itself';

CREATE FUNCTION mistral.std_mistral_http(input jsonb) RETURNS jsonb
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'mistral_std_mistral_http';
REVOKE ALL ON FUNCTION mistral.std_mistral_http(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION mistral.std_mistral_http(jsonb) IS
  'Guard of the action std.mistral_http: roles with EXECUTE may use it in workflows. Not to be called itself';

CREATE FUNCTION mistral.std_email(input jsonb) RETURNS jsonb
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'mistral_std_email';
REVOKE ALL ON FUNCTION mistral.std_email(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION mistral.std_email(jsonb) IS
  'Guard of the action std.email: roles with EXECUTE may use it in workflows. Not to be called itself';

CREATE FUNCTION mistral.std_sql(input jsonb) RETURNS jsonb
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'mistral_std_sql';
REVOKE ALL ON FUNCTION mistral.std_sql(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION mistral.std_sql(jsonb) IS
  'Guard of the action std.sql: roles with EXECUTE may use it in workflows. Not to be called itself';

CREATE FUNCTION mistral.std_amqp(input jsonb) RETURNS jsonb
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'mistral_std_amqp';
REVOKE ALL ON FUNCTION mistral.std_amqp(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION mistral.std_amqp(jsonb) IS
  'Guard of the action std.amqp: roles with EXECUTE may use it in workflows. Not to be called itself';

CREATE FUNCTION mistral.std_ssh(input jsonb) RETURNS jsonb
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'mistral_std_ssh';
REVOKE ALL ON FUNCTION mistral.std_ssh(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION mistral.std_ssh(jsonb) IS
  'Guard of the action std.ssh: roles with EXECUTE may use it in workflows. Not to be called itself';

CREATE FUNCTION mistral.std_ssh_proxied(input jsonb) RETURNS jsonb
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'mistral_std_ssh_proxied';
REVOKE ALL ON FUNCTION mistral.std_ssh_proxied(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION mistral.std_ssh_proxied(jsonb) IS
  'Guard of the action std.ssh_proxied: roles with EXECUTE may use it in workflows. Not to be called itself';

CREATE FUNCTION mistral.module_action(input jsonb) RETURNS jsonb
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'mistral_module_action';
REVOKE ALL ON FUNCTION mistral.module_action(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION mistral.module_action(jsonb) IS
  'Guard of the actions of modules that have no function of their own name: roles with EXECUTE may use them in workflows. Not to be called itself';

-- Expressions, to try them out and to check them.

CREATE FUNCTION mistral.evaluate(expression text, context jsonb DEFAULT '{}', language text DEFAULT NULL)
RETURNS jsonb
LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'mistral_evaluate';
COMMENT ON FUNCTION mistral.evaluate(text, jsonb, text) IS
  'What an expression gives. The context is $; with a language (yaql, jinja) the text is a bare expression without delimiters';
REVOKE ALL ON FUNCTION mistral.evaluate(text, jsonb, text) FROM PUBLIC;

CREATE FUNCTION mistral.evaluate_data(data jsonb, context jsonb DEFAULT '{}')
RETURNS jsonb
LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'mistral_evaluate_data';
COMMENT ON FUNCTION mistral.evaluate_data(jsonb, jsonb) IS
  'The JSON value with every expression in its strings evaluated, at any depth; unchanged where the context is empty';
REVOKE ALL ON FUNCTION mistral.evaluate_data(jsonb, jsonb) FROM PUBLIC;

CREATE FUNCTION mistral.validate_expression(expression text)
RETURNS text
LANGUAGE c IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'mistral_validate_expression';
COMMENT ON FUNCTION mistral.validate_expression(text) IS
  'NULL when every expression in the text parses, else what is wrong and where';
REVOKE ALL ON FUNCTION mistral.validate_expression(text) FROM PUBLIC;

-- Actions: ending them from outside, running one alone, the built-in ones.

CREATE FUNCTION mistral.complete_action(id uuid, result jsonb DEFAULT NULL, attempt int DEFAULT NULL, token text DEFAULT NULL) RETURNS void
  LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'mistral_complete_action';
COMMENT ON FUNCTION mistral.complete_action(uuid, jsonb, int, text) IS
  'Ends a running action with its result; a pull worker gives the token that it claimed with, or the attempt. Repeating the same call is harmless; another outcome for an ended action is an error';

CREATE FUNCTION mistral.fail_action(id uuid, error jsonb, attempt int DEFAULT NULL, token text DEFAULT NULL) RETURNS void
  LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'mistral_fail_action';
COMMENT ON FUNCTION mistral.fail_action(uuid, jsonb, int, text) IS
  'Ends a running action with an error; a pull worker gives the token that it claimed with, or the attempt';

CREATE FUNCTION mistral.complete_actions(ids uuid[], results jsonb[] DEFAULT NULL, attempts int[] DEFAULT NULL, tokens text[] DEFAULT NULL)
  RETURNS TABLE (action_execution_id uuid, error_code text, error text)
  LANGUAGE C VOLATILE ROWS 1 AS 'MODULE_PATHNAME', 'mistral_complete_actions';
COMMENT ON FUNCTION mistral.complete_actions(uuid[], jsonb[], int[], text[]) IS
  'Does what complete_action does for many actions at once; gives those that were refused, and why: the others have ended';

CREATE FUNCTION mistral.fail_actions(ids uuid[], errors jsonb[], attempts int[] DEFAULT NULL, tokens text[] DEFAULT NULL)
  RETURNS TABLE (action_execution_id uuid, error_code text, error text)
  LANGUAGE C VOLATILE ROWS 1 AS 'MODULE_PATHNAME', 'mistral_fail_actions';
COMMENT ON FUNCTION mistral.fail_actions(uuid[], jsonb[], int[], text[]) IS
  'Does what fail_action does for many actions at once; gives those that were refused, and why: the others have ended';

CREATE FUNCTION mistral.cancel_action(id uuid) RETURNS void
  LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'mistral_cancel_action';
COMMENT ON FUNCTION mistral.cancel_action(uuid) IS
  'Cancels a running action: its task is cancelled and, when nothing else runs, its workflow';

CREATE FUNCTION mistral.run_action(
    action text, input jsonb DEFAULT '{}', namespace text DEFAULT '', target text DEFAULT NULL) RETURNS uuid
  LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'mistral_run_action';
COMMENT ON FUNCTION mistral.run_action(text, jsonb, text, text) IS
  'Runs one action without a workflow and returns its action execution''s id; with a target, a pull worker of that target performs it';

CREATE FUNCTION mistral.register_action(
    name text, function regprocedure DEFAULT NULL, target text DEFAULT NULL, description text DEFAULT '') RETURNS void
  LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'mistral_register_action';
COMMENT ON FUNCTION mistral.register_action(text, regprocedure, text, text) IS
  'Creates or replaces an action that a function f(jsonb) of the database performs, as the execution''s owner, or that pull workers of the target perform; mistral.delete_action() deletes it';

CREATE FUNCTION mistral.builtin_actions()
  RETURNS TABLE (name text, input text, description text, module text)
  LANGUAGE C IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mistral_builtin_actions';
COMMENT ON FUNCTION mistral.builtin_actions() IS 'The built-in actions, with their parameters';

-- Who is who, and what the process needs of the database.  Once, as a superuser; what follows is in application.sql.
-- The settings (mistral.io_modules and so on) are in README.md.

CREATE EXTENSION mistral;

CREATE ROLE payroll LOGIN;                      -- has the process, and its tables
SELECT mistral.grant_access('payroll', 'author'), mistral.grant_access('payroll', 'operator');
GRANT EXECUTE ON FUNCTION mistral.std_http(jsonb), mistral.std_email(jsonb), mistral.std_sql(jsonb),
    mistral.std_amqp(jsonb), mistral.std_ssh(jsonb), mistral.add_source(text, text, text, jsonb) TO payroll;
CREATE SCHEMA payroll AUTHORIZATION payroll;

CREATE ROLE manager LOGIN;                      -- answers questions, and nothing else
SELECT mistral.grant_access('manager', 'approver');

CREATE ROLE payroll_worker LOGIN;               -- the pull workers, which act for payroll
SELECT mistral.grant_access('payroll_worker', 'worker');
GRANT payroll TO payroll_worker;

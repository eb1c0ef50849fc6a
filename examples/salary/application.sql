-- The company's tables and functions, and the process: as the role payroll.
--
-- Variables: the addresses and passwords that README.md names (run.sh gives those of its own systems).

CREATE TABLE payroll.employees (name text PRIMARY KEY);
INSERT INTO payroll.employees VALUES ('alice'), ('bob'), ('carl'), ('dora');

-- A row is a payment.  Nothing here keeps a second one for the same month away: that there is none is the engine's doing.
CREATE TABLE payroll.ledger (
    payment int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    employee text NOT NULL REFERENCES payroll.employees,
    month text NOT NULL,
    amount numeric NOT NULL,
    booked_at timestamptz NOT NULL DEFAULT now(),
    taken_back_at timestamptz,
    reason text
);

CREATE FUNCTION payroll.book(input jsonb) RETURNS jsonb LANGUAGE sql AS $$
  INSERT INTO payroll.ledger (employee, month, amount)
  VALUES (input ->> 'employee', input ->> 'month', (input ->> 'amount')::numeric)
  RETURNING jsonb_build_object('payment', payment)
$$;

CREATE FUNCTION payroll.take_back(input jsonb) RETURNS void LANGUAGE sql AS $$
  UPDATE payroll.ledger SET taken_back_at = now(), reason = input ->> 'reason' WHERE payment = (input ->> 'payment')::int
$$;

-- Who performs which action: a function of the database, or the workers of a target.
SELECT mistral.register_action('book', 'payroll.book(jsonb)'),
       mistral.register_action('take_back', 'payroll.take_back(jsonb)'),
       mistral.register_action('tax', target => 'tax'),
       mistral.register_action('slip', target => 'slip');

SELECT mistral.set_secret('systems', :'systems_password'),
       mistral.set_secret('rabbit', :'rabbit_password'),
       mistral.set_secret('hook', :'hook_secret');

SELECT mistral.set_environment('payroll', jsonb_build_object(
    'systems', :'systems', 'ca', :'ca', 'broker', :'broker', 'mail', :'mail',
    'offices', string_to_array(:'offices', ' '), 'office_user', :'office_user'));

-- What the bank answers comes back as events, one for each message.
SELECT mistral.add_source('answers of the bank', 'mistral_amqp', 'events', jsonb_build_object(
    'url', 'amqp://guest@' || :'broker', 'password_secret', 'rabbit', 'queue', 'bank.answers', 'event', 'bank.answer'));

SELECT mistral.load_workbook(:'definition');

-- Each last day of the month at six; a webhook tells the office of every salary.
SELECT mistral.create_cron_trigger('salaries', 'payroll.month', '0 6 L * *',
    params => jsonb_build_object('env', 'payroll', 'notify', jsonb_build_array(jsonb_build_object(
        'type', 'webhook', 'url', :'hook', 'secret', 'hook', 'event_types', '["WORKFLOW_SUCCEEDED", "WORKFLOW_FAILED"]'::jsonb))),
    timezone => 'Europe/Berlin');

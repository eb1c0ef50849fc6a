-- An application that opens incidents, a workflow that has it open one, and who starts that workflow.  README.md says how to run it.

CREATE TABLE public.incidents (
    number int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    host text NOT NULL,
    what text NOT NULL,
    opened_at timestamptz NOT NULL DEFAULT now()
);

-- The application: it has never heard of monitoring.
CREATE FUNCTION public.open_incident(input jsonb) RETURNS jsonb LANGUAGE sql AS $$
  INSERT INTO public.incidents (host, what) VALUES (input ->> 'host', input ->> 'what') RETURNING jsonb_build_object('number', number)
$$;
SELECT mistral.register_action('open_incident', 'public.open_incident(jsonb)');

-- The process: of where an alarm comes from it only takes note.
SELECT mistral.load_workflow($$
version: '2.0'
handle_alarm:
  input: [source, host, what]
  output:
    incident: <% $.incident %>
  tasks:
    open:
      action: open_incident
      input: {host: <% $.host %>, what: <% $.what %>}
      publish: {incident: <% task().result.number %>}
$$);

-- The sources: each trigger says which of a source's events are alarms, and where in them to find what the process asks for.
SELECT mistral.create_event_trigger('alarms of Nagios', 'handle_alarm', 'nagios.service',
  filter => $$<% $.payload.state = 'CRITICAL' and $.payload.state_type = 'HARD' %>$$,
  input => $${"source": "nagios", "host": "<% $.payload.host %>", "what": "<% $.payload.service %>"}$$);

-- An alarm of aodh has a name and no host: here the name is host/what.  With repeat_actions it is told again and again, from alarm to alarm.
SELECT mistral.create_event_trigger('alarms of aodh', 'handle_alarm', 'aodh.alarm',
  filter => $$<% $.payload.current = 'alarm' and $.payload.previous != 'alarm' and $.payload.severity = 'critical' %>$$,
  input => $${"source": "aodh", "host": "<% $.payload.alarm_name.split('/')[0] %>", "what": "<% $.payload.alarm_name.split('/').last() %>"}$$);

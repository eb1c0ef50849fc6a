-- Publishes what Nagios says of a service, run by psql as an event handler.
--
-- Nothing of it comes by a command line or becomes a part of a statement: a plugin's output is anybody's text.
-- What is no UTF-8 is left out of it, so that no alarm is lost because of its text.
SET client_encoding = 'UTF8';
\set host `printenv NAGIOS_HOSTNAME`
\set service `printenv NAGIOS_SERVICEDESC`
\set state `printenv NAGIOS_SERVICESTATE`
\set state_type `printenv NAGIOS_SERVICESTATETYPE`
\set output `printenv NAGIOS_SERVICEOUTPUT | head -c 4000 | iconv -c -f UTF-8 -t UTF-8`
\set event_id `printenv NAGIOS_SERVICEEVENTID`
\set since `printenv NAGIOS_LASTSERVICESTATECHANGE`

-- The key makes one event of a state that is told again, by a repeated notification for instance.  Nagios counts its
-- events, from 1 again when it loses what it keeps: hence the time.
SELECT mistral.publish_event('nagios.service',
    jsonb_build_object('host', :'host', 'service', :'service', 'state', :'state', 'state_type', :'state_type', 'output', :'output'),
    dedup_key => concat_ws('/', 'nagios', :'host', :'service', :'event_id', :'since', :'state', :'state_type'));

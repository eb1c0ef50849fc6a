-- Cron patterns and triggers under a clock that the test sets.
BEGIN;
SET client_min_messages = error;
SET TimeZone = 'UTC';
SELECT no_plan();

-- ---- patterns and daylight saving: local times of the next slots

CREATE TEMP TABLE slots (n int GENERATED ALWAYS AS IDENTITY, pattern text, zone text, after timestamptz, wanted text);
INSERT INTO slots (pattern, zone, after, wanted) VALUES
('0 0 * * *', 'UTC', '2024-02-28 12:00Z', '2024-02-29 00:00:00+00 2024-03-01 00:00:00+00 2024-03-02 00:00:00+00'),
('0 0 29 2 *', 'UTC', '2021-01-01Z', '2024-02-29 00:00:00+00 2028-02-29 00:00:00+00 2032-02-29 00:00:00+00'),
('0 12 L * *', 'UTC', '2023-01-31 12:00Z', '2023-02-28 12:00:00+00 2023-03-31 12:00:00+00 2023-04-30 12:00:00+00'),
('0 9 * * mon#1', 'UTC', '2024-01-01 09:00Z', '2024-02-05 09:00:00+00 2024-03-04 09:00:00+00 2024-04-01 09:00:00+00'),
('0 9 * * L5', 'UTC', '2024-01-01Z', '2024-01-26 09:00:00+00 2024-02-23 09:00:00+00 2024-03-29 09:00:00+00'),
('0 0 13 * fri', 'UTC', '2024-09-01Z', '2024-09-06 00:00:00+00 2024-09-13 00:00:00+00 2024-09-20 00:00:00+00'),
('0 0 13 * 5#2', 'UTC', '2024-09-01Z', '2024-09-13 00:00:00+00 2024-10-11 00:00:00+00 2024-10-13 00:00:00+00'),
('* * * * * */20', 'UTC', '2024-01-01 00:00:05.5Z', '2024-01-01 00:00:20+00 2024-01-01 00:00:40+00 2024-01-01 00:01:00+00'),
('@weekly', 'UTC', '2024-01-01Z', '2024-01-07 00:00:00+00 2024-01-14 00:00:00+00 2024-01-21 00:00:00+00'),
('30 9 * * mon-fri', 'America/New_York', '2024-03-08 15:00Z', '2024-03-11 13:30:00+00 2024-03-12 13:30:00+00 2024-03-13 13:30:00+00'),
-- clocks go from 2:00 to 3:00 on 31 March: half past two is at the change
('30 2 * * *', 'Europe/Berlin', '2024-03-30 00:00Z', '2024-03-30 01:30:00+00 2024-03-31 01:00:00+00 2024-04-01 00:30:00+00'),
('0,30 2 * * *', 'Europe/Berlin', '2024-03-30 23:00Z', '2024-03-31 01:00:00+00 2024-04-01 00:00:00+00 2024-04-01 00:30:00+00'),
('0 2,3 * * *', 'Europe/Berlin', '2024-03-30 23:00Z', '2024-03-31 01:00:00+00 2024-04-01 00:00:00+00 2024-04-01 01:00:00+00'),
-- by elapsed time: the hour is left out
('30 * * * *', 'Europe/Berlin', '2024-03-31 00:00Z', '2024-03-31 00:30:00+00 2024-03-31 01:30:00+00 2024-03-31 02:30:00+00'),
('0 */2 * * *', 'Europe/Berlin', '2024-03-30 22:30Z', '2024-03-30 23:00:00+00 2024-03-31 02:00:00+00 2024-03-31 04:00:00+00'),
-- clocks go from 3:00 back to 2:00 on 27 October: once, in the first pass
('30 2 * * *', 'Europe/Berlin', '2024-10-26 12:00Z', '2024-10-27 00:30:00+00 2024-10-28 01:30:00+00 2024-10-29 01:30:00+00'),
('30 2 * * *', 'Europe/Berlin', '2024-10-27 00:45Z', '2024-10-28 01:30:00+00 2024-10-29 01:30:00+00 2024-10-30 01:30:00+00'),
-- by elapsed time: in both passes
('30 * * * *', 'Europe/Berlin', '2024-10-27 00:00Z', '2024-10-27 00:30:00+00 2024-10-27 01:30:00+00 2024-10-27 02:30:00+00'),
-- half an hour of daylight saving; a day that is left out
('15 2 * * *', 'Australia/Lord_Howe', '2024-10-04 20:00Z', '2024-10-05 15:30:00+00 2024-10-06 15:15:00+00 2024-10-07 15:15:00+00'),
('0 12 30 12 *', 'Pacific/Apia', '2011-12-01Z', '2011-12-30 10:00:00+00 2012-12-29 22:00:00+00 2013-12-29 22:00:00+00'),
('0 0 1 1 *', 'UTC', '1969-06-01Z', '1970-01-01 00:00:00+00 1971-01-01 00:00:00+00 1972-01-01 00:00:00+00'),
('14 3 19 1 *', 'UTC', '2038-01-18Z', '2038-01-19 03:14:00+00 2039-01-19 03:14:00+00 2040-01-19 03:14:00+00');
SELECT is((SELECT string_agg(r::text, ' ' ORDER BY r) FROM mistral.next_runs(s.pattern, s.zone, 3, s.after) r),
          s.wanted, format('%s: %s in %s after %s', n, pattern, zone, after))
  FROM slots s ORDER BY n;
SELECT is_empty($$SELECT mistral.next_runs('0 0 30 2 *')$$, 'a day that never comes has no slot');

SELECT throws_ok(format('SELECT mistral.next_runs(%L)', p), '22023', NULL, 'no pattern: ' || p)
  FROM unnest(ARRAY['', '* * * *', '* * * * * * *', '60 * * * *', '* 24 * * *', '* * 0 * *', '* * 32 * *', '* * * 0 *', '* * * 13 *',
                    '* * * * 8', '*/0 * * * *', '5-1 * * * *', 'a * * * *', '-5 * * * *', '1,,2 * * * *', '* * * foo *', '* * * * 5#6',
                    '* * * * 1,5#2', '@reboot', 'H * * * *', repeat('1,', 200) || '1 * * * *', '1/ * * * *', '99999999999 * * * *']) p;
SELECT throws_ok($$SELECT mistral.next_runs('* * * * *', 'Mars/Olympus')$$, '22023', 'time zone "Mars/Olympus" is not known');

-- ---- triggers

SELECT mistral.load_workflow($$
version: '2.0'
w:
  input: [n]
  tasks:
    t: {action: std.async_noop}
quick:
  tasks:
    t: {action: std.noop}
$$);
CREATE FUNCTION pg_temp.at(moment text) RETURNS void LANGUAGE sql AS $$
    SELECT set_config('mistral.fake_now', '2030-01-01 ' || moment || 'Z', true)
$$;
-- Lets everything due fire, and the engine come to rest.
CREATE FUNCTION pg_temp.run() RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    n int := 0;
    now int;
BEGIN
    FOR i IN 1 .. 50 LOOP
        now := mistral.run_schedules();
        n := n + now;
        EXIT WHEN now = 0;
    END LOOP;
    FOR i IN 1 .. 50 LOOP
        EXIT WHEN mistral.step() = 0;
    END LOOP;
    RETURN n;
END $$;
CREATE FUNCTION pg_temp.slots(t text) RETURNS text LANGUAGE sql AS $$
    SELECT COALESCE(string_agg(to_char(slot, 'HH24:MI') || ' ' || outcome, ', ' ORDER BY slot), '') FROM mistral.cron_slots WHERE cron_trigger = t
$$;
CREATE FUNCTION pg_temp.running(t text) RETURNS text LANGUAGE sql AS $$
    SELECT COALESCE(string_agg(to_char(s.slot, 'HH24:MI') || ' ' || e.state, ', ' ORDER BY s.slot), '')
      FROM mistral.cron_slots s JOIN mistral.executions e ON e.id = s.execution_id WHERE s.cron_trigger = t
$$;
CREATE FUNCTION pg_temp.next(t text) RETURNS text LANGUAGE sql AS $$
    SELECT to_char(next_execution_time, 'HH24:MI:SS') FROM mistral.cron_triggers WHERE name = t
$$;
CREATE FUNCTION pg_temp.end_first(t text) RETURNS void LANGUAGE sql AS $$
    SELECT mistral.stop_workflow((SELECT e.id FROM mistral.cron_slots s JOIN mistral.executions e ON e.id = s.execution_id
                                   WHERE s.cron_trigger = t AND e.state = 'RUNNING' ORDER BY s.slot LIMIT 1), 'SUCCESS')
$$;

SELECT pg_temp.at('10:00:30');
SELECT mistral.create_cron_trigger('every', 'w', '* * * * *', '{"n": 1}', '{"env": {"e": 1}}');
SELECT is(pg_temp.next('every'), '10:01:00', 'the next slot is planned');
SELECT is(pg_temp.run(), 0, 'nothing fires early');
SELECT pg_temp.at('10:01');
SELECT is(pg_temp.run(), 1, 'a slot fires when it is due');
SELECT is(pg_temp.run(), 0, 'and only once');
SELECT is(pg_temp.running('every'), '10:01 RUNNING', 'it has started the workflow');
SELECT is((SELECT params -> 'cron_trigger' FROM mistral.executions WHERE workflow_name = 'w'),
          '{"name": "every", "slot": "2030-01-01 10:01:00"}', 'whose params name the trigger and the slot');
SELECT is((SELECT params -> 'env' FROM mistral.executions WHERE workflow_name = 'w'), '{"e": 1}', 'beside the trigger''s own params');
SELECT is((SELECT description::jsonb #>> '{triggered_by,type}' FROM mistral.executions WHERE workflow_name = 'w'), 'cron_trigger',
          'and whose description says who started it');
SELECT pg_temp.at('10:05:10');
SELECT is(pg_temp.run(), 1, 'what was missed is caught up with once');
SELECT is(pg_temp.slots('every'), '10:01 started, 10:05 started', 'with the last slot');
SELECT is(pg_temp.next('every'), '10:06:00', 'and goes on');
SELECT throws_ok($$SELECT mistral.create_cron_trigger('every', 'quick', '* * * * *')$$, '42710', 'cron trigger "every" exists already');
SELECT throws_ok($$SELECT mistral.create_cron_trigger('other', 'w', '* * * * *', '{"n": 1}', '{"env": {"e": 1}}')$$, '42710',
                 'cron trigger "every" does the same already');

-- The clock is set back: what has fired does not fire again, what has not does.
SELECT pg_temp.at('10:03:20');
SELECT pg_temp.run();
SELECT is(pg_temp.next('every'), '10:04:00', 'the clock was set back: planned anew');
SELECT pg_temp.at('10:04');
SELECT is(pg_temp.run(), 1, 'a slot that has not been used fires');
SELECT is(pg_temp.next('every'), '10:06:00', 'one that has is passed over');
SELECT pg_temp.at('13:00');
SELECT is(pg_temp.run(), 1, 'the clock jumps forward: once');
SELECT mistral.delete_cron_trigger('every');
SELECT is((SELECT count(*)::int FROM mistral.cron_triggers), 0, 'deleted');
SELECT is((SELECT count(*)::int FROM mistral.cron_slot), 0, 'with its slots');
SELECT is((SELECT count(*)::int FROM mistral.executions WHERE workflow_name = 'w' AND state = 'RUNNING'), 4, 'its executions go on');

-- catch-up
SELECT pg_temp.at('10:00');
SELECT mistral.create_cron_trigger('all', 'quick', '*/10 * * * *', catchup => 'all', catchup_window => '1 hour');
SELECT mistral.create_cron_trigger('none', 'quick', '*/10 * * * *', catchup => 'none', params => '{"env": {}}');
SELECT pg_temp.at('10:10:05');
SELECT pg_temp.run();
SELECT is(pg_temp.slots('none'), '10:10 started', 'catchup none: a little late is not missed');
SELECT pg_temp.at('12:05');
SELECT pg_temp.run();
SELECT is(pg_temp.slots('none'), '10:10 started', 'catchup none: what is missed is gone');
SELECT is(pg_temp.slots('all'), '10:10 started, 11:10 started, 11:20 started, 11:30 started, 11:40 started, 11:50 started, 12:00 started',
          'catchup all: each, within the window');
SELECT is(mistral.backfill_cron_trigger('none', '2030-01-01 10:00Z', '2030-01-01 10:30Z'), 3, 'backfill starts what has not been used');
SELECT is(pg_temp.slots('none'), '10:00 started, 10:10 started, 10:20 started, 10:30 started', 'each slot once');
SELECT is(mistral.backfill_cron_trigger('none', '2030-01-01 10:00Z', '2030-01-01 10:30Z'), 0, 'and not again');
SELECT throws_ok($$SELECT mistral.backfill_cron_trigger('none', '2030-01-01 10:00Z', '2031-01-01')$$, '22023', 'the interval must be finite and lie in the past');
SELECT mistral.delete_cron_trigger('all'), mistral.delete_cron_trigger('none');

-- overlap
CREATE TEMP TABLE policies (n int GENERATED ALWAYS AS IDENTITY, policy text, first text, last text);
INSERT INTO policies (policy, first, last) VALUES
('allow_all', '10:01 RUNNING, 10:02 RUNNING, 10:03 RUNNING', '10:01 SUCCESS, 10:02 RUNNING, 10:03 RUNNING'),
('skip', '10:01 RUNNING', '10:01 SUCCESS'),
('buffer_one', '10:01 RUNNING', '10:01 SUCCESS, 10:02 RUNNING'),
('buffer_all', '10:01 RUNNING', '10:01 SUCCESS, 10:02 RUNNING'),
('cancel_other', '10:01 CANCELLED, 10:02 CANCELLED, 10:03 RUNNING', '10:01 CANCELLED, 10:02 CANCELLED, 10:03 SUCCESS'),
('terminate_other', '10:01 ERROR, 10:02 ERROR, 10:03 RUNNING', '10:01 ERROR, 10:02 ERROR, 10:03 SUCCESS');
CREATE FUNCTION pg_temp.check_overlap(c policies) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_temp.at('10:00');
    PERFORM mistral.create_cron_trigger(c.policy, 'w', '* * * * *', '{"n": 1}', overlap => c.policy);
    FOR minute IN 1 .. 3 LOOP
        PERFORM pg_temp.at('10:0' || minute);
        PERFORM pg_temp.run();
    END LOOP;
    RETURN NEXT is(pg_temp.running(c.policy), c.first, c.policy || ': three slots');
    PERFORM pg_temp.end_first(c.policy);
    PERFORM pg_temp.run();
    RETURN NEXT is(pg_temp.running(c.policy), c.last, c.policy || ': the first one ends');
    IF c.policy = 'buffer_one' THEN
        RETURN NEXT is(pg_temp.slots(c.policy), '10:01 started, 10:02 started, 10:03 skipped', 'buffer_one keeps one');
    ELSIF c.policy = 'buffer_all' THEN
        RETURN NEXT is((SELECT waiting::int FROM mistral.cron_triggers), 1, 'buffer_all keeps the next');
        PERFORM pg_temp.end_first(c.policy);
        PERFORM pg_temp.run();
        RETURN NEXT is(pg_temp.running(c.policy), '10:01 SUCCESS, 10:02 SUCCESS, 10:03 RUNNING', 'and starts it');
    END IF;
    PERFORM mistral.delete_cron_trigger(c.policy);
END $$;
SELECT pg_temp.check_overlap(o) FROM policies o ORDER BY n;

-- first time and an end
SELECT pg_temp.at('10:00');
SELECT mistral.create_cron_trigger('once', 'quick', first_time => '2030-01-01 10:30:15Z');
SELECT is((SELECT remaining_executions FROM mistral.cron_triggers), 1, 'a first time alone is one execution');
SELECT pg_temp.at('10:30');
SELECT is(pg_temp.run(), 0, 'not early');
SELECT pg_temp.at('11:00');
SELECT is(pg_temp.run(), 1, 'late, but it starts');
SELECT is((SELECT count(*)::int FROM mistral.cron_triggers), 0, 'and the trigger is gone');
SELECT mistral.create_cron_trigger('twice', 'quick', '0 * * * *', first_time => '2030-01-01 11:20Z', remaining => 2);
SELECT pg_temp.at('11:20');
SELECT is(pg_temp.run(), 1, 'the first time first');
SELECT is(pg_temp.next('twice'), '12:00:00', 'then the pattern');
SELECT pg_temp.at('12:00');
SELECT is(pg_temp.run(), 1, 'the last');
SELECT is((SELECT count(*)::int FROM mistral.cron_triggers), 0, 'ends it');

-- pause and resume
SELECT mistral.create_cron_trigger('p', 'quick', '* * * * *');
SELECT mistral.pause_cron_trigger('p');
SELECT pg_temp.at('12:10:30');
SELECT is(pg_temp.run(), 0, 'paused');
SELECT mistral.resume_cron_trigger('p');
SELECT is(pg_temp.next('p'), '12:11:00', 'resumed: with the next slot');
SELECT mistral.delete_cron_trigger('p');

-- jitter
SELECT mistral.create_cron_trigger('j', 'quick', '0 * * * *', jitter => '10 min');
SELECT ok(due_at > slot AND due_at < slot + interval '10 min', 'jitter puts a slot off by less than it') FROM mistral.cron_due;
SELECT pg_temp.at('13:00');
SELECT is(pg_temp.run(), 0, 'not at the slot itself');
SELECT pg_temp.at('13:10');
SELECT is(pg_temp.run(), 1, 'but later');
SELECT is(pg_temp.slots('j'), '13:00 started', 'it is the same slot');
SELECT mistral.delete_cron_trigger('j');

-- One bad trigger stops nothing.
SELECT mistral.load_workflow(E'version: "2.0"\nbad:\n  tasks: {t: {action: std.noop}}');
SELECT mistral.create_cron_trigger('bad', 'bad', '* * * * *');
SELECT mistral.create_cron_trigger('good', 'quick', '* * * * *');
SELECT mistral.create_cron_trigger('bad once', 'bad', first_time => '2030-01-01 13:10:30Z');
SELECT mistral.delete_workflow('bad');
SELECT pg_temp.at('13:11');
SELECT pg_temp.run();
SELECT is(pg_temp.slots('good'), '13:11 started', 'a bad trigger does not hold up a good one');
SELECT is((SELECT last_error FROM mistral.cron_triggers WHERE name = 'bad'), 'workflow "bad" does not exist', 'it says what is wrong');
SELECT is(pg_temp.slots('bad'), '13:11 error', 'its slot is used up');
SELECT is(pg_temp.next('bad'), '13:12:00', 'and it goes on');
SELECT is((SELECT paused FROM mistral.cron_triggers WHERE name = 'bad once'), true, 'one that has a single slot waits for somebody');
SELECT mistral.load_workflow(E'version: "2.0"\nbad:\n  tasks: {t: {action: std.noop}}');
SELECT mistral.resume_cron_trigger('bad once');
SELECT pg_temp.run();
SELECT is((SELECT count(*)::int FROM mistral.cron_triggers WHERE name = 'bad once'), 0, 'and starts when it is resumed');

-- Not even one that cannot be read: its time zone is known no longer.
UPDATE mistral.cron_trigger SET timezone = 'Mars/Olympus' WHERE name = 'bad';
SELECT pg_temp.at('13:12');
SELECT pg_temp.run();
SELECT is(pg_temp.slots('good'), '13:11 started, 13:12 started', 'one that cannot be read does not hold up a good one');
SELECT is((SELECT to_char(due_at AT TIME ZONE 'UTC', 'HH24:MI') FROM mistral.cron_due WHERE trigger_id = (SELECT id FROM mistral.cron_trigger WHERE name = 'bad')),
          '13:13', 'it is tried again later');
UPDATE mistral.cron_trigger SET timezone = 'UTC' WHERE name = 'bad';

-- What is refused.
SELECT throws_ok($$SELECT mistral.create_cron_trigger('x', 'nowhere', '* * * * *')$$, 'MS003', 'workflow "nowhere" does not exist');
SELECT throws_ok($$SELECT mistral.create_cron_trigger('x', 'w', '* * * * *')$$, 'MS004', 'cannot start workflow "w"');
SELECT throws_ok($$SELECT mistral.create_cron_trigger('x', 'quick')$$, '22023', 'a cron trigger needs a pattern, a first time, or both');
SELECT throws_ok($$SELECT mistral.create_cron_trigger('x', 'quick', '* * *')$$, '22023', 'invalid cron pattern "* * *"');
SELECT throws_ok($$SELECT mistral.create_cron_trigger('x', 'quick', '0 0 30 2 *')$$, '22023', 'cron pattern "0 0 30 2 *" has no slot within 50 years');
SELECT throws_ok($$SELECT mistral.create_cron_trigger('x', 'quick', first_time => '2020-01-01')$$, '22023', 'first_time must not be in the past');
SELECT throws_ok($$SELECT mistral.create_cron_trigger('x', 'quick', first_time => '2040-01-01', remaining => 2)$$, '22023', 'a cron trigger without a pattern starts one execution');
SELECT throws_ok($$SELECT mistral.create_cron_trigger('x', 'quick', '* * * * *', remaining => 0)$$, '22023', 'remaining must be at least 1');
SELECT throws_ok($$SELECT mistral.create_cron_trigger('x', 'quick', '* * * * *', overlap => 'maybe')$$, '22023', 'overlap policy "maybe" does not exist');
SELECT throws_ok($$SELECT mistral.create_cron_trigger('x', 'quick', '* * * * *', catchup => 'maybe')$$, '22023', 'catch-up policy "maybe" does not exist');
SELECT throws_ok($$SELECT mistral.delete_cron_trigger('x')$$, 'MS003', 'cron trigger "x" does not exist');

-- Other roles.
CREATE ROLE mistral_cron_ann;
CREATE ROLE mistral_cron_bob;
SELECT mistral.grant_access('mistral_cron_ann', 'operator'), mistral.grant_access('mistral_cron_bob', 'operator');
SELECT mistral.load_workflow(E'version: "2.0"\nshared:\n  tasks: {t: {action: std.noop}}', scope => 'public');
SET ROLE mistral_cron_ann;
SELECT mistral.create_cron_trigger('mine', 'shared', '* * * * *');
SET ROLE mistral_cron_bob;
SELECT is((SELECT count(*)::int FROM mistral.cron_triggers), 0, 'another''s trigger is not seen');
SELECT throws_ok($$SELECT mistral.delete_cron_trigger('mine')$$, 'MS003', 'cron trigger "mine" does not exist');
SELECT throws_ok($$SELECT mistral.run_schedules()$$, '42501', NULL, 'who operates does not run the schedules');
RESET ROLE;
SELECT pg_temp.at('13:13');
SELECT pg_temp.run();
SELECT is((SELECT owner::text FROM mistral.executions WHERE workflow_name = 'shared'), 'mistral_cron_ann', 'it starts with its owner''s rights');

SELECT * FROM finish();
ROLLBACK;

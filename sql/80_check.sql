-- Integrity: what must never be there, in tables without foreign keys.

CREATE FUNCTION mistral.check()
  RETURNS TABLE (problem text, id uuid, detail text)
  LANGUAGE sql STABLE
BEGIN ATOMIC
  SELECT 'task without execution', t.id, t.name
    FROM mistral.task t
   WHERE NOT EXISTS (SELECT FROM mistral.execution e WHERE e.id OPERATOR(pg_catalog.=) t.execution_id)
  UNION ALL
  SELECT 'action execution without task', a.id, a.name
    FROM mistral.action_execution a
   WHERE a.task_id IS NOT NULL
     AND NOT EXISTS (SELECT FROM mistral.task t WHERE t.id OPERATOR(pg_catalog.=) a.task_id)
  UNION ALL
  SELECT 'sub-workflow without task or root', e.id, e.name
    FROM mistral.execution e
   WHERE e.root_id OPERATOR(pg_catalog.<>) e.id
     AND (NOT EXISTS (SELECT FROM mistral.task t WHERE t.id OPERATOR(pg_catalog.=) e.parent_task_id)
          OR NOT EXISTS (SELECT FROM mistral.execution r WHERE r.id OPERATOR(pg_catalog.=) e.root_id))
  UNION ALL
  SELECT 'execution without definition', e.id, e.name
    FROM mistral.execution e
   WHERE NOT EXISTS (SELECT FROM mistral.definition d WHERE d.id OPERATOR(pg_catalog.=) e.definition_id)
  UNION ALL
  SELECT 'timer of nothing', m.target_id, m.kind
    FROM mistral.timer m
   WHERE NOT EXISTS (SELECT FROM mistral.task t WHERE t.id OPERATOR(pg_catalog.=) m.target_id)
     AND NOT EXISTS (SELECT FROM mistral.execution e WHERE e.id OPERATOR(pg_catalog.=) m.target_id)
     AND NOT EXISTS (SELECT FROM mistral.action_execution a WHERE a.id OPERATOR(pg_catalog.=) m.target_id)
     AND NOT EXISTS (SELECT FROM mistral.webhook w WHERE w.id OPERATOR(pg_catalog.=) m.target_id)
  UNION ALL
  SELECT 'attempt of an action that has ended', p.action_id, p.action
    FROM mistral.attempt p
    JOIN mistral.action_execution a ON a.id OPERATOR(pg_catalog.=) p.action_id
   WHERE a.finished_at IS NOT NULL
     AND a.finished_at OPERATOR(pg_catalog.<) (pg_catalog.now() OPERATOR(pg_catalog.-) '1 hour'::interval)
  UNION ALL
  SELECT 'slot of no cron trigger', d.trigger_id, d.slot::text
    FROM (SELECT trigger_id, slot FROM mistral.cron_due UNION ALL SELECT trigger_id, slot FROM mistral.cron_slot
          UNION ALL SELECT trigger_id, slot FROM mistral.cron_waiting) d
   WHERE NOT EXISTS (SELECT FROM mistral.cron_trigger t WHERE t.id OPERATOR(pg_catalog.=) d.trigger_id)
  UNION ALL
  SELECT 'offer or lease of an action that has ended', p.action_id, p.action
    FROM (SELECT o.action_id, o.action FROM mistral.offer o UNION ALL SELECT l.action_id, l.action FROM mistral.lease l) p
    LEFT JOIN mistral.action_execution a ON a.id OPERATOR(pg_catalog.=) p.action_id
   WHERE a.id IS NULL
      OR a.finished_at OPERATOR(pg_catalog.<) (pg_catalog.now() OPERATOR(pg_catalog.-) '1 hour'::interval)
  UNION ALL
  SELECT 'wait for an event of an action that has ended', w.action_id, w.event
    FROM mistral.event_wait w
    LEFT JOIN mistral.action_execution a ON a.id OPERATOR(pg_catalog.=) w.action_id
   WHERE a.id IS NULL
      OR a.finished_at OPERATOR(pg_catalog.<) (pg_catalog.now() OPERATOR(pg_catalog.-) '1 hour'::interval)
  UNION ALL
  SELECT 'webhook that has failed without execution', w.id, w.event
    FROM mistral.webhook w
   WHERE w.failed
     AND NOT EXISTS (SELECT FROM mistral.execution e WHERE e.id OPERATOR(pg_catalog.=) w.execution_id)
  UNION ALL
  SELECT 'cause of no execution', r.execution_id, r.event
    FROM mistral.hook_run r
   WHERE NOT EXISTS (SELECT FROM mistral.execution e WHERE e.id OPERATOR(pg_catalog.=) r.execution_id)
  UNION ALL
  SELECT 'message put aside', m.root_id, m.error
    FROM mistral.parked_message m
  UNION ALL
  SELECT 'execution that waits for nothing', r.id,
         -- What stands still in it, by which it can be found what was lost.
         pg_catalog.concat_ws(': ', r.name,
           (SELECT pg_catalog.string_agg(pg_catalog.format('task "%s" of %s is %s', t.name, t.workflow, t.state), ', ' ORDER BY t.ordinal)
              FROM (SELECT k.name, s.name AS workflow, k.state, k.ordinal
                      FROM mistral.execution s
                      JOIN mistral.task k ON k.execution_id OPERATOR(pg_catalog.=) s.id
                     WHERE s.root_id OPERATOR(pg_catalog.=) r.id AND k.finished_at IS NULL
                     ORDER BY k.ordinal LIMIT 10) t))
    FROM mistral.execution r
   WHERE r.root_id OPERATOR(pg_catalog.=) r.id
     AND r.state OPERATOR(pg_catalog.=) ANY (ARRAY['IDLE', 'RUNNING'])
     AND NOT EXISTS (SELECT FROM mistral.message m WHERE m.root_id OPERATOR(pg_catalog.=) r.id)
     AND NOT EXISTS (SELECT FROM mistral.timer m WHERE m.root_id OPERATOR(pg_catalog.=) r.id)
     AND NOT EXISTS (SELECT FROM mistral.execution s
                       JOIN mistral.task t ON t.execution_id OPERATOR(pg_catalog.=) s.id
                       JOIN mistral.action_execution a ON a.task_id OPERATOR(pg_catalog.=) t.id
                      WHERE s.root_id OPERATOR(pg_catalog.=) r.id AND a.finished_at IS NULL)
     AND NOT EXISTS (SELECT FROM mistral.execution s
                      WHERE s.root_id OPERATOR(pg_catalog.=) r.id AND s.state OPERATOR(pg_catalog.=) 'PAUSED');
END;
COMMENT ON FUNCTION mistral.check() IS
  'What must never be there: rows without their owners, messages put aside, executions that wait for nothing. No row means that all is well; for the extension''s owner';

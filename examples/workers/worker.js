#!/usr/bin/env node
// A pull worker: performs the actions of a target.  README.md says how to run it; needs the module pg.
//
// The connection is the environment's (PGHOST, PGDATABASE ...).  MISTRAL_TARGET (demo), MISTRAL_LEASE (seconds, 60) and
// MISTRAL_BATCH (how many to claim at once, 5) say what it takes.  On SIGTERM it finishes what it has, and ends.
'use strict';
const os = require('os');
const { Client } = require('pg');

const target = process.env.MISTRAL_TARGET || 'demo';
const lease = Number(process.env.MISTRAL_LEASE || 60);
const batch = Number(process.env.MISTRAL_BATCH || 5);
const worker = `node:${os.hostname()}:${process.pid}`;
const refused = ['MS021', 'MS022', 'MS024', 'MS025'];	// ended otherwise, gone, or in the hands of another attempt

let connecting = null;		// the promise of a connection, while there is one or is to be one
let stopping = false;
let wake = () => {};		// ends the wait for work
const held = new Set();		// the ids of the actions whose lease is ours

const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

// The work itself.  `key` is the action execution's id, the same for every attempt: what must not happen twice takes it
// along, as an Idempotency-Key or as a primary key, and finds out that it has happened already.
async function perform(action, input, key) {
	if (action !== 'square') throw new Error(`no such action: ${action}`);
	await sleep(input.seconds || 0);
	return { square: input.n ** 2, worker };
}

async function connect() {
	const client = new Client({ application_name: worker });
	const lost = () => { client.lost = true; connecting = null; wake(); };
	client.on('error', lost);
	client.on('end', lost);
	client.on('notification', () => wake());
	try {
		await client.connect();
		await client.query('LISTEN mistral_actions');
	} catch (error) {
		lost();
		client.end().catch(() => {});
		throw error;
	}
	return client;
}

// The rows of one statement, a transaction by itself.  Each of ours may be said twice, so one whose connection broke is
// said again on the next; leases of a claim whose answer was lost run out.
async function call(statement, ...values) {
	for (;;) {
		let client = null;
		try {
			client = await (connecting = connecting || connect());
			return (await client.query(statement, values)).rows;
		} catch (error) {
			// Class 57: the server is shutting down, and closes the connection in a moment.
			const broken = client === null || client.lost || !error.code || /^57P/.test(error.code);
			if (stopping || !broken) throw error;
			connecting = null;
			console.log(`no connection: ${error.message}`);
		}
		await sleep(1);
	}
}

// Prolongs our leases, well before they run out, and forgets those that are lost.
async function heartbeat() {
	const ids = [...held];
	if (ids.length === 0) return;
	const rows = await call(`SELECT id FROM unnest($1::uuid[]) AS id
		WHERE mistral.heartbeat_actions(ARRAY[id], make_interval(secs => $2), $3) = 1`, ids, lease, worker);
	const kept = new Set(rows.map((row) => row.id));
	ids.filter((id) => !kept.has(id)).forEach((id) => held.delete(id));
}

// The token fences: whoever has lost the lease is refused, and does not disturb who has it now.
async function report(name, key, value, attempt, token) {
	try {
		await call(`SELECT mistral.${name}($1, $2, token => $3)`, key, JSON.stringify(value), token);
		console.log(`${name} ${key} attempt ${attempt}`);
	} catch (error) {
		console.log(`refused ${key} attempt ${attempt}: ${error.code}`);
		if (name === 'complete_action' && error.code && !refused.includes(error.code))
			await report('fail_action', key, error.message, attempt, token);	// too large, for instance: nobody can give this result
	}
}

async function main(perform) {
	process.on('SIGTERM', () => { stopping = true; wake(); });
	const timer = setInterval(() => heartbeat().catch((error) => console.log(`no heartbeat: ${error.message}`)), lease * 1000 / 3);
	while (!stopping) {
		// Before the question, so that what is said while it is asked is heard.
		const told = new Promise((resolve) => { wake = resolve; });
		const rows = await call(`SELECT action_execution_id, action, input, attempt, token
			FROM mistral.claim_actions($1, $2, $3, make_interval(secs => $4))`, target, worker, batch, lease)
			.catch((error) => { console.log(`cannot claim: ${error.message}`); return []; });
		rows.forEach((row) => held.add(row.action_execution_id));
		if (rows.length === 0) {
			const timeout = setTimeout(wake, 2000);
			await told;
			clearTimeout(timeout);
		}
		for (const { action_execution_id: key, action, input, attempt, token } of rows) {
			if (!held.has(key)) continue;	// lost while we did the others
			await perform(action, input, key).then(
				(result) => report('complete_action', key, result, attempt, token),
				(error) => report('fail_action', key, error.message, attempt, token));
			held.delete(key);
		}
	}
	clearInterval(timer);
	if (connecting) await connecting.then((client) => client.end()).catch(() => {});
}

if (require.main === module) main(perform);
module.exports = { main };

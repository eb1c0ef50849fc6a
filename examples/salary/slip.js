#!/usr/bin/env node
// The pull worker that writes pay slips: ../workers/worker.js with work of its own.
'use strict';
const { main } = require('../workers/worker.js');

async function slip(action, input) {
	const line = (name, amount) => `${name.padEnd(12)}${amount.toFixed(2).padStart(10)} EUR`;
	return { text: [`${input.employee}, ${input.month}`, '', line('gross', input.gross), line('tax', -input.tax),
		line('net', input.net)].join('\n') };
}

main(slip);

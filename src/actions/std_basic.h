/*
 * std_basic.h
 *		The inline actions: each takes its checked input and fills the outcome.
 */
#ifndef MISTRAL_STD_BASIC_H
#define MISTRAL_STD_BASIC_H

#include "actions/registry.h"

extern void run_echo(const Jsonb *input, ActionOutcome *outcome);
extern void run_fail(const Jsonb *input, ActionOutcome *outcome);
extern void run_noop(const Jsonb *input, ActionOutcome *outcome);
extern void run_sleep(const Jsonb *input, ActionOutcome *outcome);
extern void run_test_dict(const Jsonb *input, ActionOutcome *outcome);

#endif							/* MISTRAL_STD_BASIC_H */

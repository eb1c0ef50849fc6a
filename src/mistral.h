/*
 * mistral.h
 *		What every layer shares: states, identifiers, limits.
 *
 * Layers, each calling only itself and lower ones:
 *
 *	base < dsl, expr < actions < engine, queue < executor < worker < api
 */
#ifndef MISTRAL_H
#define MISTRAL_H

#include "postgres.h"

#include "utils/uuid.h"

#include "errcodes.h"

/*
 * States of executions, tasks and action executions, spelled as Mistral's API
 * spells them (state_name).  Stored as text.
 */
typedef enum State
{
	STATE_IDLE,
	STATE_WAITING,
	STATE_RUNNING,
	STATE_DELAYED,
	STATE_PAUSED,
	STATE_SUCCESS,
	STATE_CANCELLED,
	STATE_ERROR,
	STATE_SKIPPED
} State;

#define STATE_COUNT (STATE_SKIPPED + 1)

/* Longest names that the original accepts, in characters. */
#define MAX_NAME_LENGTH 255
#define MAX_JOIN_NAME_LENGTH 208

/* How the names of events of states begin: nobody else may publish such. */
#define STATE_EVENT_PREFIX "mistral."
#define IS_STATE_EVENT(name) (strncmp(name, STATE_EVENT_PREFIX, strlen(STATE_EVENT_PREFIX)) == 0)

/* A state_info longer than this many bytes is cut (at a character boundary). */
#define MAX_STATE_INFO 65500

#endif							/* MISTRAL_H */

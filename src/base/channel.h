/*
 * channel.h
 *		Frames over the socket pair between the worker and the program: four
 *		bytes of length, in the machine's order, and a JSON object.  A frame
 *		without a body asks for one: who gets it back knows that the program lives.
 *
 * To the program:
 *		{"op": "start", "modules": [path, ...], "directory":, "max_result": bytes}, first
 *		{"op": "egress", "allow": networks, "deny": networks, "own_port":}, before that and whenever they change
 *		{"op": "submit", "id":, "action":, "attempt":, "timeout":, "owner":, "safe_rerun": bool, "input": {}}
 *		{"op": "cancel", "id":}
 *		{"op": "configure", "sources": [{"module":, "name":, "config": {}}]}
 *		{"op": "delivered", "source":, "number":, "committed": bool, "size": bytes of its payload}
 * From it:
 *		{"op": "hello", "modules": [{"file":, "name":, "error":, "actions": [{"name":, "params":, "description":, "answered": bool}]}]}
 *		{"op": "finish", "id":, "success": bool, "result":}
 *		{"op": "log", "level":, "text":}
 *		{"op": "deliver", "source":, "number":, "key":, "payload":}
 */
#ifndef MISTRAL_CHANNEL_H
#define MISTRAL_CHANNEL_H

#include "base/plain_json.h"

/* The descriptor that the program finds the socket at. */
#define CHANNEL_FD 3

/* No frame is longer than what may be a value's size and this. */
#define CHANNEL_SLACK (64 * 1024)
#define CHANNEL_MAX_FRAME (272 * 1024 * 1024)

/* Begins and ends a frame at the buffer's end, which must be where the last one ended. */
extern void channel_begin(PlainBuffer *buffer, const char *op);
extern void channel_end(PlainBuffer *buffer, size_t begin);

/* A member of the object that the buffer ends with. */
extern void channel_add_string(PlainBuffer *buffer, const char *key, const char *text);
extern void channel_add_raw(PlainBuffer *buffer, const char *key, const char *json, size_t len);

/* A frame without a body. */
extern void channel_add_empty(PlainBuffer *buffer);

/*
 * Reads what is there and gives each complete frame to `handle`, which says
 * whether it understands it.  False when the other side has gone, or said what
 * cannot be understood (then *why says so).
 */
extern bool channel_read(int fd, PlainBuffer *in, bool (*handle) (void *arg, const char *body, size_t len), void *arg, const char **why);

/* Whether a body is a JSON object, and which. */
extern bool channel_object(const char *body, size_t len, PlainJson *object);

#endif							/* MISTRAL_CHANNEL_H */

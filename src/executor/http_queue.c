/*
 * http_queue.c
 *		Requests that wait until their host and their owner have room, or until
 *		a rate allows the next one.
 *
 * They wait here and not in the program, where their timeouts would run already.
 * Those of one host and owner are a lane, first in, first out: what one lane
 * waits for holds up no other.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "lib/ilist.h"

#include "executor/http_queue.h"
#include "executor/http_rate.h"
#include "guc.h"

#define HOSTS		1024
#define OWNERS		256
#define LANES		4096
#define LANE_CROWD	400			/* requests waiting in a lane above which it is crowded, at most */
#define CATCH_UP_NS INT64CONST(100000000)	/* what a rate left unused in so much time may be made up for */

typedef struct Host
{
	int			running;
	int64		next;			/* when its rate allows the next request, monotonic ns */
} Host;

typedef struct Owner
{
	int			running;
	int			waiting;
} Owner;

typedef struct Lane
{
	dlist_node	node;			/* in `busy` while something waits */
	dlist_head	waiting;
	int			nwaiting;
	bool		crowded;
} Lane;

static uint64 seed;				/* of the hashes */
static Host *hosts = NULL;
static Owner *owners = NULL;
static Lane *lanes = NULL;
static dlist_head busy = DLIST_STATIC_INIT(busy);
static int	nwaiting = 0;
static int64 next_start = -1;
static bool relieved = false;

static void leave_lane(HttpRequest *request);
static int	add_crowd(const char **places, Oid *of, int n, int max, const char *place, Oid owner);
static int	crowd_size(void);
static bool owner_crowded(const Owner *owner);

void
http_queue_start(void)
{
	int			i;

	/* Nobody shall be able to name a host that shares an entry with another one. */
	if (!pg_strong_random(&seed, sizeof(seed)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random values")));
	hosts = calloc(HOSTS, sizeof(Host));
	owners = calloc(OWNERS, sizeof(Owner));
	lanes = calloc(LANES, sizeof(Lane));
	if (hosts == NULL || owners == NULL || lanes == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	for (i = 0; i < LANES; i++)
		dlist_init(&lanes[i].waiting);
}

void
http_queue_shutdown(void)
{
	int			i;

	for (i = 0; lanes != NULL && i < LANES; i++)
		while (!dlist_is_empty(&lanes[i].waiting))
			http_request_free(dlist_container(HttpRequest, node, dlist_pop_head_node(&lanes[i].waiting)));
	free(hosts);
	free(owners);
	free(lanes);
	hosts = NULL;
	owners = NULL;
	lanes = NULL;
	dlist_init(&busy);
	nwaiting = 0;
	next_start = -1;
}

void
http_queue_place(HttpRequest *request)
{
	const char *host = strstr(request->origin, "://") + 3;
	uint32		hash = (uint32) hash_bytes_extended((const unsigned char *) host, strlen(host), seed);

	request->host = hash % HOSTS;
	request->owner_share = murmurhash32(request->owner) % OWNERS;
	request->lane = hash_combine(hash, murmurhash32(request->owner)) % LANES;
	request->interval_ns = http_rate_interval(host);
}

bool
http_queue_may_start(const HttpRequest *request, int64 now)
{
	const Host *host = &hosts[request->host];

	if (host->running >= guc_http_max_connections_per_host ||
		owners[request->owner_share].running >= guc_http_max_connections_per_owner)
		return false;
	if (request->interval_ns == 0 || host->next <= now)
		return true;
	if (next_start < 0 || host->next < next_start)
		next_start = host->next;
	return false;
}

void
http_queue_add(HttpRequest *request)
{
	Lane	   *lane = &lanes[request->lane];

	if (dlist_is_empty(&lane->waiting))
		dlist_push_tail(&busy, &lane->node);
	dlist_push_tail(&lane->waiting, &request->node);
	nwaiting++;
	owners[request->owner_share].waiting++;
	lane->nwaiting++;
	if (lane->nwaiting > Min(LANE_CROWD, crowd_size()))
		lane->crowded = true;
}

void
http_queue_started(HttpRequest *request, int64 now)
{
	Host	   *host = &hosts[request->host];

	host->running++;
	owners[request->owner_share].running++;
	if (request->interval_ns > 0)
		host->next = Max(host->next, now - CATCH_UP_NS) + request->interval_ns;
}

void
http_queue_ended(const HttpRequest *request)
{
	hosts[request->host].running--;
	if (owners[request->owner_share].running-- == guc_http_max_connections_per_owner)
		relieved = true;
}

void
http_queue_drain(int64 now, bool (*start) (HttpRequest *request))
{
	dlist_mutable_iter iter;

	next_start = -1;
	if (dlist_is_empty(&busy))
		return;
	/* Another one is first each time, so that none is served first for ever. */
	dlist_push_tail(&busy, dlist_pop_head_node(&busy));
	dlist_foreach_modify(iter, &busy)
	{
		Lane	   *lane = dlist_container(Lane, node, iter.cur);

		while (!dlist_is_empty(&lane->waiting))
		{
			HttpRequest *request = dlist_container(HttpRequest, node, dlist_head_node(&lane->waiting));

			if (!http_queue_may_start(request, now))
				break;
			leave_lane(request);
			if (!start(request))
				return;
		}
	}
}

int
http_queue_waiting(void)
{
	return nwaiting;
}

int64
http_queue_next(void)
{
	return next_start;
}

int
http_queue_crowded(const char **places, Oid *of, int max)
{
	int			n = 0;
	dlist_iter	iter;

	dlist_foreach(iter, &busy)
	{
		Lane	   *lane = dlist_container(Lane, node, iter.cur);
		dlist_iter	it;

		dlist_foreach(it, &lane->waiting)
		{
			HttpRequest *request = dlist_container(HttpRequest, node, it.cur);
			const char *place = request->place;

			if (owner_crowded(&owners[request->owner_share]))
				place = NULL;
			else if (!lane->crowded)
				continue;
			n = add_crowd(places, of, n, max, place, request->owner);
		}
	}
	return n;
}

bool
http_queue_relieved(void)
{
	bool		result = relieved;

	relieved = false;
	return result;
}

static void
leave_lane(HttpRequest *request)
{
	Lane	   *lane = &lanes[request->lane];

	dlist_delete(&request->node);
	if (dlist_is_empty(&lane->waiting))
		dlist_delete(&lane->node);
	nwaiting--;
	if (owners[request->owner_share].waiting-- == crowd_size() / 2)
		relieved = true;
	lane->nwaiting--;
	if (lane->crowded && lane->nwaiting <= Min(LANE_CROWD, crowd_size()) / 2)
	{
		lane->crowded = false;
		relieved = true;
	}
}

/* One that is there already is not added again: a host may be spelled in several ways. */
static int
add_crowd(const char **places, Oid *of, int n, int max, const char *place, Oid owner)
{
	int			i;

	for (i = 0; i < n; i++)
		if (of[i] == owner && (places[i] == place || (places[i] && place && strcmp(places[i], place) == 0)))
			return n;
	if (n == max)
		return n;
	places[n] = place;
	of[n] = owner;
	return n + 1;
}

/* What is claimed, four times what may run, must have room for several crowds. */
static int
crowd_size(void)
{
	return Max(guc_http_max_connections / 2, 1);
}

/* Many wait because the owner has as many under way as it may: not because of their hosts, which others of its may not share. */
static bool
owner_crowded(const Owner *owner)
{
	return owner->waiting > crowd_size() && owner->running >= guc_http_max_connections_per_owner;
}

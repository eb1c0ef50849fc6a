/*
 * egress.c
 *		Lists of networks, and which addresses two of them let through.
 *
 * IPv6 has several ways to write an IPv4 address.  A mapped one (::ffff:a.b.c.d)
 * is that IPv4 address.  One that some gateway would translate (NAT64, SIIT,
 * 6to4, IPv4-compatible) must pass as what it is and as what it carries.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/egress.h"

#define V4_BYTES 4
#define V6_BYTES 16

struct Network
{
	int			bytes;			/* of the address: V4_BYTES or V6_BYTES */
	int			prefix;			/* bits that count */
	unsigned char address[V6_BYTES];
};

static const unsigned char mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
static const unsigned char nat64_prefix[12] = {0x00, 0x64, 0xff, 0x9b};
static const unsigned char siit_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static bool next_element(const char **cursor, const char **element, int *len);
static bool parse_network(const char *element, int len, Network *network);
static bool set_list(NetworkList *list, const char *text);
static bool prefix_equal(const unsigned char *a, const unsigned char *b, int bits);
static bool list_holds(const NetworkList *list, const unsigned char *address, int bytes);
static bool bytes_allowed(const Egress *egress, const unsigned char *address, int bytes);
static bool v6_allowed(const Egress *egress, const unsigned char *address);

bool
egress_list_valid(const char *list, const char **bad, int *badlen)
{
	const char *cursor = list;

	while (next_element(&cursor, bad, badlen))
	{
		Network		network;

		if (!parse_network(*bad, *badlen, &network))
			return false;
	}
	return true;
}

bool
egress_set(Egress *egress, const char *allow, const char *deny, int own_port)
{
	egress->own_port = own_port;
	return set_list(&egress->allow, allow) && set_list(&egress->deny, deny);
}

bool
egress_allowed(const Egress *egress, const struct sockaddr *address)
{
	if (egress_is_server(egress, address))
		return false;
	if (address->sa_family == AF_INET)
	{
		struct sockaddr_in v4;

		memcpy(&v4, address, sizeof(v4));
		return bytes_allowed(egress, (const unsigned char *) &v4.sin_addr, V4_BYTES);
	}
	if (address->sa_family == AF_INET6)
	{
		struct sockaddr_in6 v6;

		memcpy(&v6, address, sizeof(v6));
		return v6_allowed(egress, (const unsigned char *) &v6.sin6_addr);
	}
	return false;
}

bool
egress_is_server(const Egress *egress, const struct sockaddr *address)
{
	union
	{
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	}			here;
	socklen_t	len = address->sa_family == AF_INET ? sizeof(here.v4) : sizeof(here.v6);
	in_port_t  *port = address->sa_family == AF_INET ? &here.v4.sin_port : &here.v6.sin6_port;
	int			fd;
	bool		own;

	if (address->sa_family != AF_INET && address->sa_family != AF_INET6)
		return false;
	memcpy(&here, address, len);
	if (ntohs(*port) != egress->own_port)
		return false;
	/* An address of this machine is one that something here can have.  In doubt it is. */
	*port = 0;
	fd = socket(address->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	own = fd < 0 || bind(fd, &here.any, len) == 0 || errno != EADDRNOTAVAIL;
	if (fd >= 0)
		close(fd);
	return own;
}

bool
egress_text_allowed(const Egress *egress, const char *address)
{
	unsigned char bytes[V6_BYTES];
	char		copy[INET6_ADDRSTRLEN];
	size_t		len = strcspn(address, "%");

	if (inet_pton(AF_INET, address, bytes) == 1)
		return bytes_allowed(egress, bytes, V4_BYTES);
	/* A link-local address may name its interface after a percent sign. */
	if (len >= sizeof(copy))
		return false;
	memcpy(copy, address, len);
	copy[len] = '\0';
	if (inet_pton(AF_INET6, copy, bytes) == 1)
		return v6_allowed(egress, bytes);
	return false;
}

/* The next element between commas, without the blanks around it; empty ones are skipped. */
static bool
next_element(const char **cursor, const char **element, int *len)
{
	const char *p = *cursor;
	const char *end;

	if (p == NULL)
		return false;
	while (*p == ',' || isspace((unsigned char) *p))
		p++;
	if (*p == '\0')
		return false;
	end = p + strcspn(p, ",");
	*cursor = end;
	while (end > p && isspace((unsigned char) end[-1]))
		end--;
	*element = p;
	*len = end - p;
	return true;
}

/*
 * "address" or "address/bits".  Bits of the address beyond the prefix are an
 * error: 10.0.0.1/8 may mean one host or a whole network, and a list that
 * guards something must not guess.
 */
static bool
parse_network(const char *element, int len, Network *network)
{
	char		text[INET6_ADDRSTRLEN + 5];
	char	   *slash;
	unsigned char masked[V6_BYTES];
	int			bits;
	int			i;

	if (len >= (int) sizeof(text))
		return false;
	memcpy(text, element, len);
	text[len] = '\0';
	slash = strchr(text, '/');
	if (slash)
		*slash = '\0';

	memset(network, 0, sizeof(*network));
	if (inet_pton(AF_INET, text, network->address) == 1)
		network->bytes = V4_BYTES;
	else if (inet_pton(AF_INET6, text, network->address) == 1)
		network->bytes = V6_BYTES;
	else
		return false;

	bits = network->bytes * 8;
	network->prefix = bits;
	if (slash)
	{
		char	   *end;
		long		prefix = strtol(slash + 1, &end, 10);

		if (!isdigit((unsigned char) slash[1]) || *end != '\0' || prefix > bits)
			return false;
		network->prefix = prefix;
	}

	memset(masked, 0, sizeof(masked));
	for (i = 0; i < network->prefix; i++)
		masked[i / 8] |= network->address[i / 8] & (0x80 >> (i % 8));
	if (memcmp(masked, network->address, network->bytes) != 0)
		return false;

	/* Mapped IPv4 addresses are compared as IPv4 ones, so their networks must be too. */
	if (network->bytes == V6_BYTES && network->prefix >= 96 &&
		memcmp(network->address, mapped_prefix, sizeof(mapped_prefix)) == 0)
	{
		memmove(network->address, network->address + 12, V4_BYTES);
		network->bytes = V4_BYTES;
		network->prefix -= 96;
	}
	return true;
}

/* A text is right in every element: egress_list_valid has seen it. */
static bool
set_list(NetworkList *list, const char *text)
{
	const char *cursor;
	const char *element;
	char	   *copy;
	Network    *networks;
	int			count = 0;
	int			len;

	if (text == NULL)
		text = "";
	if (list->text != NULL && strcmp(list->text, text) == 0)
		return true;

	cursor = text;
	while (next_element(&cursor, &element, &len))
		count++;
	copy = strdup(text);
	networks = calloc(count + 1, sizeof(Network));
	if (copy == NULL || networks == NULL)
	{
		free(copy);
		free(networks);
		return false;
	}

	count = 0;
	cursor = text;
	while (next_element(&cursor, &element, &len))
		if (parse_network(element, len, &networks[count]))
			count++;

	free(list->text);
	free(list->networks);
	list->text = copy;
	list->networks = networks;
	list->count = count;
	return true;
}

static bool
prefix_equal(const unsigned char *a, const unsigned char *b, int bits)
{
	int			whole = bits / 8;
	int			rest = bits % 8;

	if (memcmp(a, b, whole) != 0)
		return false;
	return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

static bool
list_holds(const NetworkList *list, const unsigned char *address, int bytes)
{
	int			i;

	for (i = 0; i < list->count; i++)
	{
		const Network *network = &list->networks[i];

		if (network->bytes == bytes && prefix_equal(network->address, address, network->prefix))
			return true;
	}
	return false;
}

static bool
bytes_allowed(const Egress *egress, const unsigned char *address, int bytes)
{
	return !list_holds(&egress->deny, address, bytes) || list_holds(&egress->allow, address, bytes);
}

static bool
v6_allowed(const Egress *egress, const unsigned char *address)
{
	static const unsigned char zeros[12] = {0};

	if (memcmp(address, mapped_prefix, sizeof(mapped_prefix)) == 0)
		return bytes_allowed(egress, address + 12, V4_BYTES);
	if (!bytes_allowed(egress, address, V6_BYTES))
		return false;

	if (memcmp(address, nat64_prefix, sizeof(nat64_prefix)) == 0 || memcmp(address, siit_prefix, sizeof(siit_prefix)) == 0)
		return bytes_allowed(egress, address + 12, V4_BYTES);
	if (address[0] == 0x20 && address[1] == 0x02)	/* 6to4 */
		return bytes_allowed(egress, address + 2, V4_BYTES);
	/* ::a.b.c.d, but not :: and ::1, which are no IPv4 addresses */
	if (memcmp(address, zeros, sizeof(zeros)) == 0 &&
		(address[12] != 0 || address[13] != 0 || address[14] != 0 || address[15] > 1))
		return bytes_allowed(egress, address + 12, V4_BYTES);
	return true;
}

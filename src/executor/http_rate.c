/*
 * http_rate.c
 *		How often a host may be asked: mistral.http_rate_limits.
 *
 * The list is short, and read as it stands for each request.
 */
#include "postgres.h"

#include <math.h>

#include "executor/http_rate.h"
#include "guc.h"

#define NS_PER_S 1000000000.0
#define SLOWEST 0.0001			/* requests a second: one in three hours */
#define FASTEST 1000000.0

/* One element. */
typedef struct Rate
{
	const char *host;			/* "host", "host:port" or "*" */
	int			len;
	double		per_second;
} Rate;

static const char *next_element(const char *list, const char **element, int *len);
static bool read_element(const char *element, int len, Rate *rate);
static bool applies(const Rate *rate, const char *host);

bool
http_rate_list_valid(const char *list, char **bad)
{
	const char *element;
	int			len;
	Rate		rate;

	while ((list = next_element(list, &element, &len)) != NULL)
	{
		if (!read_element(element, len, &rate))
		{
			*bad = pnstrdup(element, len);
			return false;
		}
	}
	return true;
}

int64
http_rate_interval(const char *host)
{
	const char *list = guc_http_rate_limits;
	const char *element;
	int			len;
	Rate		rate;

	/* The first that applies counts. */
	while (list != NULL && (list = next_element(list, &element, &len)) != NULL)
		if (read_element(element, len, &rate) && applies(&rate, host))
			return (int64) (NS_PER_S / rate.per_second);
	return 0;
}

/* The text behind the next element, without blanks around it; NULL: there is none. */
static const char *
next_element(const char *list, const char **element, int *len)
{
	list += strspn(list, " \t,");
	if (*list == '\0')
		return NULL;
	*element = list;
	*len = strcspn(list, ",");
	list += *len;
	while ((*element)[*len - 1] == ' ' || (*element)[*len - 1] == '\t')
		(*len)--;
	return list;
}

static bool
read_element(const char *element, int len, Rate *rate)
{
	const char *equals = memchr(element, '=', len);
	char		number[32];
	char	   *end;
	int			digits;

	if (equals == NULL || equals == element)
		return false;
	rate->host = element;
	rate->len = equals - element;
	digits = element + len - equals - 1;
	if (digits < 1 || digits >= (int) sizeof(number) || (int) strcspn(element, " \t") < rate->len)
		return false;
	memcpy(number, equals + 1, digits);
	number[digits] = '\0';
	rate->per_second = strtod(number, &end);
	return *end == '\0' && rate->per_second >= SLOWEST && rate->per_second <= FASTEST;
}

/* "host" means every port of it. */
static bool
applies(const Rate *rate, const char *host)
{
	if (rate->len == 1 && rate->host[0] == '*')
		return true;
	return pg_strncasecmp(rate->host, host, rate->len) == 0 && (host[rate->len] == '\0' || host[rate->len] == ':');
}

/*
 * curl_floor.c
 *		What libcurl itself costs: N requests, so many in flight, nothing else.
 *
 *	curl_floor URL FLIGHT N		prints microseconds of CPU per request
 *
 * The handles are kept and used again, and so are the connections; the answers
 * are read into a buffer and forgotten.
 */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

static size_t
swallow(char *data, size_t size, size_t n, void *sum)
{
	*(size_t *) sum += size * n;
	return size * n;
}

static double
cpu_seconds(void)
{
	struct rusage r;

	getrusage(RUSAGE_SELF, &r);
	return r.ru_utime.tv_sec + r.ru_stime.tv_sec + (r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

int
main(int argc, char **argv)
{
	CURLM	   *multi;
	CURLMsg    *message;
	size_t		bytes = 0;
	double		start;
	long		flight;
	long		wanted;
	long		begun;
	long		ended = 0;
	int			running;
	int			left;

	if (argc != 4 || (flight = atol(argv[2])) < 1 || (wanted = atol(argv[3])) < flight)
	{
		fprintf(stderr, "curl_floor URL FLIGHT N\n");
		return 2;
	}
	curl_global_init(CURL_GLOBAL_DEFAULT);
	multi = curl_multi_init();
	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, flight);
	for (begun = 0; begun < flight; begun++)
	{
		CURL	   *easy = curl_easy_init();

		curl_easy_setopt(easy, CURLOPT_URL, argv[1]);
		curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, swallow);
		curl_easy_setopt(easy, CURLOPT_WRITEDATA, &bytes);
		curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
		curl_multi_add_handle(multi, easy);
	}
	start = cpu_seconds();
	while (ended < wanted)
	{
		if (curl_multi_perform(multi, &running) != CURLM_OK)
			return 1;
		while ((message = curl_multi_info_read(multi, &left)) != NULL)
		{
			CURL	   *easy = message->easy_handle;

			if (message->msg != CURLMSG_DONE)
				continue;
			if (message->data.result != CURLE_OK)
			{
				fprintf(stderr, "%s\n", curl_easy_strerror(message->data.result));
				return 1;
			}
			ended++;
			curl_multi_remove_handle(multi, easy);
			if (begun < wanted)
			{
				begun++;
				curl_multi_add_handle(multi, easy);
			}
			else
				curl_easy_cleanup(easy);
		}
		if (ended < wanted)
			curl_multi_poll(multi, NULL, 0, 1000, NULL);
	}
	printf("%.2f\n", (cpu_seconds() - start) / wanted * 1e6);
	curl_multi_cleanup(multi);
	curl_global_cleanup();
	return bytes > 0 ? 0 : 1;
}

/* A client of a server whose replies are all of one length: it asks over and over on each of its connections, and makes
 * no more calls for that than a write, a read and its share of an epoll_wait. It prints requests a second, and how much of
 * the time it was busy itself: near 1, the server was not the one who was measured. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 1024

static char reply[65536];
static long missing[CONNECTIONS_MAX];

static double now_s(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static int connected(int port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)))
		exit(3);
	return fd;
}

static void ask(int fd, const char *request, size_t bytes)
{
	if (write(fd, request, bytes) != (ssize_t)bytes)
		exit(4);
}

/* The length of a reply: what comes before the server falls silent. */
static long length_of_reply(int fd, const char *request, size_t bytes)
{
	struct timeval patience = { .tv_usec = 300000 };
	long length = 0, count;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	ask(fd, request, bytes);
	while ((count = read(fd, reply, sizeof(reply))) > 0)
		length += count;
	return length;
}

int main(int argc, char **argv) /* PORT CONNECTIONS REQUESTS REQUEST */
{
	int connections = atoi(argv[2]), epoll = epoll_create1(0);
	const char *request = argv[4];
	long left = atol(argv[3]), asked, length;
	struct epoll_event events[64];
	size_t bytes = strlen(request);
	double begin = 0, begin_cpu = 0, took;
	int first = connected(atoi(argv[1]));

	length = length_of_reply(first, request, bytes);
	if (!length || connections > CONNECTIONS_MAX - 64)
		return 5;
	close(first);
	asked = left;
	for (int i = 0; i < connections; i++) {
		struct epoll_event event = { .events = EPOLLIN };

		event.data.fd = connected(atoi(argv[1]));
		epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event);
		missing[event.data.fd] = length;
		if (i == 0)
			begin = now_s(CLOCK_MONOTONIC), begin_cpu = now_s(CLOCK_PROCESS_CPUTIME_ID);
		ask(event.data.fd, request, bytes);
	}
	while (left > 0) {
		int ready = epoll_wait(epoll, events, 64, -1);

		for (int i = 0; i < ready; i++) {
			int fd = events[i].data.fd;
			long count = read(fd, reply, sizeof(reply));

			if (count <= 0)
				return 6;
			missing[fd] -= count;
			if (missing[fd] > 0)
				continue;
			missing[fd] = length;
			left--;
			ask(fd, request, bytes);
		}
	}
	took = now_s(CLOCK_MONOTONIC) - begin;
	printf("%.0f %.3f\n", asked / took, (now_s(CLOCK_PROCESS_CPUTIME_ID) - begin_cpu) / took);
	return 0;
}

/*
 * How long it takes from a line that is appended to the incident that is written: starts `tocsin -f` on many logs, appends lines to them
 * in turn, each as soon as the one before was told (or, with a lateness, after a random pause), and reads the incidents from a pipe.
 *
 *	latency TOCSIN LATENESS-MS [LOGS [LINES]]
 *
 * Prints least, median, 99th percentile and most, in milliseconds. Exits with 1 when p99 is not below LATENESS + 10 ms.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char rules[] = "title: A crash\nname: crash\nlogsource: {product: gastown, service: town}\n"
			    "detection:\n  crash: {type: crash}\n  condition: crash\n---\n"
			    "title: Seen\nname: seen\n"
			    "correlation: {type: event_count, rules: [crash], group-by: [agent], timespan: 1m, condition: {gte: 1}}\n"
			    "incident: {summary: '{{agent}}', resolve-after: 1d}\n";

static char directory[] = "/tmp/tocsin-latency.XXXXXX";

static void die(const char *what)
{
	perror(what);
	exit(2);
}

static double now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void append(const char *path, int number)
{
	char line[200], stamp[40];
	time_t t = time(NULL);
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT, 0666);

	strftime(stamp, sizeof stamp, "%Y-%m-%d %H:%M:%S", gmtime(&t));
	int n = snprintf(line, sizeof line, "%s [crash] rig/polecats/p%d exited unexpectedly (exit code 1)\n", stamp, number);
	if (fd < 0 || write(fd, line, (size_t)n) != n)
		die(path);
	close(fd);
}

/* Waits until line `number` is told; false after 20 s. */
static int wait_for(int fd, int number)
{
	static char text[1 << 16];
	static size_t len;
	char wanted[60];
	double end = now_ms() + 20000;

	snprintf(wanted, sizeof wanted, "\"summary\":\"rig/p%d\"", number);
	for (;;) {
		char *newline;
		while ((newline = memchr(text, '\n', len))) {
			size_t n = (size_t)(newline - text) + 1;
			int hit = memmem(text, n, wanted, strlen(wanted)) != NULL;
			memmove(text, text + n, len - n);
			len -= n;
			if (hit)
				return 1;
		}
		struct pollfd p = { fd, POLLIN, 0 };
		if (now_ms() > end || poll(&p, 1, 20000) <= 0)
			return 0;
		ssize_t n = read(fd, text + len, sizeof text - len);
		if (n <= 0)
			return 0;
		len += (size_t)n;
	}
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	const char *tocsin = argc > 1 ? argv[1] : "tocsin";
	int lateness = argc > 2 ? atoi(argv[2]) : 0, logs = argc > 3 ? atoi(argv[3]) : 100;
	int lines = argc > 4 ? atoi(argv[4]) : lateness ? 20 : 2000, out[2];
	char command[400], path[200], late[30];
	char **args = calloc((size_t)logs + 20, sizeof *args);
	double *took = calloc((size_t)lines, sizeof *took);

	if (!args || !took || logs < 1 || lines < 1 || !mkdtemp(directory) || pipe(out) != 0)
		die("cannot begin");
	snprintf(path, sizeof path, "%s/rules.yml", directory);
	FILE *f = fopen(path, "w");
	if (!f || fputs(rules, f) < 0 || fclose(f) != 0)
		die(path);
	snprintf(late, sizeof late, "%dms", lateness);
	char *fixed[] = { strdup(tocsin), strdup("-f"), strdup("-q"), strdup("-r"), strdup(path), strdup("-o"), strdup("jsonl"),
			  strdup("--tz"), strdup("UTC"), strdup("--lateness"), late };
	size_t n = sizeof fixed / sizeof *fixed;
	memcpy(args, fixed, sizeof fixed);
	for (int i = 0; i < logs; i++) {
		snprintf(path, sizeof path, "town=%s/town-%d.log", directory, i);
		args[n++] = strdup(path);
		append(args[n - 1] + 5, lines + i);
	}
	pid_t child = fork();
	if (child == 0) {
		dup2(out[1], STDOUT_FILENO);
		close(out[0]);
		close(out[1]);
		execv(tocsin, args);
		die(tocsin);
	}
	close(out[1]);
	int ok = wait_for(out[0], lines + logs - 1);
	for (int i = 0; ok && i < lines; i++) {
		usleep((useconds_t)(rand() % (lateness ? 300000 : 2000)));
		const char *log = args[n - 1 - (size_t)(rand() % logs)] + 5;
		double begin = now_ms();
		append(log, i);
		ok = wait_for(out[0], i);
		took[i] = now_ms() - begin;
	}
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	snprintf(command, sizeof command, "rm -rf '%s'", directory);
	if (system(command) != 0)
		fputs("latency: what was made is not all removed\n", stderr);
	if (!ok) {
		fputs("latency: a line was not told\n", stderr);
		return 2;
	}
	qsort(took, (size_t)lines, sizeof *took, compare);
	double p99 = took[(lines - 1) * 99 / 100];
	printf("%d logs, lateness %d ms, %d lines: least %.2f, median %.2f, p99 %.2f, most %.2f ms\n", logs, lateness, lines, took[0],
	       took[lines / 2], p99, took[lines - 1]);
	return p99 < lateness + 10 ? 0 : 1;
}

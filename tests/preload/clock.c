/*
 * A clock that a test sets: preloaded into tocsin, it answers CLOCK_REALTIME, time() and gettimeofday() from a small file that is mapped
 * into memory, and timerfds run out when the test moves it. CLOCK_MONOTONIC is as it was.
 *
 * The file is named by CLOCK_FILE, and the test and the program share it:
 *
 *	offset  size  written by  what
 *	0       8     test        time, ns since the epoch, while turn is even
 *	8       8     test        the same, while turn is odd
 *	16      8     test        turn: its lowest bit picks one of the two, so that a time is never read half written
 *	24      8     program     looks: how often it found nothing to do and went (or stayed) asleep in epoll_wait() or poll()
 *	32      8     program     1 while it sleeps there
 *	40      8     program     wake-ups: how often a sleep ended because there was something to do
 *
 * A program whose looks have risen by two since the test last did something has seen it and is done with it.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define NS INT64_C(1000000000)
#define SLICE_MS 1
#define TIMERS 1024

struct shared {
	_Atomic int64_t time_ns[2];
	_Atomic uint64_t turn, looks, asleep, wakeups;
};

/*
 * Timers of the program, by descriptor; of whatever clock, since a program may measure on one how far away a time on another is. A relative
 * time counts from when the program last asked for the time: the test may have moved it since.
 */
struct timer {
	bool known, armed, cancel_on_set;
	int64_t due_ns;
};

static struct shared *shared;
static struct timer timers[TIMERS];
static int64_t asked_ns; /* what the program was last told */
static int64_t slept_at_ns;

static int (*real_clock_gettime)(clockid_t, struct timespec *);
static int (*real_timerfd_create)(int, int);
static int (*real_timerfd_settime)(int, int, const struct itimerspec *, struct itimerspec *);
static int (*real_epoll_wait)(int, struct epoll_event *, int, int);
static int (*real_poll)(struct pollfd *, nfds_t, int);
static int (*real_close)(int);

static void *find(const char *name)
{
	void *f = dlsym(RTLD_NEXT, name);

	if (!f) {
		fprintf(stderr, "clock.so: there is no %s\n", name);
		abort();
	}
	return f;
}

/* Sanitizers ask for the time before constructors run: this is called from every door. */
static void begin(void)
{
	static bool begun;
	const char *path;

	if (begun)
		return;
	begun = true;
	*(void **)&real_clock_gettime = find("clock_gettime");
	*(void **)&real_timerfd_create = find("timerfd_create");
	*(void **)&real_timerfd_settime = find("timerfd_settime");
	*(void **)&real_epoll_wait = find("epoll_wait");
	*(void **)&real_poll = find("poll");
	*(void **)&real_close = find("close");
	path = getenv("CLOCK_FILE");
	if (!path)
		return;
	int fd = open(path, O_RDWR | O_CLOEXEC);
	void *p = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		fprintf(stderr, "clock.so: cannot map %s\n", path);
		abort();
	}
	real_close(fd);
	shared = p;
}

static int64_t now_ns(void)
{
	for (;;) {
		uint64_t turn = shared->turn;
		int64_t t = shared->time_ns[turn & 1];
		if (turn == shared->turn)
			return t;
	}
}

static struct timespec timespec_of(int64_t ns)
{
	return (struct timespec){ .tv_sec = ns / NS, .tv_nsec = ns % NS };
}

int clock_gettime(clockid_t id, struct timespec *ret)
{
	begin();
	if (!shared || (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE))
		return real_clock_gettime(id, ret);
	asked_ns = now_ns();
	*ret = timespec_of(asked_ns);
	return 0;
}

time_t time(time_t *ret)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	if (ret)
		*ret = t.tv_sec;
	return t.tv_sec;
}

int gettimeofday(struct timeval *restrict ret, void *restrict zone)
{
	struct timespec t;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &t);
	*ret = (struct timeval){ .tv_sec = t.tv_sec, .tv_usec = t.tv_nsec / 1000 };
	return 0;
}

/* ---- timers ---- */

int timerfd_create(int clock, int flags)
{
	begin();
	int fd = real_timerfd_create(clock, flags);

	if (fd >= TIMERS && shared) {
		fprintf(stderr, "clock.so: no room for timer %d\n", fd);
		abort();
	}
	if (fd >= 0 && fd < TIMERS)
		timers[fd] = (struct timer){ .known = shared };
	return fd;
}

int timerfd_settime(int fd, int flags, const struct itimerspec *to, struct itimerspec *old)
{
	begin();
	struct timer *t = fd >= 0 && fd < TIMERS && timers[fd].known ? &timers[fd] : NULL;
	int64_t sec = to->it_value.tv_sec < INT64_C(4000000000) ? to->it_value.tv_sec : INT64_C(4000000000); /* for ever */
	int64_t ns = sec * NS + to->it_value.tv_nsec;
	static const struct itimerspec never;

	if (!t)
		return real_timerfd_settime(fd, flags, to, old);
	t->armed = ns != 0;
	t->cancel_on_set = flags & TFD_TIMER_CANCEL_ON_SET;
	t->due_ns = flags & TFD_TIMER_ABSTIME ? ns : (asked_ns ? asked_ns : now_ns()) + ns;
	return real_timerfd_settime(fd, 0, &never, old);
}

int close(int fd)
{
	begin();
	if (fd >= 0 && fd < TIMERS)
		timers[fd] = (struct timer){ 0 };
	return real_close(fd);
}

/* Timers that are due are made to run out for real; so are those that want to know of a clock that is set, when it was set back. */
static void timers_run(void)
{
	static const struct itimerspec at_once = { .it_value = { .tv_nsec = 1 } };
	int64_t now = now_ns();

	for (int fd = 0; fd < TIMERS; fd++) {
		struct timer *t = &timers[fd];
		bool due = t->armed && t->due_ns <= now;
		if (!due && !(t->cancel_on_set && now < slept_at_ns))
			continue;
		t->armed &= !due;
		real_timerfd_settime(fd, 0, &at_once, NULL);
	}
	slept_at_ns = now;
}

/* ---- sleeping ---- */

struct sleep {
	int epoll_fd, max;
	struct epoll_event *events;
	struct pollfd *fds;
	nfds_t n_fds;
};

static int sleep_for(const struct sleep *s, int ms)
{
	return s->fds ? real_poll(s->fds, s->n_fds, ms) : real_epoll_wait(s->epoll_fd, s->events, s->max, ms);
}

static int sleep_until_something(const struct sleep *s, int ms)
{
	int n;

	for (int64_t slept = 0;; slept += SLICE_MS) {
		timers_run();
		n = sleep_for(s, 0);
		if (n != 0 || (ms >= 0 && slept >= ms))
			break;
		shared->asleep = 1;
		shared->looks++;
		n = sleep_for(s, SLICE_MS);
		if (n != 0)
			break;
	}
	if (shared->asleep) {
		shared->asleep = 0;
		shared->wakeups++;
	}
	return n;
}

int epoll_wait(int fd, struct epoll_event *events, int max, int ms)
{
	begin();
	if (!shared)
		return real_epoll_wait(fd, events, max, ms);
	return sleep_until_something(&(struct sleep){ .epoll_fd = fd, .max = max, .events = events }, ms);
}

int poll(struct pollfd *fds, nfds_t n, int ms)
{
	begin();
	if (!shared || n == 0)
		return real_poll(fds, n, ms);
	return sleep_until_something(&(struct sleep){ .fds = fds, .n_fds = n }, ms);
}

/*
 * Faults at system calls that change files: preloaded into tocsin, it numbers these calls and lets the n-th go wrong.
 *
 *	FAULT_AT=N      the call, from 1 on; not set: none
 *	FAULT=KIND      kill-before, kill-after (SIGKILL just before the call, just after it), kill-torn (half of what is written, then SIGKILL),
 *	                short (half is written, and the call says so), or the name of an error: ENOSPC, EIO, EROFS, EACCES, EDQUOT
 *	FAULT_STAYS=1   all later calls fail, too (errors only): the disk stays full
 *	FAULT_FILES=G   only calls on files whose whole path matches this shell pattern are numbered; not set: any file
 *	FAULT_CALLS=…   only these calls, by name, separated by spaces; not set: all
 *	FAULT_LOG=FILE  one line a numbered call is appended there: "NUMBER CALL PATH"
 *
 * Numbered are open with O_CREAT, mkostemp, write, pwrite, writev, fsync, fdatasync, ftruncate, fallocate, rename, link, unlink, fchmod, and close
 * of a file that may be written. Standard error, sockets, pipes, timers and the like do not count.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define PATH_SIZE 4096

enum kind { NOTHING, KILL_BEFORE, KILL_AFTER, KILL_TORN, SHORT, FAIL };

static struct {
	bool begun, stays;
	long at, count;
	enum kind kind;
	int error;
	const char *files, *calls;
	int log_fd;
} plan = { .log_fd = -1 };

#define REAL(name) static __typeof__(name) *real_##name
REAL(open);
REAL(openat);
REAL(mkostemp);
REAL(write);
REAL(pwrite);
REAL(writev);
REAL(fsync);
REAL(fdatasync);
REAL(ftruncate);
REAL(fallocate);
REAL(rename);
REAL(renameat);
REAL(link);
REAL(unlink);
REAL(unlinkat);
REAL(fchmod);
REAL(close);

static const struct {
	const char *name;
	int error;
} errors[] = { { "ENOSPC", ENOSPC }, { "EIO", EIO }, { "EROFS", EROFS }, { "EACCES", EACCES }, { "EDQUOT", EDQUOT } };

static void begin(void)
{
	const char *at = getenv("FAULT_AT"), *kind = getenv("FAULT"), *log = getenv("FAULT_LOG");

	if (plan.begun)
		return;
	plan.begun = true;
#define FIND(name) real_##name = (__typeof__(real_##name))(uintptr_t)dlsym(RTLD_NEXT, #name)
	FIND(open);
	FIND(openat);
	FIND(mkostemp);
	FIND(write);
	FIND(pwrite);
	FIND(writev);
	FIND(fsync);
	FIND(fdatasync);
	FIND(ftruncate);
	FIND(fallocate);
	FIND(rename);
	FIND(renameat);
	FIND(link);
	FIND(unlink);
	FIND(unlinkat);
	FIND(fchmod);
	FIND(close);
	plan.files = getenv("FAULT_FILES");
	plan.calls = getenv("FAULT_CALLS");
	plan.stays = getenv("FAULT_STAYS") != NULL;
	if (log)
		plan.log_fd = real_open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (!at)
		return;
	plan.at = atol(at);
	if (kind && !strcmp(kind, "kill-before"))
		plan.kind = KILL_BEFORE;
	else if (kind && !strcmp(kind, "kill-after"))
		plan.kind = KILL_AFTER;
	else if (kind && !strcmp(kind, "kill-torn"))
		plan.kind = KILL_TORN;
	else if (kind && !strcmp(kind, "short"))
		plan.kind = SHORT;
	for (size_t i = 0; kind && i < sizeof errors / sizeof *errors; i++)
		if (!strcmp(kind, errors[i].name)) {
			plan.kind = FAIL;
			plan.error = errors[i].error;
		}
	if (plan.kind == NOTHING) {
		fprintf(stderr, "faults.so: FAULT=%s is unknown\n", kind ? kind : "");
		abort();
	}
}

static void die(void)
{
	kill(getpid(), SIGKILL);
	for (;;)
		pause();
}

static bool named(const char *list, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = list; (p = strstr(p, name)); p += len)
		if ((p == list || p[-1] == ' ') && (p[len] == ' ' || !p[len]))
			return true;
	return false;
}

/* What is to happen at this call. FAIL: errno is set. */
static enum kind number(const char *call, const char *path)
{
	char line[PATH_SIZE + 64];

	if ((plan.files && fnmatch(plan.files, path, 0)) || (plan.calls && !named(plan.calls, call)))
		return NOTHING;
	plan.count++;
	if (plan.log_fd >= 0) {
		int n = snprintf(line, sizeof line, "%ld %s %s\n", plan.count, call, path);
		if (real_write(plan.log_fd, line, (size_t)n) != n)
			abort();
	}
	if (!plan.at || plan.count < plan.at || (plan.count > plan.at && !(plan.kind == FAIL && plan.stays)))
		return NOTHING;
	if (plan.kind == KILL_BEFORE)
		die();
	if (plan.kind == FAIL)
		errno = plan.error;
	return plan.kind;
}

/* The same of a descriptor; those that are no files are not numbered. */
static enum kind number_fd(const char *call, int fd)
{
	char link_path[64], path[PATH_SIZE];
	struct stat st;
	int saved = errno;

	if (fd == STDERR_FILENO || fstat(fd, &st) != 0 || !(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))) {
		errno = saved;
		return NOTHING;
	}
	snprintf(link_path, sizeof link_path, "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link_path, path, sizeof path - 1);
	path[n > 0 ? n : 0] = 0;
	errno = saved;
	return number(call, path);
}

#define AROUND(kind_of_fault, call) \
	do { \
		enum kind kind_ = kind_of_fault; \
		if (kind_ == FAIL) \
			return -1; \
		__typeof__(call) result_ = call; \
		if (kind_ == KILL_AFTER || kind_ == KILL_TORN) \
			die(); \
		return result_; \
	} while (0)

int open(const char *path, int flags, ...)
{
	va_list args;

	va_start(args, flags);
	mode_t mode = flags & (O_CREAT | O_TMPFILE) ? (mode_t)va_arg(args, int) : 0;
	va_end(args);
	begin();
	AROUND(flags & O_CREAT ? number("open", path) : NOTHING, real_open(path, flags, mode));
}

int openat(int dir, const char *path, int flags, ...)
{
	va_list args;

	va_start(args, flags);
	mode_t mode = flags & (O_CREAT | O_TMPFILE) ? (mode_t)va_arg(args, int) : 0;
	va_end(args);
	begin();
	AROUND(flags & O_CREAT ? number("open", path) : NOTHING, real_openat(dir, path, flags, mode));
}

int mkostemp(char *template, int flags)
{
	begin();
	AROUND(number("open", template), real_mkostemp(template, flags));
}

int mkstemp(char *template)
{
	return mkostemp(template, 0);
}

/* How much of what is to be written gets through. */
static size_t part(enum kind kind, size_t len)
{
	return (kind == KILL_TORN || kind == SHORT) && len > 1 ? len / 2 : len;
}

ssize_t write(int fd, const void *p, size_t len)
{
	begin();
	enum kind kind = number_fd("write", fd);
	AROUND(kind, real_write(fd, p, part(kind, len)));
}

ssize_t pwrite(int fd, const void *p, size_t len, off_t at)
{
	begin();
	enum kind kind = number_fd("write", fd);
	AROUND(kind, real_pwrite(fd, p, part(kind, len), at));
}

ssize_t writev(int fd, const struct iovec *v, int n)
{
	begin();
	enum kind kind = number_fd("write", fd);
	if (n > 0 && part(kind, v->iov_len) < v->iov_len)
		AROUND(kind, real_write(fd, v->iov_base, part(kind, v->iov_len)));
	AROUND(kind, real_writev(fd, v, n));
}

int fsync(int fd)
{
	begin();
	AROUND(number_fd("fsync", fd), real_fsync(fd));
}

int fdatasync(int fd)
{
	begin();
	AROUND(number_fd("fsync", fd), real_fdatasync(fd));
}

int ftruncate(int fd, off_t len)
{
	begin();
	AROUND(number_fd("ftruncate", fd), real_ftruncate(fd, len));
}

int fallocate(int fd, int mode, off_t at, off_t len)
{
	begin();
	AROUND(number_fd("fallocate", fd), real_fallocate(fd, mode, at, len));
}

int rename(const char *from, const char *to)
{
	begin();
	AROUND(number("rename", to), real_rename(from, to));
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	begin();
	AROUND(number("rename", to), real_renameat(from_dir, from, to_dir, to));
}

int link(const char *from, const char *to)
{
	begin();
	AROUND(number("link", to), real_link(from, to));
}

int unlink(const char *path)
{
	begin();
	AROUND(number("unlink", path), real_unlink(path));
}

int unlinkat(int dir, const char *path, int flags)
{
	begin();
	AROUND(number("unlink", path), real_unlinkat(dir, path, flags));
}

int fchmod(int fd, mode_t mode)
{
	begin();
	AROUND(number_fd("fchmod", fd), real_fchmod(fd, mode));
}

int close(int fd)
{
	begin();
	int flags = fcntl(fd, F_GETFL);
	enum kind kind = flags != -1 && (flags & O_ACCMODE) != O_RDONLY ? number_fd("close", fd) : NOTHING;

	/* As on Linux: the descriptor is gone, whatever close() says. */
	int result = real_close(fd);
	if (kind == KILL_AFTER || kind == KILL_TORN)
		die();
	if (kind == FAIL) {
		errno = plan.error;
		return -1;
	}
	return result;
}

/* The names that a build with large files on a 32-bit machine would call; here they are the same. */
#define ALIAS(name, of) __typeof__(of) name __attribute__((alias(#of)))
ALIAS(open64, open);
ALIAS(openat64, openat);
ALIAS(mkostemp64, mkostemp);
ALIAS(pwrite64, pwrite);
ALIAS(ftruncate64, ftruncate);

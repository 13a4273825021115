/*
 * watch.c: decides which inodes are watched for a log, and which logs an event concerns. A tie joins a log to a watch: to the file
 * itself, or to a directory and the name in it that leads on to the file. Invariant: what is watched is watched before it is looked at, so
 * nothing that happens after a look goes unnoticed: either the look sees it, or an event comes.
 *
 *	/home/u/gt/logs/town.log
 *	/  home  u  gt  logs       each tied with the next name: moved or deleted itself; if the next name is missing, or a link: made or replaced
 *	                logs       tied with town.log: made, moved, deleted, its rights changed
 *	                town.log   written to
 *
 * A directory of many busy files wakes nobody: writes are watched on the log alone.
 */
#include "input/watch.h"
#include "base/memory.h"
#include "base/buffer.h"
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define SELF_EVENTS (IN_DELETE_SELF | IN_MOVE_SELF)
#define FILE_EVENTS (IN_MODIFY | IN_ATTRIB | SELF_EVENTS)
#define NAME_EVENTS (IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ATTRIB | SELF_EVENTS)

struct tie {
	int wd;
	uint32_t log;
	char *name; /* in the directory; NULL: the tie is to the log's file */
	bool old;   /* of a path as it was: dropped when the log has been looked at */
};

struct log {
	const char *path;
	bool due, moved; /* moved: to be tied anew */
	bool told_directory;
};

struct watch {
	int fd;
	struct tie *ties;
	size_t n_ties, cap_ties;
	struct log *logs;
	size_t n_logs, cap_logs;
};

struct watch *watch_new(struct diag_list *diags)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	if (fd < 0) {
		diag_add(diags, DIAG_ERROR, NULL, 0, 0, "cannot follow: inotify: %s", errno == EMFILE ? "no more instances for this user" : strerror(errno));
		diag_hint(diags, errno == EMFILE ? "raise fs.inotify.max_user_instances, or look at the files now and then: --poll"
						 : "look at the files now and then: --poll");
		return NULL;
	}
	struct watch *w = xcalloc(1, sizeof *w);
	w->fd = fd;
	return w;
}

void watch_free(struct watch *w)
{
	if (!w)
		return;
	for (size_t i = 0; i < w->n_ties; i++)
		free(w->ties[i].name);
	free(w->ties);
	free(w->logs);
	close(w->fd);
	free(w);
}

int watch_fd(const struct watch *w)
{
	return w->fd;
}

void watch_add(struct watch *w, const char *path)
{
	ARRAY_GROW(w->logs, w->n_logs, w->cap_logs);
	w->logs[w->n_logs++] = (struct log){ .path = path, .due = path != NULL, .moved = path != NULL };
}

bool watch_is_due(const struct watch *w, size_t log)
{
	return w->logs[log].due;
}

/* ---- ties ---- */

static void drop_tie(struct watch *w, size_t i)
{
	int wd = w->ties[i].wd;
	bool used = false;

	free(w->ties[i].name);
	w->ties[i] = w->ties[--w->n_ties];
	for (size_t k = 0; k < w->n_ties && !used; k++)
		used = w->ties[k].wd == wd;
	if (!used)
		(void)inotify_rm_watch(w->fd, wd); /* it may be gone with its file */
}

/* 0, or an errno. */
static int tie(struct watch *w, size_t log, const char *path, uint32_t events, const char *name, size_t name_len)
{
	int wd = inotify_add_watch(w->fd, path, events | IN_MASK_ADD);

	if (wd < 0)
		return errno;
	for (size_t i = 0; i < w->n_ties; i++) {
		struct tie *t = &w->ties[i];
		if (t->wd == wd && t->log == log && !t->name == !name && (!name || (strlen(t->name) == name_len && !memcmp(t->name, name, name_len)))) {
			t->old = false;
			return 0;
		}
	}
	ARRAY_GROW(w->ties, w->n_ties, w->cap_ties);
	w->ties[w->n_ties++] = (struct tie){ wd, (uint32_t)log, name ? xmemdup(name, name_len) : NULL, false };
	return 0;
}

#define LINKS_MAX 8

/* Ties the log to what this path leads through now. Returns 0, or an errno. */
static int tie_path(struct watch *w, size_t log, const char *path, int depth, struct diag_list *diags)
{
	struct buffer at = BUFFER_INIT; /* the directory */
	const char *name = path;
	int error = 0;

	buffer_append_string(&at, *path == '/' ? "/" : ".");
	for (bool last = false; !last && !error;) {
		struct stat st;
		char target[PATH_MAX];
		ssize_t n_target = -1;

		name += strspn(name, "/");
		size_t len = strcspn(name, "/"), directory_len = at.len;
		last = !name[len + strspn(name + len, "/")];
		char *directory = xmemdup(at.data, at.len);
		if (at.data[at.len - 1] != '/')
			buffer_append_char(&at, '/');
		buffer_append(&at, name, len);
		bool there = lstat(buffer_string(&at), &st) == 0, link = there && S_ISLNK(st.st_mode);
		/* Only what the directory itself can change of the way is asked of it. */
		error = tie(w, log, directory, last || link || !there ? NAME_EVENTS : SELF_EVENTS, name, len);
		if (error == EACCES) {
			if (last && !w->logs[log].told_directory) {
				w->logs[log].told_directory = true;
				diag_add(diags, DIAG_WARNING, directory, 0, 0, "cannot be watched: %s", strerror(error));
				diag_hint(diags, "new files in it go unnoticed; with --poll they are seen");
			}
			error = 0;
		}
		free(directory);
		if (error)
			break;
		if (link && depth < LINKS_MAX && (n_target = readlink(at.data, target, sizeof target)) > 0) {
			/* Where a link leads to may be missing, or move: the way there is watched as well. */
			struct buffer through = BUFFER_INIT;
			if (target[0] != '/') {
				buffer_append(&through, at.data, directory_len);
				buffer_append_char(&through, '/');
			}
			buffer_append(&through, target, (size_t)n_target);
			error = tie_path(w, log, buffer_string(&through), depth + 1, diags);
			buffer_release(&through);
		}
		if (last && depth == 0 && !error && tie(w, log, at.data, FILE_EVENTS, NULL, 0) == ENOSPC)
			error = ENOSPC;
		if (!there && lstat(at.data, &st) != 0)
			break; /* to be made yet; that will be told */
		name += len;
	}
	buffer_release(&at);
	return error;
}

/* Ties the log to what its path leads through now. False with a diagnostic when the limit of watches is reached. */
static bool tie_log(struct watch *w, size_t log, struct diag_list *diags)
{
	int error = ENOENT;

	for (size_t i = 0; i < w->n_ties; i++)
		if (w->ties[i].log == log)
			w->ties[i].old = true;
	/* ENOENT: a directory went while we were on the way. */
	for (int i = 0; i < LINKS_MAX && (error == ENOENT || error == ENOTDIR); i++)
		error = tie_path(w, log, w->logs[log].path, 0, diags);
	if (error != ENOSPC && error != ENOMEM)
		return true;
	diag_add(diags, DIAG_ERROR, w->logs[log].path, 0, 0, "cannot be watched: inotify: %s",
		 error == ENOSPC ? "no more watches for this user" : strerror(error));
	diag_hint(diags, "raise fs.inotify.max_user_watches, or look at the files now and then: --poll");
	return false;
}

void watch_done(struct watch *w, size_t log, bool behind)
{
	w->logs[log].due = false;
	for (size_t i = w->n_ties; i-- > 0;)
		if (w->ties[i].log == log && w->ties[i].old && !(behind && !w->ties[i].name))
			drop_tie(w, i);
}

/* ---- events ---- */

static void take_event(struct watch *w, const struct inotify_event *e)
{
	if (e->mask & IN_Q_OVERFLOW) {
		for (size_t i = 0; i < w->n_logs; i++)
			w->logs[i].due = w->logs[i].moved = w->logs[i].path != NULL;
		return;
	}
	for (size_t i = 0; i < w->n_ties; i++) {
		const struct tie *t = &w->ties[i];
		bool self = e->len == 0 || !e->name[0];
		if (t->wd != e->wd || (t->name && !self && strcmp(t->name, e->name) != 0))
			continue;
		w->logs[t->log].due = true;
		if (t->name || !(e->mask & (IN_MODIFY | IN_ATTRIB)))
			w->logs[t->log].moved = true;
	}
	if (e->mask & IN_IGNORED) /* the kernel has dropped the watch */
		for (size_t i = w->n_ties; i-- > 0;)
			if (w->ties[i].wd == e->wd) {
				free(w->ties[i].name);
				w->ties[i] = w->ties[--w->n_ties];
			}
}

size_t watch_take(struct watch *w, bool *ret_ok, struct diag_list *diags)
{
	_Alignas(struct inotify_event) char events[64 << 10];
	ssize_t n;
	size_t due = 0;

	*ret_ok = true;
	while ((n = read(w->fd, events, sizeof events)) > 0 || (n < 0 && errno == EINTR))
		for (char *p = events; n > 0 && p < events + n;) {
			const struct inotify_event *e = (const void *)p;
			take_event(w, e);
			p += sizeof *e + e->len;
		}
	for (size_t i = 0; i < w->n_logs; i++) {
		struct log *l = &w->logs[i];
		if (l->moved && *ret_ok)
			*ret_ok = tie_log(w, i, diags);
		l->moved = false;
		due += l->due;
	}
	return due;
}

/* ---- file systems ---- */

const char *watch_unreliable_on(const char *path)
{
	static const struct {
		uint32_t magic;
		const char *name;
	} list[] = {
		{ 0x6969, "NFS" },	 { 0xff534d42, "CIFS" },   { 0xfe534d42, "SMB" },    { 0x517b, "SMB" },       { 0x65735546, "FUSE" },
		{ 0x01021997, "9p" },	 { 0x00c36400, "Ceph" },   { 0x5346414f, "AFS" },    { 0x6b414653, "AFS" },   { 0x7461636f, "OCFS2" },
		{ 0x0bd00bd0, "Lustre" }, { 0x01161970, "GFS2" }, { 0x786f4256, "VirtualBox" }, { 0x73757245, "Coda" },
	};
	struct buffer b = BUFFER_INIT;
	struct statfs s;
	const char *name = NULL;
	int result;

	/* The nearest directory that is there. */
	buffer_append_string(&b, path);
	while ((result = statfs(b.len ? buffer_string(&b) : *path == '/' ? "/" : ".", &s)) != 0 && b.len) {
		while (b.len && b.data[b.len - 1] != '/')
			b.len--;
		while (b.len && b.data[b.len - 1] == '/')
			b.len--;
	}
	for (size_t i = 0; result == 0 && i < sizeof list / sizeof *list; i++)
		if ((uint32_t)s.f_type == list[i].magic)
			name = list[i].name;
	buffer_release(&b);
	return name;
}

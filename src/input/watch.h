/*
 * watch.h: which of many logs may have changed, told by inotify. Watched are the log itself, the directory that its name stands in, and
 * every directory above, so that a log is noticed that appears, vanishes, is renamed or replaced, or whose directory does any of
 * this, or does not exist yet. While nothing happens nothing wakes up.
 *
 *	watch_add() for each log
 *	loop: wait for watch_fd(); watch_take(); look at the logs that are watch_is_due(); watch_done() for each
 *
 * Whatever is told is a hint: the log is to be looked at, and may turn out to be unchanged. After an overflow of the kernel's queue
 * every log is due.
 */
#ifndef TOCSIN_INPUT_WATCH_H
#define TOCSIN_INPUT_WATCH_H

#include "base/diag.h"

struct watch;

/* NULL with a diagnostic when there is no inotify to be had. */
struct watch *watch_new(struct diag_list *diags);
void watch_free(struct watch *w);
int watch_fd(const struct watch *w); /* becomes readable; non-blocking */

/* Logs are numbered from 0 in the order they are added. Each is due at first. path: borrowed; NULL: a number that is never due. */
void watch_add(struct watch *w, const char *path);
/*
 * Takes all events there are, and watches what is new. Returns how many logs are due. False in *ret_ok with a diagnostic when something can no
 * longer be watched (the user's limit is reached): who goes on must poll.
 */
size_t watch_take(struct watch *w, bool *ret_ok, struct diag_list *diags);
bool watch_is_due(const struct watch *w, size_t log);
/* It was looked at. behind: a file that its path does not name any more is still being read, and stays watched. */
void watch_done(struct watch *w, size_t log, bool behind);

/* A file system whose changes inotify does not tell, or not all of them (NFS, FUSE …): its name; NULL: none such. */
const char *watch_unreliable_on(const char *path);

#endif

/*
 * stream.h: which files to read, as streams. A stream is one log through all its generations, oldest first:
 * town.log.2.gz, town.log.1, town.log. Files named in any order give the same streams in the same order.
 */
#ifndef TOCSIN_INPUT_STREAM_H
#define TOCSIN_INPUT_STREAM_H

#include "base/diag.h"
#include <stdint.h>

struct stream_file {
	char *path;         /* "-": standard input */
	char *shown;        /* as it stands in evidence */
	/* When it was found: which file it was, and its last change; device and inode 0 when they are not known. */
	uint64_t device, inode, size;
	int64_t mtime_ns;
};

struct stream {
	char *source_name;  /* from SOURCE=PATH, or a town's layout; NULL: recognise it */
	char *log_path;     /* the live file's path, whether or not it exists: directory + base name without rotation suffixes */
	bool in_town;       /* found in a directory, not named */
	struct stream_file *files; /* oldest first; none: it does not exist yet */
	size_t n_files;
};

struct stream_list {
	struct stream *items; /* the towns' own first, in the layout's order, then by log_path */
	size_t n;
};

/*
 * Makes streams of the command line's INPUT words (PATH, SOURCE=PATH, "-", a directory). known_source tells whether
 * a word before "=" is a source's name (a path may hold "="; an existing file of the whole name wins). Files of one
 * directory that differ only in rotation (.1, .2.gz, -20260217, -20260217.zst, -2026-02-28T10-00-00.000.log.gz,
 * .20260217, .old; archives of the same generation are not read twice) are one stream. A named file brings only
 * itself: generations are looked for in directories (towns) only. A directory without any known log is an error that
 * names what was looked for. "~" is the shell's business. The same file named twice (device and inode) is read once,
 * with a warning; standard input named twice is an error. Errors are added to diags; what can be read is still
 * returned.
 */
void stream_discover(char *const *words, size_t n_words, bool (*known_source)(void *, const char *), void *context,
		     struct stream_list *ret, struct diag_list *diags);
/*
 * The same for runs that go on with logs: what is not there is a stream without files. A town has all logs of the layout. A word that
 * is not there names a log, or, when it ends in "/", a town. empty_town: a town without any log is an error, as above.
 */
void stream_discover_lasting(char *const *words, size_t n_words, bool (*known_source)(void *, const char *), void *context, bool empty_town,
			     struct stream_list *ret, struct diag_list *diags);
/*
 * All generations of a log that are there now, as in a town: those that can be unpacked, oldest first, the live one last. Only the
 * files of *ret are set; stream_release_files() frees them. False when the directory cannot be listed (errno).
 */
bool stream_generations(const char *log_path, struct stream *ret);
void stream_release_files(struct stream *s);
void stream_list_release(struct stream_list *l);
/* The sizes of all files on disk together, for a progress bar; 0 when that of any is unknown (a pipe). */
uint64_t stream_total_bytes(const struct stream_list *l);

/* The town's layout: relative path and source name, in the fixed order; ends with a NULL path. */
struct town_file {
	const char *path, *source;
};
extern const struct town_file town_layout[];

/*
 * Splits a file's name into what is the same for all generations and what tells their age: "town.log" of
 * "town.log-20260217.zst"; "daemon.log", rebuilt, of "daemon-2026-02-28T10-00-00.000.log.gz". A name without a
 * generation is its own base (a compression suffix is no part of it). Exposed for tests.
 */
struct rotation {
	char *base;         /* owned by the caller (free) */
	int64_t number;     /* .1 .2 …: greater is older; .old is 1; -1: none */
	char stamp[40];     /* date part in comparable form (digits only), "" none; greater is newer */
	size_t packed_len;  /* length of the compression suffix (.gz .zst .xz …), which is no part of the above */
};
void rotation_parse(const char *name, struct rotation *ret);

#endif

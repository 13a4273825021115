/*
 * test_input_stream.c: which files become which streams, in which order. Each
 * case has a directory of its own, which is the working directory of the test.
 */
#include "test_input.h"
#include "base/buffer.h"
#include "base/memory.h"
#include "input/stream.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define WORDS_MAX 8

static char directory[] = "/tmp/test_input.XXXXXX";

static void enter_directory(void)
{
	ck_assert_ptr_nonnull(mkdtemp(directory));
	ck_assert_int_eq(chdir(directory), 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void leave_directory(void)
{
	ck_assert_int_eq(chdir("/"), 0);
	ck_assert_int_eq(nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

/* Makes a file with its directories; its time is `time` seconds; it holds its own name, so that its size is known. */
static void make_file(const char *path, time_t time)
{
	struct timespec times[2] = { { .tv_sec = time }, { .tv_sec = time } };
	char *part = xstrdup(path);
	int fd;

	for (char *slash = strchr(part, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		ck_assert(mkdir(part, 0777) == 0 || errno == EEXIST);
		*slash = '/';
	}
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, path, strlen(path)), (ssize_t)strlen(path));
	ck_assert_int_eq(futimens(fd, times), 0);
	close(fd);
	free(part);
}

static bool known_source(void *context, const char *name)
{
	(void)context;
	return strcmp(name, "town") == 0 || strcmp(name, "text") == 0;
}

/* "source log_path: file file; …"; no source is "?". */
static void show(struct buffer *out, const struct stream_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct stream *s = &l->items[i];

		buffer_printf(out, "%s%s %s:", i ? "; " : "", s->source_name ? s->source_name : "?", s->log_path);
		for (size_t k = 0; k < s->n_files; k++) {
			buffer_printf(out, " %s", s->files[k].path);
			ck_assert_str_eq(s->files[k].path, s->files[k].shown);
		}
	}
}

/* "error text (hint); …" */
static void show_diags(struct buffer *out, const struct diag_list *l)
{
	static const char *const levels[] = { "note", "warning", "error" };

	for (size_t i = 0; i < l->n; i++) {
		const struct diag *d = &l->items[i];

		buffer_printf(out, "%s%s: %s: %s", i ? "; " : "", d->file ? d->file : "-", levels[d->level], d->text);
		if (d->hint)
			buffer_printf(out, " (%s)", d->hint);
	}
}

static size_t split_words(char *text, char **words)
{
	size_t n = 0;

	for (char *word = strtok(text, " "); word; word = strtok(NULL, " ")) {
		ck_assert_uint_lt(n, WORDS_MAX);
		words[n++] = strcmp(word, "''") == 0 ? word + 2 : word;
	}
	return n;
}

/* files: names, each a second younger than the one before; a name that ends in "/" is an empty directory, "a->b" a link. */
static const struct {
	const char *files, *words, *streams;
	const char *diags; /* a part of them; NULL: there must be none */
} cases[] = {
	/* Towns */
	{ "t/logs/town.log t/.events.jsonl t/daemon/daemon.log t/overseer/overseer.log t/logs/guardian.log t/logs/ps.log", "t",
	  "town t/logs/town.log: t/logs/town.log; events t/.events.jsonl: t/.events.jsonl; daemon t/daemon/daemon.log: "
	  "t/daemon/daemon.log; overseer t/overseer/overseer.log: t/overseer/overseer.log; guardian t/logs/guardian.log: "
	  "t/logs/guardian.log; ps t/logs/ps.log: t/logs/ps.log",
	  NULL },
	{ "logs/town.log", ".", "town ./logs/town.log: ./logs/town.log", NULL },
	{ "t/logs/town.log t/logs/town.log.1 t/logs/town.log.10.gz t/logs/town.log.2.zst", "t/",
	  "town t/logs/town.log: t/logs/town.log.10.gz t/logs/town.log.2.zst t/logs/town.log.1 t/logs/town.log", NULL },
	{ "t/logs/town.log-20260201 t/logs/town.log t/logs/town.log-20260117.zst", "t",
	  "town t/logs/town.log: t/logs/town.log-20260117.zst t/logs/town.log-20260201 t/logs/town.log", NULL },
	{ "t/daemon/daemon.log t/daemon/daemon-2026-02-28T10-00-00.000.log.gz t/daemon/daemon-2026-02-28T09-00-00.000.log", "t",
	  "daemon t/daemon/daemon.log: t/daemon/daemon-2026-02-28T09-00-00.000.log "
	  "t/daemon/daemon-2026-02-28T10-00-00.000.log.gz t/daemon/daemon.log",
	  NULL },
	/* Numbers and dates, merged by time. */
	{ "t/logs/ps.log-20260101 t/logs/ps.log.3 t/logs/ps.log-20260102 t/logs/ps.log.2 t/logs/ps.log.1 t/logs/ps.log", "t",
	  "ps t/logs/ps.log: t/logs/ps.log-20260101 t/logs/ps.log.3 t/logs/ps.log-20260102 t/logs/ps.log.2 t/logs/ps.log.1 "
	  "t/logs/ps.log",
	  NULL },
	/* Rotated, and no live file. */
	{ "t/logs/town.log.1", "t", "town t/logs/town.log: t/logs/town.log.1", NULL },
	/* What only looks like it. */
	{ "t/logs/town.log t/logs/town.log.tmp t/logs/town.log.12345 t/logs/mytown.log t/logs/town.log.1.bak "
	  "t/logs/town.log.20261301 t/.events.jsonl.1234567890",
	  "t", "town t/logs/town.log: t/logs/town.log", NULL },
	{ "t/logs/town.log t/logs/town.log.1 t/logs/town.log.1.gz", "t",
	  "town t/logs/town.log: t/logs/town.log.1 t/logs/town.log",
	  "t/logs/town.log.1.gz: note: was left out: t/logs/town.log.1 is the same part of the log" },
	{ "t/logs/town.log t/logs/town.log.gz", "t", "town t/logs/town.log: t/logs/town.log", "town.log.gz: note: was left out" },
	{ "t/logs/town.log t/logs/town.log.2.bz2", "t", "town t/logs/town.log: t/logs/town.log",
	  "town.log.2.bz2: warning: was left out: only gzip, zstd and xz" },
	{ "t/logs/town.log t/logs/town.log.1/", "t", "town t/logs/town.log: t/logs/town.log", "town.log.1: warning: is a directory" },
	{ "t/logs/town.log t/logs/ps.log->ps.log", "t", "town t/logs/town.log: t/logs/town.log", "t/logs/ps.log: error: cannot read" },
	{ "t/logs/town.log t/logs/ps.log->gone", "t", "town t/logs/town.log: t/logs/town.log",
	  "t/logs/ps.log: error: is a symbolic link to a file that does not exist" },
	{ "t/logs/town.log t/daemon->daemon", "t", "town t/logs/town.log: t/logs/town.log", "t/daemon/: error: cannot list" },
	{ "t/logs/town.log", "t t/", "town t/logs/town.log: t/logs/town.log", "t/: warning: this directory is named twice" },
	{ "t/logs/town.log u/logs/town.log u/.events.jsonl", "u t",
	  "town t/logs/town.log: t/logs/town.log; town u/logs/town.log: u/logs/town.log; events u/.events.jsonl: "
	  "u/.events.jsonl",
	  NULL },
	{ "t/logs/town.log a.log", "a.log t", "town t/logs/town.log: t/logs/town.log; ? a.log: a.log", NULL },
	{ "t/logs/town.log", "t t/logs/town.log", "town t/logs/town.log: t/logs/town.log",
	  "t/logs/town.log: warning: is named twice; it was read once" },
	/* A town's log named with a source: what was said counts. */
	{ "t/logs/town.log", "t text=t/logs/town.log", "text t/logs/town.log: t/logs/town.log", "warning: is named twice" },
	/* Directories that are no towns */
	{ "d/", "d", "", "d: error: is a directory, but no town: it holds none of logs/town.log, .events.jsonl, daemon/daemon.log" },
	{ "d/b.log d/a.log d/c", "d", "", "it holds 2 *.log files: name them as SOURCE=PATH, for example text=d/a.log" },
	{ "d/a.log", "d/", "", "it holds 1 *.log file: name it as SOURCE=PATH, for example text=d/a.log" },
	{ "t/logs/town.log", "t/logs", "", "it looks like a directory inside a town" },
	{ "t/logs/town.log", "town=t", "", "t: error: is a directory and cannot be the town source (name its files (town=t/FILE)" },
	/* Files */
	{ "a.log b.log", "b.log a.log", "? a.log: a.log; ? b.log: b.log", NULL },
	{ "a.log b.log", "text=b.log town=a.log", "town a.log: a.log; text b.log: b.log", NULL },
	{ "a.log a.log.1 a.log.2.gz", "a.log.1", "? a.log: a.log.1", NULL },
	{ "a.log a.log.1 a.log.2.gz", "a.log a.log.2.gz a.log.1", "? a.log: a.log.2.gz a.log.1 a.log", NULL },
	{ "a.log a.log.1", "a.log town=a.log.1", "town a.log: a.log.1 a.log", NULL },
	{ "a.log a.log.1 a.log.2", "a.log.2 town=a.log.1 text=a.log", "text a.log: a.log; town a.log: a.log.1; ? a.log: a.log.2",
	  NULL },
	{ "x/a.log x/a.log.1 y/a.log.2", "x/a.log y/a.log.2 x//a.log.1", "? x/a.log: x//a.log.1 x/a.log; ? y/a.log: y/a.log.2", NULL },
	{ "a.log a.log.1", "./a.log a.log.1", "? a.log: a.log.1 ./a.log", NULL },
	{ "a.log a.log.1 a.log.1.xz", "a.log.1.xz a.log a.log.1", "? a.log: a.log.1 a.log", "a.log.1.xz: note" },
	{ "a.log b.log->a.log", "b.log a.log", "? a.log: a.log", "b.log: warning: is the same file as a.log; it was read once" },
	{ "a.log", "a.log a.log a.log", "? a.log: a.log", "a.log: warning: is named twice" },
	{ "a.log", "text=a.log town=a.log", "text a.log: a.log", "it was read as source text, not as town" },
	{ "worker.4711 worker.4712", "worker.4712 worker.4711", "? worker.4711: worker.4711; ? worker.4712: worker.4712", NULL },
	/* Words */
	{ "a=b", "a=b", "? a=b: a=b", NULL },
	{ "town=a.log a.log", "town=a.log", "? town=a.log: town=a.log", NULL },
	{ "a=b", "text=a=b", "text a=b: a=b", NULL },
	{ "a.log", "foo=a.log", "", "foo=a.log: error: cannot read: No such file or directory (there is no source named \"foo\" either)" },
	{ "x=y/a.log", "x=y/b.log", "", "x=y/b.log: error: cannot read" },
	{ "town.log", "twon.log", "", "did you mean town.log?" },
	{ "logs/town.log", "logs/toun.log", "", "did you mean logs/town.log?" },
	{ "logs/town.log", "text=logs/toun.log", "", "logs/toun.log: error: cannot read: No such file or directory (did you mean logs/town.log?" },
	{ "", "none/a.log", "", "there is no directory none/ either" },
	{ "", "town=~/a.log", "", "write $HOME" },
	{ "l->l", "l", "", "lead back to themselves" },
	{ "l->gone", "l", "", "l: error: is a symbolic link to a file that does not exist" },
	{ "a.log", "a.log/x", "", "a.log/x: error: cannot read: Not a directory" },
	{ "", "''", "", "an input has an empty name" },
	{ "", "town=", "", "no path follows \"town=\"" },
	{ "", "-", "? -: -", NULL },
	{ "", "town=-", "town -: -", NULL },
	{ "", "- town=-", "? -: -", "error: standard input is named twice" },
	{ "-", "./- -", "? -: -; ? ./-: ./-", NULL },
	{ "- a", "./- a -", "? -: -; ? -: ./-; ? a: a", NULL },
	{ "a", "nothing a", "? a: a", "nothing: error: cannot read" },
};

static void make_files(const char *files)
{
	char *list = xstrdup(files);
	time_t time = 1771318800;

	for (char *name = strtok(list, " "); name; name = strtok(NULL, " "), time++) {
		char *arrow = strstr(name, "->");
		size_t len = strlen(name);

		if (arrow) {
			*arrow = '\0';
			ck_assert_int_eq(symlink(arrow + 2, name), 0);
		} else if (name[len - 1] == '/') {
			name[len - 1] = '\0';
			ck_assert_int_eq(mkdir(name, 0777), 0);
		} else {
			make_file(name, time);
		}
	}
	free(list);
}

/* In the order given and in the opposite one: the streams are the same. */
START_TEST(discover)
{
	make_files(cases[_i].files);
	for (int turn = 0; turn < 2; turn++) {
		char *text = xstrdup(cases[_i].words), *words[WORDS_MAX];
		size_t n = split_words(text, words);
		struct buffer got = BUFFER_INIT, diags_text = BUFFER_INIT;
		struct diag_list diags = DIAG_LIST_INIT;
		struct stream_list streams;

		/* Which of two words for standard input counts is a matter of order: it is an error anyway. */
		if (turn && strcmp(cases[_i].words, "- town=-") != 0) {
			for (size_t k = 0; k < n / 2; k++) {
				char *word = words[k];

				words[k] = words[n - 1 - k];
				words[n - 1 - k] = word;
			}
		}
		stream_discover(words, n, known_source, NULL, &streams, &diags);
		show(&got, &streams);
		show_diags(&diags_text, &diags);
		ck_assert_str_eq(buffer_string(&got), cases[_i].streams);
		buffer_string(&diags_text);
		/* The second of two names of a directory is the one that is superfluous. */
		if (!cases[_i].diags)
			ck_assert_msg(!diags.n, "case %d: %s", _i, diags_text.data);
		else if (!turn)
			ck_assert_msg(strstr(diags_text.data, cases[_i].diags), "case %d: %s", _i, diags_text.data);
		stream_list_release(&streams);
		diag_list_release(&diags);
		buffer_release(&got);
		buffer_release(&diags_text);
		free(text);
		if (strcmp(cases[_i].words, "t t/") == 0)
			break; /* "t/" first: another spelling of the paths */
	}
}
END_TEST

/* Names that a table of words cannot hold. */
START_TEST(odd_names)
{
	char *words[] = { (char[]){ "a\nb.log" }, (char[]){ "\033[2J.log.1" }, (char[]){ "sp ace.log" }, (char[]){ "missing\nname" } };
	struct diag_list diags = DIAG_LIST_INIT;
	struct stream_list streams;

	for (size_t i = 0; i < 3; i++)
		make_file(words[i], 1);
	stream_discover(words, COUNT(words), known_source, NULL, &streams, &diags);
	ck_assert_uint_eq(streams.n, 3);
	ck_assert_str_eq(streams.items[0].log_path, "\033[2J.log");
	ck_assert_str_eq(streams.items[1].log_path, "a\nb.log");
	ck_assert_uint_eq(diags.n_errors, 1);
	ck_assert_uint_eq(stream_total_bytes(&streams), strlen(words[0]) + strlen(words[1]) + strlen(words[2]));
	stream_list_release(&streams);
	diag_list_release(&diags);
}
END_TEST

START_TEST(pipes)
{
	char *fifo[] = { (char[]){ "pipe" }, (char[]){ "file" } }, *twice[] = { (char[]){ "/dev/stdin" }, (char[]){ "-" } };
	struct diag_list diags = DIAG_LIST_INIT;
	struct stream_list streams;

	ck_assert_int_eq(mkfifo("pipe", 0666), 0);
	make_file("file", 1);
	stream_discover(fifo, 2, known_source, NULL, &streams, &diags);
	ck_assert_uint_eq(streams.n, 2);
	ck_assert_uint_eq(diags.n, 0);
	ck_assert_uint_eq(stream_total_bytes(&streams), 0);
	stream_list_release(&streams);
	ck_assert_uint_eq(stream_total_bytes(&streams), 0);

	ck_assert_int_ge(dup2(open("file", O_RDONLY), STDIN_FILENO), 0);
	stream_discover(twice, 2, known_source, NULL, &streams, &diags);
	ck_assert_uint_eq(streams.n, 1);
	ck_assert_uint_eq(diags.n_warnings, 1);
	ck_assert_uint_eq(stream_total_bytes(&streams), 4);
	stream_list_release(&streams);
	diag_list_release(&diags);
}
END_TEST

/* root may read everything: then there is nothing to see. */
START_TEST(unreadable_directory)
{
	char *words[] = { (char[]){ "t" } };
	struct diag_list diags = DIAG_LIST_INIT;
	struct stream_list streams;

	make_file("t/logs/town.log", 1);
	make_file("t/daemon/daemon.log", 1);
	ck_assert_int_eq(chmod("t/logs", 0), 0);
	if (access("t/logs", R_OK) != 0) {
		stream_discover(words, 1, known_source, NULL, &streams, &diags);
		ck_assert_uint_eq(streams.n, 1);
		ck_assert_uint_eq(diags.n_errors, 1); /* not once for each log in it */
		ck_assert_str_eq(diags.items[0].file, "t/logs/");
		stream_list_release(&streams);
		diag_list_release(&diags);
	}
	ck_assert_int_eq(chmod("t/logs", 0700), 0);
}
END_TEST

static const struct {
	const char *name, *base;
	int64_t number;
	const char *stamp;
	size_t packed_len;
} rotation_cases[] = {
	{ "town.log", "town.log", -1, "", 0 },
	{ "town.log.1", "town.log", 1, "", 0 },
	{ "town.log.0", "town.log", 0, "", 0 },
	{ "town.log.007.gz", "town.log", 7, "", 3 },
	{ "town.log.old", "town.log", 1, "", 0 },
	{ "town.log.gz", "town.log", -1, "", 3 },
	{ "town.log.2.zstd", "town.log", 2, "", 5 },
	{ "town.log-20260217", "town.log", -1, "20260217", 0 },
	{ "town.log.20260217.xz", "town.log", -1, "20260217", 3 },
	{ "town.log_2026-02-17", "town.log", -1, "20260217", 0 },
	{ "town.log-2026021713", "town.log", -1, "2026021713", 0 },
	{ "town.log-20260217-131415", "town.log", -1, "20260217131415", 0 },
	{ "town.log-2026-02-17T13:14:15Z.gz", "town.log", -1, "20260217131415", 3 },
	{ "town.log-1771318800", "town.log", -1, "20260217090000", 0 },
	{ "town.log-20260217.1.gz", "town.log", 1, "20260217", 3 },
	{ "town.log.1-20260217", "town.log", 1, "20260217", 0 },
	{ "daemon-2026-02-28T10-00-00.000.log.gz", "daemon.log", -1, "20260228100000000", 3 },
	{ "daemon-20260228.log", "daemon.log", -1, "20260228", 0 },
	{ ".events.jsonl", ".events.jsonl", -1, "", 0 },
	{ ".events.jsonl.1", ".events.jsonl", 1, "", 0 },
	{ "syslog.3", "syslog", 3, "", 0 },
	/* No generations */
	{ "town.log.2026", "town.log.2026", -1, "", 0 },
	{ "town.log.20261301", "town.log.20261301", -1, "", 0 },
	{ "town.log.1771318800", "town.log.1771318800", -1, "", 0 },
	{ "town.log.1.bak", "town.log.1.bak", -1, "", 0 },
	{ "town.log.1.gz.part", "town.log.1.gz.part", -1, "", 0 },
	{ "2026-02-17.log", "2026-02-17.log", -1, "", 0 },
	{ "20260217", "20260217", -1, "", 0 },
	{ "-20260217", "-20260217", -1, "", 0 },
	{ ".1", ".1", -1, "", 0 },
	{ ".gz", ".gz", -1, "", 0 },
	{ ".old", ".old", -1, "", 0 },
	{ "1", "1", -1, "", 0 },
	{ "", "", -1, "", 0 },
	{ "-", "-", -1, "", 0 },
	{ "town.log.", "town.log.", -1, "", 0 },
	{ "town.log.-1", "town.log.-1", -1, "", 0 },
};

START_TEST(rotations)
{
	struct rotation r;

	rotation_parse(rotation_cases[_i].name, &r);
	ck_assert_str_eq(r.base, rotation_cases[_i].base);
	ck_assert_int_eq(r.number, rotation_cases[_i].number);
	ck_assert_str_eq(r.stamp, rotation_cases[_i].stamp);
	ck_assert_uint_eq(r.packed_len, rotation_cases[_i].packed_len);
	free(r.base);
}
END_TEST

TCase *stream_cases(void)
{
	TCase *t = tcase_create("stream");

	tcase_add_checked_fixture(t, enter_directory, leave_directory);
	tcase_add_loop_test(t, discover, 0, COUNT(cases));
	tcase_add_test(t, odd_names);
	tcase_add_test(t, pipes);
	tcase_add_test(t, unreadable_directory);
	tcase_add_loop_test(t, rotations, 0, COUNT(rotation_cases));
	return t;
}

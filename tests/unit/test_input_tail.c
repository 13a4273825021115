/*
 * test_input_tail.c: what comes next in a log, with real files. Each case is a script that is run in a directory of its own, live (one
 * tail that stays open) and as cron does it (a tail is made, loaded and saved for every read). Lines carry numbers; what is read is told
 * as ranges of them.
 */
#include "test_input.h"
#include "base/buffer.h"
#include "base/memory.h"
#include "input/tail.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <lzma.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#define COUNT(table) (sizeof(table) / sizeof *(table))

enum { LIVE = 1, CRON = 2, BOTH = 3, NAMED = 4, TOWN = 8 };

static char directory[] = "/tmp/test_tail.XXXXXX";
static time_t now; /* of the files: each change is a second later */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

/* ---- changing files ---- */

static void set_time(const char *path, time_t t)
{
	struct timespec times[2] = { { .tv_sec = t }, { .tv_sec = t } };
	ck_assert_int_eq(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void line(struct buffer *b, int n)
{
	buffer_printf(b, "2026-01-22 %02d:%02d:%02d [kill] rig/polecats/p%d line %d\n", n / 3600 % 24, n / 60 % 60, n % 60, n % 7, n);
}

static void store(const char *path, int flags, struct span text)
{
	int fd = open(path, O_WRONLY | O_CREAT | flags, 0666);
	ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
	ck_assert_int_eq(write(fd, text.ptr, text.len), (ssize_t)text.len);
	close(fd);
	set_time(path, ++now);
}

static void load(const char *path, struct buffer *b)
{
	struct stat st;
	int fd = open(path, O_RDONLY);
	ck_assert_msg(fd >= 0 && fstat(fd, &st) == 0, "%s: %s", path, strerror(errno));
	buffer_reserve(b, (size_t)st.st_size + 1);
	b->len = (size_t)read(fd, b->data, (size_t)st.st_size);
	close(fd);
}

/* As gzip does it: the packed file keeps the time, the plain one goes. */
static void pack(const char *path)
{
	struct buffer text = BUFFER_INIT, out = BUFFER_INIT, plain = BUFFER_INIT;
	const char *dot = strrchr(path, '.');
	struct stat st;
	size_t n = 0;

	buffer_append(&plain, path, (size_t)(dot - path));
	load(buffer_string(&plain), &text);
	buffer_reserve(&out, text.len + 65536);
	if (!strcmp(dot, ".gz")) {
		z_stream z = { .zalloc = NULL };
		ck_assert_int_eq(deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
		z.next_in = (Bytef *)text.data;
		z.avail_in = (uInt)text.len;
		z.next_out = (Bytef *)out.data;
		z.avail_out = (uInt)out.cap;
		ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
		n = z.total_out;
		deflateEnd(&z);
	} else if (!strcmp(dot, ".zst")) {
		n = ZSTD_compress(out.data, out.cap, text.data, text.len, 3);
		ck_assert(!ZSTD_isError(n));
	} else {
		ck_assert_int_eq(lzma_easy_buffer_encode(1, LZMA_CHECK_CRC32, NULL, (const uint8_t *)text.data, text.len, (uint8_t *)out.data, &n, out.cap), LZMA_OK);
	}
	ck_assert_int_eq(stat(plain.data, &st), 0);
	store(path, O_TRUNC, span_of(out.data, n));
	set_time(path, st.st_mtim.tv_sec);
	ck_assert_int_eq(unlink(plain.data), 0);
	buffer_release(&text);
	buffer_release(&out);
	buffer_release(&plain);
}

/* The new file holds the lines of the old one from number `from` to `to`. */
static void prune(const char *path, int from, int to, bool in_place)
{
	struct buffer b = BUFFER_INIT;

	for (int i = from; i <= to; i++)
		line(&b, i);
	if (in_place) {
		store(path, O_TRUNC, buffer_span(&b));
	} else {
		store("temp", O_TRUNC, buffer_span(&b));
		ck_assert_int_eq(rename("temp", path), 0);
	}
	buffer_release(&b);
}

/* ---- reading ---- */

static const struct read_means means = { .block_bytes = 64 << 10, .blocks_ahead = 1 };

struct reading {
	const char *name;
	unsigned mode;
	struct tail *tail;
	struct stream_list streams;
	struct buffer saved, text, got;
	struct diag_list diags;
};

static bool known_source(void *context, const char *name)
{
	(void)context;
	return !strcmp(name, "town");
}

static void begin(struct reading *r)
{
	static char town[] = "./", named[] = "logs/town.log";
	char *words[] = { r->mode & TOWN ? town : named };

	stream_discover_lasting(words, 1, known_source, NULL, false, &r->streams, &r->diags);
	size_t i = 0;
	while (i + 1 < r->streams.n && !strstr(r->streams.items[i].log_path, "town.log"))
		i++;
	ck_assert_msg(i < r->streams.n, "%s: no stream", r->name);
	r->tail = tail_new(&r->streams.items[i], r->mode & LIVE ? TAIL_FOLLOW : TAIL_RESUME, &means);
	if (r->saved.len) {
		struct codec_reader in = { r->saved.data, r->saved.data + r->saved.len, false };
		ck_assert(tail_load(r->tail, &in) && in.ptr == in.end);
	}
}

static void end(struct reading *r)
{
	if (!r->tail)
		return;
	buffer_clear(&r->saved);
	tail_save(r->tail, &r->saved);
	tail_free(r->tail);
	r->tail = NULL;
	stream_list_release(&r->streams);
}

/* Whole lines of the text become ranges of numbers; "x" is a line that is none of ours. */
static void tell(struct reading *r)
{
	int first = -1, last = -1;
	bool more = true;

	buffer_clear(&r->got);
	while (more) {
		char *newline = r->text.len ? memchr(r->text.data, '\n', r->text.len) : NULL;
		int n = -1;
		more = newline != NULL;
		if (more) {
			struct buffer mine = BUFFER_INIT;
			const char *word = memmem(r->text.data, (size_t)(newline - r->text.data), " line ", 6);
			n = word ? atoi(word + 6) : -2;
			line(&mine, n);
			if (!span_equal(buffer_span(&mine), span_of(r->text.data, (size_t)(newline - r->text.data) + 1)))
				n = -2;
			buffer_release(&mine);
			buffer_consume(&r->text, (size_t)(newline - r->text.data) + 1);
		}
		if (n >= 0 && n == last + 1 && first >= 0) {
			last = n;
			continue;
		}
		if (first >= 0)
			buffer_printf(&r->got, first == last ? "%s%d" : "%s%d-%d", r->got.len ? "," : "", first, last);
		if (n == -2)
			buffer_printf(&r->got, "%sx", r->got.len ? "," : "");
		first = last = n >= 0 ? n : -1;
	}
}

static void read_all(struct reading *r)
{
	struct block block = BLOCK_INIT;
	size_t n;

	diag_list_release(&r->diags);
	r->diags = (struct diag_list)DIAG_LIST_INIT;
	if (!r->tail)
		begin(r);
	for (int steps = 0;; steps++) {
		ck_assert_msg(steps < 10000, "%s: does not come to an end", r->name);
		enum tail_step step = tail_read(r->tail, &block, &n, &r->diags);
		ck_assert_uint_eq(block.len, n);
		if (step == TAIL_BYTES)
			buffer_append_span(&r->text, block_span(&block));
		block_clear(&block);
		if (step == TAIL_BEGIN && r->text.len && r->text.data[r->text.len - 1] != '\n')
			buffer_append_char(&r->text, '\n');
		if (step == TAIL_AT_END)
			break;
	}
	block_release(&block);
	if (r->mode & CRON)
		end(r);
	tell(r);
}

/* ---- scripts ---- */

static void run_step(struct reading *r, char *step)
{
	char *words[6] = { NULL };
	size_t n = 0;

	for (char *w = strtok(step, " "); w && n < COUNT(words); w = strtok(NULL, " "))
		words[n++] = w;
	if (n == 0)
		return;
	const char *verb = words[0], *path = words[1], *want = path && strcmp(path, "-") ? path : "";
	if (!strcmp(verb, "add")) { /* add PATH FROM TO */
		struct buffer b = BUFFER_INIT;
		for (int i = atoi(words[2]); i <= atoi(words[3]); i++)
			line(&b, i);
		store(path, O_APPEND, buffer_span(&b));
		buffer_release(&b);
	} else if (!strcmp(verb, "half") || !strcmp(verb, "rest") || !strcmp(verb, "start") || !strcmp(verb, "finish")) { /* of line N */
		struct buffer b = BUFFER_INIT;
		line(&b, atoi(words[2]));
		size_t cut = *verb == 'h' || *verb == 'r' ? b.len / 2 : 8;
		store(path, O_APPEND, *verb == 'h' || *verb == 's' ? span_of(b.data, cut) : span_from(buffer_span(&b), cut));
		buffer_release(&b);
	} else if (!strcmp(verb, "text")) {
		store(path, O_APPEND, span_from_string(words[2]));
		store(path, O_APPEND, SPAN("\n"));
	} else if (!strcmp(verb, "mv")) {
		ck_assert_msg(rename(path, words[2]) == 0, "%s: mv %s: %s", r->name, path, strerror(errno));
	} else if (!strcmp(verb, "rm")) {
		ck_assert_int_eq(remove(path), 0);
	} else if (!strcmp(verb, "mkdir")) {
		ck_assert_int_eq(mkdir(path, 0777), 0);
	} else if (!strcmp(verb, "pack")) { /* pack PATH.gz: from PATH */
		pack(path);
	} else if (!strcmp(verb, "cp")) {
		struct buffer b = BUFFER_INIT;
		load(path, &b);
		store(words[2], O_TRUNC, buffer_span(&b));
		buffer_release(&b);
	} else if (!strcmp(verb, "cut")) { /* cut PATH BYTES */
		ck_assert_int_eq(truncate(path, atoi(words[2])), 0);
		set_time(path, ++now);
	} else if (!strcmp(verb, "time")) { /* time PATH SECONDS: it was changed so long ago */
		set_time(path, now - atoi(words[2]));
	} else if (!strcmp(verb, "prune") || !strcmp(verb, "rewrite")) { /* PATH FROM TO */
		prune(path, atoi(words[2]), atoi(words[3]), *verb == 'r');
	} else if (!strcmp(verb, "chmod")) {
		ck_assert_int_eq(chmod(path, (mode_t)strtol(words[2], NULL, 8)), 0);
	} else if (!strcmp(verb, "link")) {
		ck_assert_int_eq(symlink(words[2], path), 0);
	} else if (!strcmp(verb, "restart")) { /* the one that stays open ends, and another begins at its position */
		end(r);
	} else if (!strcmp(verb, "read")) { /* read RANGES [TEXT OF A DIAGNOSTIC] */
		read_all(r);
		ck_assert_msg(!strcmp(buffer_string(&r->got), want), "%s (%s): read %s, not %s", r->name,
			      r->mode & LIVE ? "live" : "cron", buffer_string(&r->got), *want ? want : "nothing");
		ck_assert_msg((r->diags.n > 0) == (n > 2) && (n <= 2 || strstr(r->diags.items[0].text, words[2])), "%s (%s): said: %s", r->name,
			      r->mode & LIVE ? "live" : "cron", r->diags.n ? r->diags.items[0].text : "nothing");
	} else {
		ck_abort_msg("%s: no step is called %s", r->name, verb);
	}
}

static void directory_begin(void)
{
	strcpy(strrchr(directory, '.') + 1, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	ck_assert_int_eq(chdir(directory), 0);
	ck_assert_int_eq(mkdir("logs", 0777), 0);
	now = 1770000000;
}

static void directory_end(void)
{
	ck_assert_int_eq(chdir("/"), 0);
	ck_assert_int_eq(nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static void reading_release(struct reading *r)
{
	buffer_release(&r->saved);
	buffer_release(&r->text);
	buffer_release(&r->got);
	diag_list_release(&r->diags);
}

static void run_script(const char *name, unsigned mode, const char *script)
{
	struct reading r = { .name = name, .mode = mode, .diags = DIAG_LIST_INIT };
	char *copy = xstrdup(script), *rest = copy, *step;

	directory_begin();
	while ((step = strsep(&rest, ";")))
		run_step(&r, step);
	end(&r);
	free(copy);
	reading_release(&r);
	directory_end();
}

#define L "logs/town.log"
static const struct {
	const char *name;
	unsigned modes;
	const char *script;
} cases[] = {
	{ "appended", BOTH, "add " L " 1 5; read 1-5; read; add " L " 6 6; read 6; add " L " 7 300; read 7-300; read" },
	{ "half a line", BOTH, "add " L " 1 2; half " L " 3; read 1-2; rest " L " 3; add " L " 4 4; read 3-4" },
	{ "not there yet, and its directory neither", LIVE, "rm logs; read; mkdir logs; read; add " L " 1 3; read 1-3" },
	{ "not there yet, by cron", CRON, "read - cannot; add " L " 1 3; read 1-3" },
	{ "not there yet, in a town", BOTH | TOWN, "read; add " L " 1 3; read 1-3" },
	{ "renamed", BOTH, "add " L " 1 5; read 1-5; add " L " 6 7; mv " L " " L ".1; add " L " 8 9; read 6-9; add " L " 10 11; read 10-11" },
	{ "renamed, nothing new yet", BOTH, "add " L " 1 5; read 1-5; add " L " 6 7; mv " L " " L ".1; read 6-7; read; add " L " 8 9; read 8-9" },
	{ "renamed and written to under the old name", BOTH,
	  "add " L " 1 5; read 1-5; mv " L " " L ".1; add " L ".1 6 7; read 6-7; add " L ".1 8 8; read 8; add " L " 9 9; read 9" },
	{ "renamed, and written to under both names for a while", LIVE,
	  "add " L " 1 5; read 1-5; mv " L " " L ".1; add " L " 8 9; read 8-9; add " L ".1 6 6; read 6; add " L ".1 7 7; add " L
	  " 10 10; read 10,7; half " L ".1 11; read; half " L " 20; rest " L ".1 11; read; rest " L " 20; read 20,11; rm " L ".1; add " L " 21 21; read 21" },
	{ "renamed, and written to under both names for a while, by cron", CRON,
	  "add " L " 1 5; read 1-5; mv " L " " L ".1; add " L " 8 9; read 8-9; add " L ".1 6 6; read 6; add " L ".1 7 7; add " L
	  " 10 10; read 7,10; half " L ".1 11; read; half " L " 20; rest " L ".1 11; read 11; add " L ".1 12 12; rest " L " 20; read 20; read 12; mv " L ".1 " L
	  ".2; mv " L " " L ".1; add " L ".2 13 13; add " L " 22 22; add " L ".1 21 21; read 13,21-22; add " L ".2 99 99; add " L ".1 23 24; read 23-24; rm " L
	  ".1; add " L " 25 25; read 25" },
	{ "renamed, and written to under both names for a while, begun anew", LIVE,
	  "add " L " 1 5; read 1-5; mv " L " " L ".1; add " L " 8 9; read 8-9; restart; add " L ".1 6 6; add " L " 10 10; read 6,10; add " L
	  ".1 7 7; read 7; restart; read; half " L " 20; read; restart; add " L ".1 11 11; read; rest " L " 20; read 20,11; restart; rm " L ".1; add " L
	  " 21 21; read 21" },
	{ "renamed, and written to under both names until it is packed", CRON,
	  "add " L " 1 5; read 1-5; mv " L " " L ".1; add " L " 8 9; read 8-9; add " L ".1 6 6; read 6; pack " L ".1.gz; add " L " 10 10; read 10; add " L
	  ".1 1 7; read; add " L " 11 11; read 11" },
	{ "renamed, written to once more, and the new one replaced", LIVE,
	  "add " L " 1 5; read 1-5; mv " L " " L ".1; add " L " 8 9; read 8-9; add " L ".1 6 6; read 6; rm " L "; add " L " 10 10; read 10" },
	{ "renamed, written to once more, and the new one replaced, by cron", CRON,
	  "add " L " 1 5; read 1-5; mv " L " " L ".1; add " L " 8 9; read 8-9; add " L ".1 6 6; read 6; rm " L "; add " L " 10 10; read 10 removed" },
	{ "renamed, and the old one written over with a copy", BOTH,
	  "add " L " 1 5; read 1-5; mv " L " " L ".1; add " L " 6 40; read 6-40; cp " L " " L ".1; cut " L " 0; add " L " 41 42; read 41-42" },
	{ "renamed with half a line", BOTH, "add " L " 1 2; half " L " 3; read 1-2; rest " L " 3; mv " L " " L ".1; add " L " 4 5; read 3-5" },
	{ "renamed with half a line that stays half", BOTH, "add " L " 1 2; half " L " 3; read 1-2; mv " L " " L ".1; add " L " 4 5; read x,4-5" },
	{ "renamed with a date", BOTH, "add " L " 1 5; read 1-5; add " L " 6 7; mv " L " " L "-20260217; add " L " 8 9; read 6-9" },
	{ "a chain", BOTH,
	  "add " L " 1 5; read 1-5; add " L " 6 7; mv " L " " L ".1; add " L " 8 9; mv " L ".1 " L ".2; mv " L " " L ".1; add " L " 10 11; read 6-11" },
	{ "a long chain of dates", BOTH,
	  "add " L " 1 5; read 1-5; add " L " 6 6; mv " L " " L "-20260217; add " L " 7 8; mv " L " " L "-20260218; add " L " 9 9; mv " L " " L
	  "-20260219; add " L " 10 10; read 6-10" },
	{ "packed meanwhile", CRON,
	  "add " L " 1 5; read 1-5; add " L " 6 200; mv " L " " L ".1; pack " L ".1.gz; add " L " 201 202; read 6-202; add " L " 203 203; read 203" },
	{ "packed meanwhile, open", LIVE,
	  "add " L " 1 5; read 1-5; add " L " 6 200; mv " L " " L ".1; pack " L ".1.gz; add " L " 201 202; read 6-202; add " L " 203 203; read 203" },
	{ "packed with zstd, far behind", BOTH,
	  "add " L " 1 400; read 1-400; add " L " 401 800; mv " L " " L ".1; pack " L ".1.zst; add " L " 801 802; read 401-802" },
	{ "packed with xz and a date", BOTH,
	  "add " L " 1 400; read 1-400; add " L " 401 800; mv " L " " L "-20260217; pack " L "-20260217.xz; add " L " 801 802; read 401-802" },
	{ "packed one later, and again", BOTH,
	  "add " L " 1 5; read 1-5; add " L " 6 7; mv " L " " L ".1; add " L " 8 9; mv " L ".1 " L ".2; pack " L ".2.gz; mv " L " " L
	  ".1; add " L " 10 11; read 6-11; add " L " 12 12; mv " L ".2.gz " L ".3.gz; mv " L ".1 " L ".2; pack " L ".2.gz; mv " L " " L
	  ".1; add " L " 13 13; read 12-13" },
	{ "read in the archive, rotated on", CRON | TOWN,
	  "add " L ".1 1 300; pack " L ".1.gz; read 1-300; mv " L ".1.gz " L ".2.gz; add " L ".1 301 302; add " L " 303 303; read 301-303; read" },
	{ "a town with generations", BOTH | TOWN,
	  "add " L ".2 1 300; pack " L ".2.gz; add " L ".1 301 400; add " L " 401 402; read 1-402; add " L " 403 403; read 403; mv " L ".1 " L
	  ".3; mv " L " " L ".1; add " L " 404 404; read 404" },
	{ "older generations of a named log are not read", BOTH,
	  "add " L ".1 1 5; add " L " 6 7; read 6-7; mv " L ".1 " L ".2; mv " L " " L ".1; add " L " 8 8; read 8" },
	{ "named log removed, older generations stay unread", BOTH,
	  "add " L ".1 1 5; add " L " 6 7; read 6-7; rm " L "; read; read" },
	{ "plain and packed at once", BOTH,
	  "add " L " 1 5; read 1-5; add " L " 6 7; mv " L " " L ".1; cp " L ".1 copy; mv copy " L ".1.gz.tmp; add " L " 8 8; read 6-8; cp " L
	  ".1 " L ".1.save; read" },
	{ "replaced by its last lines", BOTH, "add " L " 1 500; read 1-500; prune " L " 400 500; read; add " L " 501 502; read 501-502" },
	{ "replaced by its last lines and new ones", BOTH, "add " L " 1 500; read 1-500; prune " L " 400 503; read 501-503; add " L " 504 505; read 504-505" },
	{ "replaced by its last few lines", BOTH, "add " L " 1 500; read 1-500; prune " L " 498 503; read 501-503" },
	{ "replaced by its last line", BOTH, "add " L " 1 500; read 1-500; prune " L " 500 503; read 501-503" },
	{ "replaced when all is old", LIVE, "add " L " 1 500; read 1-500; prune " L " 501 503; read 501-503" },
	{ "replaced when all is old, by cron", CRON, "add " L " 1 500; read 1-500; prune " L " 501 503; read 501-503 removed" },
	{ "replaced while small", BOTH, "add " L " 1 5; read 1-5; prune " L " 2 6; read 6; prune " L " 4 8; read 7-8" },
	{ "replaced twice between looks", BOTH, "add " L " 1 500; read 1-500; prune " L " 100 600; prune " L " 300 700; read 501-700" },
	{ "replaced, lines before not read", BOTH, "add " L " 1 500; read 1-500; add " L " 501 510; prune " L " 400 512; read 501-512" },
	{ "replaced, the last lines missing", BOTH, "add " L " 1 500; read 1-500; add " L " 501 503; read 501-503; prune " L " 400 500; add " L " 504 505; read 504-505" },
	{ "replaced with half a line read", BOTH, "add " L " 1 500; half " L " 501; read 1-500; prune " L " 400 503; read 501-503" },
	{ "written over with its last lines", BOTH, "add " L " 1 500; read 1-500; rewrite " L " 400 503; read 501-503; rewrite " L " 450 505; read 504-505" },
	{ "written over with the same", BOTH, "add " L " 1 50; read 1-50; rewrite " L " 1 50; read; add " L " 51 51; read 51" },
	{ "copied and truncated", BOTH, "add " L " 1 5; read 1-5; add " L " 6 7; cp " L " " L ".1; cut " L " 0; read 6-7; add " L " 8 8; read 8" },
	{ "copied and truncated, grown", BOTH, "add " L " 1 5; read 1-5; add " L " 6 7; cp " L " " L ".1; cut " L " 0; add " L " 8 9; read 6-9" },
	{ "copied and truncated, grown beyond", BOTH,
	  "add " L " 1 5; read 1-5; add " L " 6 7; cp " L " " L ".1; cut " L " 0; add " L " 8 90; read 6-90; add " L " 91 91; read 91" },
	{ "copied and truncated, grown to the same length", BOTH,
	  "add " L " 11 15; read 11-15; cp " L " " L ".1; cut " L " 0; add " L " 16 20; read 16-20" },
	{ "copied, packed and truncated", BOTH,
	  "add " L " 1 300; read 1-300; add " L " 301 302; cp " L " " L ".1; pack " L ".1.gz; cut " L " 0; add " L " 303 304; read 301-304" },
	{ "copied and truncated twice", BOTH,
	  "add " L " 1 300; read 1-300; add " L " 301 302; cp " L " " L ".1; cut " L " 0; add " L " 303 304; mv " L ".1 " L ".2; cp " L " " L
	  ".1; cut " L " 0; add " L " 305 305; read 301-305" },
	{ "copied, then read on, then truncated", BOTH,
	  "add " L " 1 300; read 1-300; cp " L " " L ".1; add " L " 301 301; read 301; cut " L " 0; add " L " 302 303; read 302-303" },
	{ "copied and truncated, then copied and not truncated yet", BOTH,
	  "add " L " 1 5; read 1-5; add " L " 6 7; cp " L " " L ".1; cut " L " 0; add " L " 8 20; mv " L ".1 " L ".2; cp " L " " L
	  ".1; read 6-20; read; cut " L " 0; add " L " 21 22; read 21-22" },
	{ "copied and truncated, then copied, packed and not truncated yet, with more in it", BOTH,
	  "add " L " 1 5; read 1-5; add " L " 6 7; cp " L " " L ".1; cut " L " 0; add " L " 8 20; mv " L ".1 " L ".2; cp " L " " L
	  ".1; pack " L ".1.gz; time " L ".1.gz 1; add " L " 21 21; time " L " 0; read 6-21; cut " L " 0; add " L " 22 23; read 22-23 removed" },
	{ "a copy beside it", BOTH, "add " L " 1 5; read 1-5; cp " L " " L ".1; add " L " 6 6; read 6; read" },
	{ "truncated", BOTH, "add " L " 1 5; read 1-5; cut " L " 0; read - removed; add " L " 6 7; read 6-7; cut " L " 0; add " L " 8 30; read 8-30 removed" },
	{ "its end cut off", BOTH, "add " L " 1 20; read 1-20; cut " L " 501; add " L " 21 22; read 21-22" },
	{ "removed and back", LIVE, "add " L " 1 5; read 1-5; add " L " 6 6; rm " L "; read 6; add " L " 7 8; read 7-8" },
	{ "removed and back, by cron", CRON, "add " L " 1 5; read 1-5; add " L " 6 6; rm " L "; add " L " 7 8; read 7-8 removed" },
	{ "removed and back, with older generations", CRON,
	  "add " L ".2 90 91; add " L ".1 92 93; add " L " 1 5; read 1-5; rm " L "; read; add " L " 7 8; read 7-8 removed; read" },
	{ "removed and back, with older generations, open", LIVE,
	  "add " L ".2 90 91; add " L ".1 92 93; add " L " 1 5; read 1-5; rm " L "; read; add " L " 7 8; read 7-8; read" },
	{ "an unread generation removed", CRON,
	  "add " L " 1 5; read 1-5; add " L " 6 6; mv " L " " L ".1; add " L " 7 8; mv " L ".1 " L ".2; mv " L " " L ".1; rm " L ".2; add " L
	  " 9 9; read 7-9 removed" },
	{ "replaced by another", LIVE, "add " L " 1 5; read 1-5; add " L " 6 6; add other 900 901; mv other " L "; read 6,900-901" },
	{ "replaced by another, by cron", CRON, "add " L " 1 5; read 1-5; add other 900 901; mv other " L "; read 900-901 removed" },
	{ "the same beginning", BOTH,
	  "add " L " 1 200; read 1-200; add " L " 201 202; mv " L " " L ".1; add " L " 1 150; add " L " 900 901; read 201-202,1-150,900-901" },
	{ "empty at first", BOTH, "add " L " 2 1; read; add " L " 1 2; read 1-2" },
	{ "empty, then packed away", CRON, "add " L " 2 1; read; add " L " 1 2; mv " L " " L ".1; pack " L ".1.gz; add " L " 3 3; read 1-3" },
	{ "empty at first in a town, copied away between two looks", BOTH | TOWN,
	  "add " L " 2 1; read; add " L " 1 2; cp " L " " L ".1; cut " L " 0; add " L " 3 3; read 1-3" },
	{ "the new one empty, late lines in the old one", BOTH,
	  "add " L " 1 5; read 1-5; mv " L " " L ".1; add " L " 2 1; read; add " L ".1 6 7; read 6-7; read; add " L " 8 9; read 8-9" },
	{ "the new one empty, late lines in the old one, packed", CRON,
	  "add " L " 1 5; read 1-5; mv " L " " L ".1; add " L " 2 1; read; add " L ".1 6 6; pack " L ".1.gz; read 6; add " L " 7 7; read 7" },
	{ "the new one empty, late lines in both", BOTH,
	  "add " L " 1 5; read 1-5; mv " L " " L ".1; add " L " 2 1; read; add " L ".1 6 6; add " L " 7 7; read 6-7" },
	{ "the new one empty, and rotated on", BOTH,
	  "add " L " 1 5; read 1-5; mv " L " " L ".1; add " L " 2 1; read; mv " L ".1 " L ".2; mv " L " " L ".1; add " L " 2 1; read; add " L
	  ".1 6 6; read 6; add " L " 7 7; read 7" },
	{ "the new one empty, copied away between two looks", BOTH,
	  "add " L " 1 5; read 1-5; mv " L " " L ".1; add " L " 2 1; read; add " L " 6 7; mv " L ".1 " L ".2; cp " L " " L ".1; cut " L
	  " 0; read 6-7; add " L " 8 8; read 8" },
	{ "little of the new one read, and that copied away between two looks", BOTH,
	  "add " L " 1 5; read 1-5; mv " L " " L ".1; start " L " 6; read; finish " L " 6; add " L " 7 8; mv " L ".1 " L ".2; cp " L " " L ".1; cut " L
	  " 0; add " L " 9 9; read 6-9" },
	{ "little of the first one read, and that copied away between two looks", BOTH,
	  "start " L " 6; read; finish " L " 6; add " L " 7 8; cp " L " " L ".1; cut " L " 0; add " L " 9 9; read 6-9; add " L " 10 10; read 10" },
	{ "little of the new one read, late lines in the old one", LIVE,
	  "add " L " 1 5; read 1-5; mv " L " " L ".1; start " L " 7; read; add " L ".1 6 6; finish " L " 7; read 7,6; add " L " 8 8; read 8" },
	{ "the new one empty, the old one dropped", CRON,
	  "add " L " 1 5; read 1-5; mv " L " " L ".1; add " L " 2 1; read; rm " L ".1; read - removed; read; add " L " 6 7; read 6-7" },
	{ "the new one empty, the old one dropped, open", LIVE,
	  "add " L " 1 5; read 1-5; mv " L " " L ".1; add " L " 2 1; read; rm " L ".1; read; add " L " 6 7; read 6-7" },
	{ "copied and truncated, its time changed last", BOTH,
	  "add " L " 1 5; read 1-5; add " L " 6 7; cp " L " " L ".1; cut " L " 0; time " L " 9; read 6-7; time " L " 0; read; add " L " 8 8; read 8" },
	{ "replaced by its last lines, then renamed", BOTH,
	  "add " L " 1 500; read 1-500; prune " L " 400 503; mv " L " " L ".1; add " L " 504 505; read 501-505; add " L " 506 506; read 506" },
	{ "replaced by its last lines, some not read, written to and renamed", BOTH,
	  "add " L " 1 5; read 1-5; add " L " 6 7; prune " L " 4 7; add " L " 8 8; mv " L " " L ".1; add " L " 2 1; add " L " 9 9; read 6-9; add " L " 10 10; read 10" },
	{ "replaced when all is old, written to and renamed, by cron", CRON,
	  "add " L " 1 5; read 1-5; prune " L " 6 5; add " L " 6 7; mv " L " " L ".1; add " L " 2 1; read 6-7 removed; add " L " 8 9; read 8-9" },
	{ "replaced when all is old, written to and renamed, open", LIVE,
	  "add " L " 1 5; read 1-5; prune " L " 6 5; read; add " L " 6 7; mv " L " " L ".1; add " L " 2 1; read 6-7; add " L " 8 9; read 8-9" },
	{ "replaced by its last lines, then renamed and packed", BOTH,
	  "add " L " 1 500; read 1-500; prune " L " 400 503; mv " L " " L ".1; pack " L ".1.gz; add " L " 504 505; read 501-505; add " L " 506 506; read 506" },
	{ "replaced by its last lines, half of one read, then renamed and packed", BOTH,
	  "add " L " 1 500; half " L " 501; read 1-500; prune " L " 400 503; mv " L " " L ".1; pack " L ".1.zst; add " L " 504 505; read 501-505" },
	{ "another file in place of the archive that was read", CRON | TOWN,
	  "add " L ".1 1 300; pack " L ".1.gz; read 1-300; mv " L ".1.gz " L "; cut " L " 0; read; add " L " 301 302; read 301-302" },
	{ "a symbolic link that moves on", BOTH,
	  "add logs/town-2026-02-17.log 1 5; link " L " town-2026-02-17.log; read 1-5; add logs/town-2026-02-17.log 6 6; rm " L
	  "; link " L " town-2026-02-18.log; add logs/town-2026-02-18.log 7 8; read 6-8; add logs/town-2026-02-18.log 9 9; read 9" },
};

START_TEST(rotations)
{
	for (unsigned mode = LIVE; mode <= CRON; mode++)
		if (cases[_i].modes & mode)
			run_script(cases[_i].name, (cases[_i].modes & ~BOTH) | mode, cases[_i].script);
}
END_TEST

START_TEST(late_permission)
{
	uid_t me = geteuid();

	if (me == 0 && seteuid(65534) != 0)
		return; /* root may read all */
	run_script("late permission", LIVE, "add " L " 1 2; chmod " L " 0; read - cannot; read; chmod " L " 600; read 1-2");
	run_script("late permission, by cron", CRON, "add " L " 1 2; read 1-2; add " L " 3 3; chmod " L " 0; read - cannot; chmod " L " 600; read 3");
	run_script("late permission of what is left of a rotated file, by cron", CRON, "add " L " 1 2; read 1-2; add " L " 3 3; mv " L " " L ".1; chmod " L ".1 0; add " L
		   " 4 4; read 4 cannot; add " L " 5 5; read 5; chmod " L ".1 600; add " L " 6 6; read 3,6; read; add " L ".1 7 7; read 7");
	ck_assert_int_eq(seteuid(me), 0);
}
END_TEST

/* Left, and saved, in the middle of late lines of the file before: at which line does each of both go on? */
START_TEST(left_aside)
{
	static const enum tail_step wanted[] = { TAIL_BACK, TAIL_ASIDE, TAIL_BYTES, TAIL_BACK, TAIL_CONTINUE, TAIL_BYTES };
	static const uint64_t lines[] = { 4, 77, 0, 4, 0, 0 };
	struct reading r = { .name = "left aside", .mode = CRON, .diags = DIAG_LIST_INIT };
	struct block block = BLOCK_INIT;
	size_t n;

	directory_begin();
	char first[] = "add " L " 1 40", both[] = "read 1-40", renamed[] = "mv " L " " L ".1", next[] = "add " L " 41 43", read_next[] = "read 41-43";
	char late[] = "add " L ".1 44 50", more[] = "add " L " 51 52";
	char *before[] = { first, both, renamed, next, read_next, late, more };
	for (size_t i = 0; i < COUNT(before); i++)
		run_step(&r, before[i]);
	begin(&r);
	ck_assert_int_eq(tail_read(r.tail, &block, &n, &r.diags), TAIL_ASIDE);
	tail_set_line(r.tail, 4);
	end(&r);
	begin(&r);
	for (size_t i = 0; i < COUNT(wanted); i++) {
		ck_assert_int_eq(tail_read(r.tail, &block, &n, &r.diags), wanted[i]);
		struct tail_file file = tail_file(r.tail);
		if (lines[i])
			ck_assert_uint_eq(file.line, lines[i]);
		if (wanted[i] == TAIL_BACK)
			ck_assert(!strcmp(file.shown, L) && file.offset > 0);
		if (i == 0)
			tail_set_old_line(r.tail, 77);
		else if (wanted[i] == TAIL_ASIDE)
			tail_set_line(r.tail, 4);
	}
	end(&r);
	block_release(&block);
	reading_release(&r);
	directory_end();
}
END_TEST

TCase *tail_cases(void)
{
	TCase *c = tcase_create("tail");

	tcase_add_loop_test(c, rotations, 0, COUNT(cases));
	tcase_add_test(c, late_permission);
	tcase_add_test(c, left_aside);
	tcase_set_timeout(c, 30);
	return c;
}

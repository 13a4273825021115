/*
 * stream.c: decides which files are read, as which source, and in which order. Invariants: the order of the words on
 * the command line does not change the result; no file is read twice (by device and inode, and by generation, where
 * it is there both plain and packed); whatever a word or a directory held that is not read has a diagnostic. It
 * opens no log and looks at no content: a file's source, where neither word nor town says it, is recognised later.
 *
 * In three steps: words → a flat list of files (struct found) → sorted, twins dropped → grouped into streams.
 */
#include "input/stream.h"
#include "base/buffer.h"
#include "base/map.h"
#include "base/memory.h"
#include "input/reader.h"
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

const struct town_file town_layout[] = {
	{ "logs/town.log", "town" },
	{ ".events.jsonl", "events" },
	{ "daemon/daemon.log", "daemon" },
	{ "overseer/overseer.log", "overseer" },
	{ "logs/guardian.log", "guardian" },
	{ "logs/ps.log", "ps" },
	{ NULL, NULL },
};

#define LAYOUT_TEXT "logs/town.log, .events.jsonl, daemon/daemon.log, overseer/overseer.log, logs/guardian.log, logs/ps.log"

/* Rotation suffixes */

/* The names that compressors give; those tocsin cannot read too, so that it can say so. */
static const char *const packed_suffixes[] = { ".gz", ".zst", ".zstd", ".xz", ".bz2", ".lz4", ".Z", ".lzma" };
#define N_PACKED_READABLE 4

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Index into packed_suffixes, or -1. */
static int packed_suffix(struct span name)
{
	for (size_t i = 0; i < sizeof packed_suffixes / sizeof *packed_suffixes; i++) {
		struct span suffix = span_from_string(packed_suffixes[i]);

		if (name.len > suffix.len && span_ends_with(name, suffix))
			return (int)i;
	}
	return -1;
}

/* Reads exactly n digits with a value in [low, high]; appends them to stamp. */
static bool take_digits(struct span *s, size_t n, int64_t low, int64_t high, char *stamp)
{
	size_t len = strlen(stamp);
	int64_t value = 0;

	if (s->len < n)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!is_digit(s->ptr[i]))
			return false;
		value = value * 10 + (s->ptr[i] - '0');
	}
	if (value < low || value > high)
		return false;
	memcpy(stamp + len, s->ptr, n);
	stamp[len + n] = '\0';
	*s = span_from(*s, n);
	return true;
}

static bool take_one_of(struct span *s, const char *set)
{
	if (!s->len || !s->ptr[0] || !strchr(set, s->ptr[0]))
		return false;
	*s = span_from(*s, 1);
	return true;
}

/*
 * A date that fills all of s: YYYY MM DD [HH [MM [SS [fraction]]]] with or without separators. stamp (40 bytes) gets
 * its digits.
 */
static bool parse_stamp(struct span s, char *stamp)
{
	size_t n_fraction = 0;

	stamp[0] = '\0';
	if (!take_digits(&s, 4, 1970, 2199, stamp))
		return false;
	take_one_of(&s, "-_");
	if (!take_digits(&s, 2, 1, 12, stamp))
		return false;
	take_one_of(&s, "-_");
	if (!take_digits(&s, 2, 1, 31, stamp))
		return false;
	if (!s.len)
		return true;
	take_one_of(&s, "T-_");
	if (!take_digits(&s, 2, 0, 23, stamp))
		return false;
	take_one_of(&s, "-:_");
	if (s.len && !take_digits(&s, 2, 0, 59, stamp))
		return false;
	take_one_of(&s, "-:_");
	if (s.len && is_digit(s.ptr[0]) && !take_digits(&s, 2, 0, 60, stamp))
		return false;
	if (take_one_of(&s, ".,")) {
		while (n_fraction < 9 && take_digits(&s, 1, 0, 9, stamp))
			n_fraction++;
		if (!n_fraction)
			return false;
	}
	take_one_of(&s, "Z");
	return !s.len;
}

/* "-1771318800": seconds since 1970, as logrotate's %s writes them. Made comparable with dates. */
static bool parse_epoch(struct span s, char *stamp)
{
	char digits[16] = "";
	struct tm tm;
	time_t t;

	if (s.len != 10 || !take_digits(&s, 10, 0, INT32_MAX, digits))
		return false;
	t = (time_t)strtoll(digits, NULL, 10);
	return t >= 1000000000 && gmtime_r(&t, &tm) && strftime(stamp, 40, "%Y%m%d%H%M%S", &tm) > 0;
}

/*
 * Where the date suffix of name begins (its separator), when it has one that reaches to the end; 0 when it has none.
 * The longest wins.
 */
static size_t find_stamp(struct span name, char *stamp)
{
	for (size_t i = 1; i < name.len; i++) {
		struct span s = span_from(name, i + 1);

		if (!strchr("-._", name.ptr[i]) || !name.ptr[i])
			continue;
		if (parse_stamp(s, stamp) || (name.ptr[i] == '-' && parse_epoch(s, stamp)))
			return i;
	}
	stamp[0] = '\0';
	return 0;
}

/*
 * Cuts ".N" or ".old" off the end of name. A number of more than three digits is no generation but a year, a
 * process, a random name.
 */
static bool cut_number(struct span *name, int64_t *ret)
{
	size_t n = 0;

	if (name->len > 4 && span_ends_with(*name, SPAN(".old"))) {
		name->len -= 4;
		*ret = 1;
		return true;
	}
	while (n < name->len && is_digit(name->ptr[name->len - 1 - n]))
		n++;
	if (!n || n > 3 || name->len < n + 2 || name->ptr[name->len - 1 - n] != '.')
		return false;
	*ret = 0;
	for (size_t i = name->len - n; i < name->len; i++)
		*ret = *ret * 10 + (name->ptr[i] - '0');
	name->len -= n + 1;
	return true;
}

/* The date before the extension: "daemon-2026-02-28T10-00-00.000.log". *ret_extension is ".log". */
static bool cut_inner_stamp(struct span *name, struct span *ret_extension, char *stamp)
{
	size_t dot = name->len, at;

	while (dot > 0 && is_letter(name->ptr[dot - 1]))
		dot--;
	if (dot < 2 || dot == name->len || name->ptr[dot - 1] != '.')
		return false;
	dot--;
	at = find_stamp(span_of(name->ptr, dot), stamp);
	if (!at)
		return false;
	*ret_extension = span_from(*name, dot);
	name->len = at;
	return true;
}

void rotation_parse(const char *name, struct rotation *ret)
{
	struct span s = span_from_string(name), extension = { "", 0 };
	struct buffer base = BUFFER_INIT;
	int packed = packed_suffix(s);
	size_t at;

	*ret = (struct rotation){ .number = -1 };
	if (packed >= 0)
		ret->packed_len = strlen(packed_suffixes[packed]);
	s.len -= ret->packed_len;
	/* A date may end in what looks like a number (".000"), and a number may stand behind a date or before it. */
	at = find_stamp(s, ret->stamp);
	if (!at && cut_number(&s, &ret->number))
		at = find_stamp(s, ret->stamp);
	if (at) {
		s.len = at;
		if (ret->number < 0)
			(void)cut_number(&s, &ret->number);
	} else if (ret->number < 0) {
		(void)cut_inner_stamp(&s, &extension, ret->stamp);
	}
	buffer_append_span(&base, s);
	buffer_append_span(&base, extension);
	ret->base = xstrdup(buffer_string(&base));
	buffer_release(&base);
}

/* What was found */

#define NO_TOWN SIZE_MAX

struct found {
	char *path;
	char *directory; /* of path, with its "/"; "" for the working directory */
	char *log_path;  /* set when all were found */
	char *source;    /* NULL: not said */
	bool said;       /* source comes from SOURCE=PATH */
	size_t town_rank; /* index into town_layout, or NO_TOWN */
	struct rotation rotation;
	bool has_id, has_directory_id; /* the numbers below are known */
	dev_t device, directory_device;
	ino_t inode, directory_inode;
	struct timespec mtime;
	off_t size;
	size_t group;  /* one number for each stream */
	bool is_stdin, dropped;
	bool absent;   /* only a name: the stream is wanted, the file is not there */
};

struct town_id {
	dev_t device;
	ino_t inode;
};

struct finding {
	struct found *items;
	size_t n, cap;
	struct town_id *towns;
	size_t n_towns, cap_towns;
	char *unlistable; /* the directory that could not be listed last: say it once */
	bool stdin_seen;
	bool lasting, empty_town;
	struct diag_list *diags;
};

static void found_release(struct found *f)
{
	free(f->path);
	free(f->directory);
	free(f->log_path);
	free(f->source);
	free(f->rotation.base);
}

static struct span base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return span_from_string(slash ? slash + 1 : path);
}

/* "" for the working directory, else with the slash at its end. */
static char *directory_name(const char *path)
{
	return xmemdup(path, strlen(path) - base_name(path).len);
}

static const char *directory_to_open(const char *directory)
{
	return *directory ? directory : ".";
}

static struct found *add_found(struct finding *fs, const char *path, const char *source, const struct stat *st)
{
	struct stat directory_st;
	struct found *f;

	ARRAY_GROW(fs->items, fs->n, fs->cap);
	f = &fs->items[fs->n++];
	*f = (struct found){ .town_rank = NO_TOWN };
	f->path = xstrdup(path);
	f->directory = directory_name(path);
	f->source = source ? xstrdup(source) : NULL;
	rotation_parse(base_name(path).ptr, &f->rotation);
	if (st) {
		f->has_id = true;
		f->device = st->st_dev;
		f->inode = st->st_ino;
		f->mtime = st->st_mtim;
		f->size = st->st_size;
	}
	if (stat(directory_to_open(f->directory), &directory_st) == 0) {
		f->has_directory_id = true;
		f->directory_device = directory_st.st_dev;
		f->directory_inode = directory_st.st_ino;
	}
	return f;
}

/* Words */

/* Names looked at for a hint: enough for any directory of logs. */
#define HINT_NAMES_MAX 2000

/* The name in the directory of path that is most like path's own; NULL when none is. The caller frees it. */
static char *similar_name(const char *path)
{
	char *directory = directory_name(path), *result = NULL;
	DIR *dir = opendir(directory_to_open(directory));
	char **names = NULL;
	size_t n = 0, cap = 0;
	struct dirent *entry;
	const char *nearest;

	while (dir && n < HINT_NAMES_MAX && (entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		ARRAY_GROW(names, n, cap);
		names[n++] = xstrdup(entry->d_name);
	}
	if (dir)
		closedir(dir);
	ARRAY_GROW(names, n, cap);
	names[n] = NULL;
	nearest = nearest_word(base_name(path).ptr, (const char *const *)names);
	if (nearest) {
		struct buffer b = BUFFER_INIT;

		buffer_append_string(&b, directory);
		buffer_append_string(&b, nearest);
		result = xstrdup(buffer_string(&b));
		buffer_release(&b);
	}
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
	free(directory);
	return result;
}

/* stat() of path failed with this error. unknown_source: what stood before "=", when it is no source's name; else NULL. */
static void explain_missing(struct finding *fs, const char *path, const char *unknown_source, int error)
{
	char *similar = NULL, *directory = directory_name(path);
	struct stat st;

	if (error == ENOENT && lstat(path, &st) == 0 && S_ISLNK(st.st_mode)) {
		diag_add(fs->diags, DIAG_ERROR, path, 0, 0, "is a symbolic link to a file that does not exist");
		goto done;
	}
	diag_add(fs->diags, DIAG_ERROR, path, 0, 0, "cannot read: %s", strerror(error));
	if (error == ENOENT)
		similar = similar_name(path);
	if (unknown_source)
		diag_hint(fs->diags, "there is no source named \"%s\" either", unknown_source);
	else if (similar)
		diag_hint(fs->diags, "did you mean %s?", similar);
	else if (error == ENOENT && path[0] == '~')
		diag_hint(fs->diags, "the shell replaces \"~\" only at the beginning of a word: write $HOME");
	else if (error == ENOENT && stat(directory_to_open(directory), &st) != 0)
		diag_hint(fs->diags, "there is no directory %s either", directory);
	else if (error == EACCES)
		diag_hint(fs->diags, "check who may search the directories above it");
	else if (error == ELOOP)
		diag_hint(fs->diags, "its symbolic links lead back to themselves");
done:
	free(directory);
	free(similar);
}

/* A log that is not there yet. */
static struct found *add_absent(struct finding *fs, const char *path, const char *source)
{
	struct found *f = add_found(fs, path, source, NULL);

	/* Its name is its own, however much it looks like a generation. */
	free(f->rotation.base);
	f->rotation = (struct rotation){ .base = xmemdup(base_name(path).ptr, base_name(path).len), .number = -1 };
	f->absent = true;
	return f;
}

static void add_stdin(struct finding *fs, const char *source)
{
	struct stat st;
	struct found *f;

	if (fs->stdin_seen) {
		diag_add(fs->diags, DIAG_ERROR, NULL, 0, 0, "standard input is named twice");
		diag_hint(fs->diags, "it can be read only once: keep one \"-\"");
		return;
	}
	fs->stdin_seen = true;
	f = add_found(fs, "-", source, fstat(STDIN_FILENO, &st) == 0 ? &st : NULL);
	f->said = source != NULL;
	f->is_stdin = true;
	f->has_directory_id = false;
}

static char *join_path(const char *directory, const char *name)
{
	struct buffer b = BUFFER_INIT;
	char *path;

	buffer_append_string(&b, directory);
	if (b.len && b.data[b.len - 1] != '/')
		buffer_append_char(&b, '/');
	buffer_append_string(&b, name);
	path = xstrdup(buffer_string(&b));
	buffer_release(&b);
	return path;
}

/* What a directory holds of a log. */
struct listing {
	struct listed {
		char *path;
		struct stat st;
		int error; /* stat's errno; 0: none */
	} *items;
	size_t n, cap;
	int error; /* errno: the directory is there, and cannot be read in full */
};

static void listing_release(struct listing *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->items[i].path);
	free(l->items);
	*l = (struct listing){ .items = NULL };
}

/* A directory that changes while it is read: so often it is read again. */
#define LISTING_RETRIES 64

/* Reads it once: the files' names and numbers as one sum. ret: gathers the files, too; NULL: does not. */
static uint64_t list_once(const char *directory, struct span base, struct listing *ret)
{
	DIR *dir = opendir(directory_to_open(directory));
	int error = dir ? 0 : errno;
	uint64_t sum = 0;
	struct dirent *entry;

	while (dir && (errno = 0, entry = readdir(dir))) {
		struct rotation rotation;

		if (entry->d_name[0] != base.ptr[0])
			continue; /* nearly all others, cheaply */
		rotation_parse(entry->d_name, &rotation);
		bool wanted = strcmp(rotation.base, base.ptr) == 0;
		free(rotation.base);
		if (!wanted)
			continue;
		sum += hash_bytes(entry->d_name, strlen(entry->d_name), entry->d_ino);
		if (!ret)
			continue;
		ARRAY_GROW(ret->items, ret->n, ret->cap);
		struct listed *f = &ret->items[ret->n++];
		f->path = join_path(directory, entry->d_name);
		f->error = fstatat(dirfd(dir), entry->d_name, &f->st, 0) == 0 ? 0 : errno;
	}
	if (dir && errno)
		error = errno;
	if (ret)
		ret->error = error == ENOENT || error == ENOTDIR ? 0 : error;
	if (dir)
		closedir(dir);
	return sum;
}

/*
 * All generations of a log. A file that is renamed while its directory is read may be seen under both names, or under neither; so what was read is
 * believed when it reads the same once more.
 */
static struct listing list_log(const char *directory, struct span base)
{
	struct listing l = { .items = NULL };

	for (int i = 0; i < LISTING_RETRIES; i++) {
		listing_release(&l);
		uint64_t sum = list_once(directory, base, &l);
		if (list_once(directory, base, NULL) == sum)
			break;
	}
	return l;
}

/* A file in a town whose name says that it is a generation of town_layout[rank]. False: it is not there, or not yet. */
static bool add_town_file(struct finding *fs, const struct listed *f, size_t rank)
{
	struct stat link;
	int packed = packed_suffix(base_name(f->path));

	if (f->error) {
		/* Rotation may have taken it away this moment; then it has another name now. Where a link leads to may come. */
		if (f->error == ENOENT && (fs->lasting || lstat(f->path, &link) != 0))
			return false;
		explain_missing(fs, f->path, NULL, f->error);
		return true;
	}
	if (S_ISDIR(f->st.st_mode)) {
		diag_add(fs->diags, DIAG_WARNING, f->path, 0, 0, "is a directory where a log was expected; it was left out");
		return true;
	}
	if (packed >= N_PACKED_READABLE) {
		diag_add(fs->diags, DIAG_WARNING, f->path, 0, 0, "was left out: only gzip, zstd and xz archives can be read");
		diag_hint(fs->diags, "unpack it, or pack it again with zstd");
		return true;
	}
	add_found(fs, f->path, town_layout[rank].source, &f->st)->town_rank = rank;
	return true;
}

/* A directory that is there and cannot be read in full: what it holds is not known. */
static void explain_unlistable(struct finding *fs, const char *directory, int error)
{
	if (fs->unlistable && strcmp(fs->unlistable, directory) == 0)
		return;
	free(fs->unlistable);
	fs->unlistable = xstrdup(directory);
	diag_add(fs->diags, DIAG_ERROR, directory, 0, 0, "cannot list the directory: %s", strerror(error));
	diag_hint(fs->diags, "logs in it may have been missed");
}

/* Adds all generations of town_layout[rank]. Returns whether there was anything of that name, or no way to tell. */
static bool add_town_log(struct finding *fs, const char *town, size_t rank)
{
	char *log = join_path(town, town_layout[rank].path);
	char *directory = directory_name(log);
	struct listing l = list_log(directory, base_name(log));
	bool any = l.error != 0;

	for (size_t i = 0; i < l.n; i++)
		any |= add_town_file(fs, &l.items[i], rank) || !fs->lasting;
	if (l.error)
		explain_unlistable(fs, directory, l.error);
	listing_release(&l);
	if (fs->lasting && !any)
		add_absent(fs, log, town_layout[rank].source)->town_rank = rank;
	free(directory);
	free(log);
	return any;
}

/* Is there a town log straight in this directory, without the directory that the layout has it in? */
static bool inside_of_town(const char *directory)
{
	bool result = false;

	for (const struct town_file *t = town_layout; t->path && !result; t++) {
		struct span base = base_name(t->path);
		char *path = join_path(directory, base.ptr);
		struct stat st;

		result = base.ptr != t->path && stat(path, &st) == 0 && !S_ISDIR(st.st_mode);
		free(path);
	}
	return result;
}

static void explain_no_town(struct finding *fs, const char *directory)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;
	char *first = NULL;
	size_t n_logs = 0;

	if (!dir) {
		diag_add(fs->diags, DIAG_ERROR, directory, 0, 0, "cannot list the directory: %s", strerror(errno));
		return;
	}
	while ((entry = readdir(dir))) {
		if (!span_ends_with(span_from_string(entry->d_name), SPAN(".log")))
			continue;
		n_logs++;
		/* The first by name, so that the message is the same everywhere. */
		if (!first || strcmp(entry->d_name, first) < 0) {
			free(first);
			first = xstrdup(entry->d_name);
		}
	}
	closedir(dir);
	diag_add(fs->diags, DIAG_ERROR, directory, 0, 0,
		 "is a directory, but no town: it holds none of " LAYOUT_TEXT);
	if (inside_of_town(directory)) {
		diag_hint(fs->diags, "it looks like a directory inside a town: name the one above it, or the files in it");
	} else if (first) {
		char *path = join_path(directory, first);

		diag_hint(fs->diags, "it holds %zu *.log file%s: name %s as SOURCE=PATH, for example text=%s", n_logs,
			  n_logs == 1 ? "" : "s", n_logs == 1 ? "it" : "them", path);
		free(path);
	} else {
		diag_hint(fs->diags, "name the town's own directory (~/gt), or logs that stand elsewhere as SOURCE=PATH, for example daemon=PATH");
	}
	free(first);
}

static void add_town(struct finding *fs, const char *directory, const struct stat *st)
{
	bool any = false;

	for (size_t i = 0; i < fs->n_towns; i++) {
		if (fs->towns[i].device != st->st_dev || fs->towns[i].inode != st->st_ino)
			continue;
		diag_add(fs->diags, DIAG_WARNING, directory, 0, 0, "this directory is named twice; it was read once");
		return;
	}
	ARRAY_GROW(fs->towns, fs->n_towns, fs->cap_towns);
	fs->towns[fs->n_towns++] = (struct town_id){ st->st_dev, st->st_ino };
	for (size_t rank = 0; town_layout[rank].path; rank++)
		any |= add_town_log(fs, directory, rank);
	if (!any && fs->empty_town)
		explain_no_town(fs, directory);
}

/* stat() of path failed: it may come. */
static void add_awaited(struct finding *fs, const char *path, const char *source)
{
	if (!span_ends_with(span_from_string(path), SPAN("/"))) {
		add_absent(fs, path, source)->said = source != NULL;
		return;
	}
	for (size_t rank = 0; town_layout[rank].path; rank++) {
		char *log = join_path(path, town_layout[rank].path);

		add_absent(fs, log, town_layout[rank].source)->town_rank = rank;
		free(log);
	}
}

/* source: NULL, or what the word said before "=". */
static void add_path(struct finding *fs, const char *path, const char *source, const struct stat *st)
{
	if (S_ISDIR(st->st_mode) && source) {
		diag_add(fs->diags, DIAG_ERROR, path, 0, 0, "is a directory and cannot be the %s source", source);
		diag_hint(fs->diags, "name its files (%s=%s%sFILE), or the directory alone to read it as a town", source, path,
			  span_ends_with(span_from_string(path), SPAN("/")) ? "" : "/");
	} else if (S_ISDIR(st->st_mode)) {
		add_town(fs, path, st);
	} else {
		add_found(fs, path, source, st)->said = source != NULL;
	}
}

static void add_word(struct finding *fs, const char *word, bool (*known_source)(void *, const char *), void *context)
{
	const char *equals = strchr(word, '='), *path = word;
	char *source = equals ? xmemdup(word, (size_t)(equals - word)) : NULL;
	bool known = source && *source && known_source(context, source);
	struct stat st;

	if (!*word) {
		diag_add(fs->diags, DIAG_ERROR, NULL, 0, 0, "an input has an empty name");
		diag_hint(fs->diags, "an unset variable in the command? \"-\" is standard input");
	} else if (strcmp(word, "-") == 0) {
		add_stdin(fs, NULL);
	} else if (stat(word, &st) == 0) {
		add_path(fs, word, NULL, &st);
	} else if (!known && fs->lasting && errno == ENOENT && !(source && *source && !strchr(source, '/'))) {
		add_awaited(fs, path, NULL);
	} else if (!known) {
		int error = errno;
		/* Only what could be a source's name: "a/b=c" is a path. */
		bool like_source = source && *source && !strchr(source, '/');

		explain_missing(fs, path, like_source ? source : NULL, error);
	} else {
		path = equals + 1;
		if (!*path) {
			diag_add(fs->diags, DIAG_ERROR, NULL, 0, 0, "no path follows \"%s=\"", source);
			diag_hint(fs->diags, "write %s=PATH, or %s=- for standard input", source, source);
		} else if (strcmp(path, "-") == 0) {
			add_stdin(fs, source);
		} else if (stat(path, &st) == 0) {
			add_path(fs, path, source, &st);
		} else if (fs->lasting && errno == ENOENT && path[strlen(path) - 1] != '/') {
			add_awaited(fs, path, source);
		} else {
			explain_missing(fs, path, NULL, errno);
		}
	}
	free(source);
}

/* Order and twins */

static int compare_strings(const char *a, const char *b)
{
	/* NULL last: what is said goes before what is not. */
	if (!a || !b)
		return (a == NULL) - (b == NULL);
	return strcmp(a, b);
}

#define COMPARE(a, b) (((a) > (b)) - ((a) < (b)))

static int compare_identity(const void *pa, const void *pb)
{
	const struct found *a = pa, *b = pb;
	int c = COMPARE(b->has_id, a->has_id);

	if (!c)
		c = COMPARE(a->device, b->device);
	if (!c)
		c = COMPARE(a->inode, b->inode);
	/* Of the names of one file the best one first: with a source said, then a town's. */
	if (!c)
		c = COMPARE(b->said, a->said);
	if (!c)
		c = COMPARE(a->town_rank, b->town_rank);
	if (!c)
		c = compare_strings(a->source, b->source);
	return c ? c : strcmp(a->path, b->path);
}

static int compare_directory(const void *pa, const void *pb)
{
	const struct found *a = pa, *b = pb;
	int c = COMPARE(b->has_directory_id, a->has_directory_id);

	if (!c)
		c = COMPARE(a->directory_device, b->directory_device);
	if (!c)
		c = COMPARE(a->directory_inode, b->directory_inode);
	return c ? c : strcmp(a->directory, b->directory);
}

/* The key of a stream, but for its source. A file "./-" is not standard input. */
static int compare_log(const struct found *a, const struct found *b)
{
	int c = COMPARE(a->town_rank, b->town_rank);

	if (!c)
		c = strcmp(a->log_path, b->log_path);
	return c ? c : COMPARE(b->is_stdin, a->is_stdin);
}

static int compare_mtime(const struct found *a, const struct found *b)
{
	int c = COMPARE(a->mtime.tv_sec, b->mtime.tv_sec);

	return c ? c : COMPARE(a->mtime.tv_nsec, b->mtime.tv_nsec);
}

/* Dated generations, numbered ones, the live file: each kind has an order of its own. */
static int rotation_kind(const struct rotation *r)
{
	return r->stamp[0] ? 0 : r->number >= 0 ? 1 : 2;
}

static int compare_source(const void *pa, const void *pb)
{
	const struct found *a = pa, *b = pb;
	int c = compare_log(a, b);

	return c ? c : compare_strings(a->source, b->source);
}

/* By stream, then within a kind of generation by age. The kinds are merged afterwards. */
static int compare_age(const void *pa, const void *pb)
{
	const struct found *a = pa, *b = pb;
	int c = COMPARE(a->group, b->group);

	if (!c)
		c = COMPARE(rotation_kind(&a->rotation), rotation_kind(&b->rotation));
	if (!c)
		c = strcmp(a->rotation.stamp, b->rotation.stamp);
	if (!c && a->rotation.stamp[0])
		c = compare_mtime(a, b);
	if (!c)
		c = COMPARE(b->rotation.number, a->rotation.number);
	if (!c)
		c = compare_mtime(a, b);
	return c ? c : strcmp(a->path, b->path);
}

static void sort_found(struct finding *fs, int (*compare)(const void *, const void *))
{
	if (fs->n)
		qsort(fs->items, fs->n, sizeof *fs->items, compare);
}

/* Forgets what is marked as dropped. */
static void sweep(struct finding *fs)
{
	size_t kept = 0;

	for (size_t i = 0; i < fs->n; i++) {
		if (fs->items[i].dropped)
			found_release(&fs->items[i]);
		else
			fs->items[kept++] = fs->items[i];
	}
	fs->n = kept;
}

static void drop_same_files(struct finding *fs)
{
	size_t kept = 0;

	sort_found(fs, compare_identity);
	for (size_t i = 1; i < fs->n; i++) {
		struct found *f = &fs->items[i], *first = &fs->items[kept];

		if (!f->has_id || !first->has_id || f->device != first->device || f->inode != first->inode) {
			kept = i;
			continue;
		}
		f->dropped = true;
		if (strcmp(f->path, first->path) == 0)
			diag_add(fs->diags, DIAG_WARNING, f->path, 0, 0, "is named twice; it was read once");
		else
			diag_add(fs->diags, DIAG_WARNING, f->path, 0, 0, "is the same file as %s; it was read once", first->path);
		if (f->said && strcmp(f->source, first->source) != 0)
			diag_hint(fs->diags, "it was read as source %s, not as %s", first->source, f->source);
	}
	sweep(fs);
}

/* One directory gets one spelling, so that "a.log.1" and "./a.log" are one stream. */
static void unify_directories(struct finding *fs)
{
	size_t first = 0;

	sort_found(fs, compare_directory);
	for (size_t i = 1; i < fs->n; i++) {
		struct found *f = &fs->items[i], *of = &fs->items[first];

		if (!f->has_directory_id || !of->has_directory_id || f->directory_device != of->directory_device ||
		    f->directory_inode != of->directory_inode) {
			first = i;
			continue;
		}
		free(f->directory);
		f->directory = xstrdup(of->directory);
	}
	for (size_t i = 0; i < fs->n; i++)
		fs->items[i].log_path = join_path(fs->items[i].directory, fs->items[i].rotation.base);
}

/*
 * Numbers the streams. One log is one stream, unless different sources were said for its generations: then each has
 * its own, and those for which none was said have another.
 */
static void group_found(struct finding *fs)
{
	size_t group = 0;

	sort_found(fs, compare_source);
	for (size_t i = 0, end; i < fs->n; i = end) {
		bool one_source = true;
		const char *source = fs->items[i].source; /* NULL only when all are: NULL is last */

		for (end = i; end < fs->n && compare_log(&fs->items[i], &fs->items[end]) == 0; end++)
			one_source &= !fs->items[end].source || strcmp(fs->items[end].source, source) == 0;
		for (size_t k = i; k < end; k++) {
			if (k == i || (!one_source && compare_strings(fs->items[k - 1].source, fs->items[k].source) != 0))
				group++;
			fs->items[k].group = group;
		}
	}
}

/* A generation that is there plain and packed, or packed in two ways. fs is sorted by group. */
static int compare_generation(const void *pa, const void *pb)
{
	const struct found *a = pa, *b = pb;
	struct span name_a = base_name(a->path), name_b = base_name(b->path);
	size_t len_a = name_a.len - a->rotation.packed_len, len_b = name_b.len - b->rotation.packed_len;
	int c = COMPARE(a->group, b->group);

	if (!c)
		c = memcmp(name_a.ptr, name_b.ptr, len_a < len_b ? len_a : len_b);
	if (!c)
		c = COMPARE(len_a, len_b);
	if (!c)
		c = COMPARE(a->rotation.packed_len > 0, b->rotation.packed_len > 0);
	return c ? c : strcmp(a->path, b->path);
}

static void drop_same_generations(struct finding *fs)
{
	size_t kept = 0;

	sort_found(fs, compare_generation);
	for (size_t i = 1; i < fs->n; i++) {
		struct found *f = &fs->items[i], *first = &fs->items[kept];
		struct span name = base_name(f->path), first_name = base_name(first->path);

		name.len -= f->rotation.packed_len;
		first_name.len -= first->rotation.packed_len;
		if (f->group != first->group || !span_equal(name, first_name)) {
			kept = i;
			continue;
		}
		f->dropped = true;
		diag_add(fs->diags, DIAG_NOTE, f->path, 0, 0, "was left out: %s is the same part of the log", first->path);
	}
	sweep(fs);
}

/* Streams */

static void add_file(struct stream *s, const struct found *f)
{
	if (!f->absent)
		s->files[s->n_files++] = (struct stream_file){
			xstrdup(f->path), xstrdup(f->path), f->has_id ? f->device : 0, f->has_id ? f->inode : 0, (uint64_t)f->size,
			file_time_ns(&f->mtime),
		};
}

/*
 * items[0..n) are one log's, sorted by compare_age: the dated ones, the numbered ones, the live one. Numbers and
 * dates do not compare: where a log has both (its rotation was changed one day), two orderly rows are merged, the
 * file with the older mtime first.
 */
static void make_stream(struct stream *s, const struct found *items, size_t n)
{
	size_t dated = 0, numbered, n_dated = 0, n_rotated;

	while (n_dated < n && rotation_kind(&items[n_dated].rotation) == 0)
		n_dated++;
	for (n_rotated = n_dated; n_rotated < n && rotation_kind(&items[n_rotated].rotation) == 1;)
		n_rotated++;
	*s = (struct stream){ .log_path = xstrdup(items[0].log_path), .in_town = items[0].town_rank != NO_TOWN };
	s->files = xcalloc(n, sizeof *s->files);
	numbered = n_dated;
	while (dated < n_dated || numbered < n_rotated) {
		bool take_dated = dated < n_dated &&
				  (numbered == n_rotated || compare_mtime(&items[dated], &items[numbered]) <= 0);

		add_file(s, &items[take_dated ? dated++ : numbered++]);
	}
	for (size_t i = n_rotated; i < n; i++)
		add_file(s, &items[i]);
	for (size_t i = 0; i < n && !s->source_name; i++)
		s->source_name = items[i].source ? xstrdup(items[i].source) : NULL;
}

/* Sorts what was found, and makes streams of it. */
static void finish(struct finding *fs, struct stream_list *ret)
{
	size_t n_groups = 0;

	drop_same_files(fs);
	unify_directories(fs);
	group_found(fs);
	drop_same_generations(fs);
	sort_found(fs, compare_age);
	for (size_t i = 0; i < fs->n; i++)
		n_groups += i == 0 || fs->items[i].group != fs->items[i - 1].group;
	*ret = (struct stream_list){ n_groups ? xcalloc(n_groups, sizeof *ret->items) : NULL, 0 };
	for (size_t i = 0, end; i < fs->n; i = end) {
		for (end = i; end < fs->n && fs->items[end].group == fs->items[i].group;)
			end++;
		make_stream(&ret->items[ret->n++], &fs->items[i], end - i);
	}
	for (size_t i = 0; i < fs->n; i++)
		found_release(&fs->items[i]);
	free(fs->items);
	free(fs->towns);
	free(fs->unlistable);
}

void stream_discover(char *const *words, size_t n_words, bool (*known_source)(void *, const char *), void *context,
		     struct stream_list *ret, struct diag_list *diags)
{
	struct finding fs = { .diags = diags, .empty_town = true };

	for (size_t i = 0; i < n_words; i++)
		add_word(&fs, words[i], known_source, context);
	finish(&fs, ret);
}

void stream_discover_lasting(char *const *words, size_t n_words, bool (*known_source)(void *, const char *), void *context, bool empty_town,
			     struct stream_list *ret, struct diag_list *diags)
{
	struct finding fs = { .diags = diags, .lasting = true, .empty_town = empty_town };

	for (size_t i = 0; i < n_words; i++)
		add_word(&fs, words[i], known_source, context);
	finish(&fs, ret);
}

bool stream_generations(const char *log_path, struct stream *ret)
{
	struct diag_list unsaid = DIAG_LIST_INIT; /* discovery has told what there is to tell */
	struct finding fs = { .diags = &unsaid };
	struct stream_list list;
	char *directory = directory_name(log_path);
	struct listing l = list_log(directory, base_name(log_path));
	int error = l.error;

	for (size_t i = 0; i < l.n; i++) {
		const struct listed *f = &l.items[i];

		if (!f->error && !S_ISDIR(f->st.st_mode) && packed_suffix(span_from_string(f->path)) < N_PACKED_READABLE)
			add_found(&fs, f->path, NULL, &f->st);
	}
	listing_release(&l);
	free(directory);
	finish(&fs, &list);
	*ret = (struct stream){ .files = NULL };
	for (size_t i = 0; i < list.n; i++)
		if (strcmp(list.items[i].log_path, log_path) == 0) {
			ret->files = list.items[i].files;
			ret->n_files = list.items[i].n_files;
			list.items[i].files = NULL;
			list.items[i].n_files = 0;
		}
	stream_list_release(&list);
	diag_list_release(&unsaid);
	errno = error;
	return error == 0;
}

void stream_release_files(struct stream *s)
{
	for (size_t k = 0; k < s->n_files; k++) {
		free(s->files[k].path);
		free(s->files[k].shown);
	}
	free(s->files);
	s->files = NULL;
	s->n_files = 0;
}

void stream_list_release(struct stream_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		struct stream *s = &l->items[i];

		stream_release_files(s);
		free(s->source_name);
		free(s->log_path);
	}
	free(l->items);
	*l = (struct stream_list){ NULL, 0 };
}

uint64_t stream_total_bytes(const struct stream_list *l)
{
	uint64_t total = 0;

	for (size_t i = 0; i < l->n; i++) {
		for (size_t k = 0; k < l->items[i].n_files; k++) {
			const char *path = l->items[i].files[k].path;
			struct stat st;
			bool known = strcmp(path, "-") == 0 ? fstat(STDIN_FILENO, &st) == 0 : stat(path, &st) == 0;

			if (!known || !S_ISREG(st.st_mode))
				return 0;
			total += (uint64_t)st.st_size;
		}
	}
	return total;
}

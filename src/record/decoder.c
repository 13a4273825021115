/*
 * decoder.c: cuts a stream of bytes into records and hands each to its format. It decides where records begin and end,
 * what time a record without a stamp has, and what is cut; what a stamp looks like and what a record says, the
 * formats decide (format.h).
 *
 * The invariant: the records, their stamps, flags and the counters depend on the bytes alone, not on how they were cut into blocks.
 * So every decision about a line is made when its newline, or record_limit bytes of it, have been seen, never earlier; and
 * what belongs to a record that is not given yet is not counted yet.
 *
 *	block:  | used up by earlier calls | record that is open ........ | line not ended |
 *	                                   ^ start                       ^ line_start     ^ scanned
 *
 * The caller gives everything from `start` on again; `scanned` says how much of it need not be looked at twice.
 */
#include "record/decoder.h"
#include "base/cpu.h"
#include "base/find.h"
#include "base/memory.h"
#include "record/ansi.h"
#include "record/format.h"

#include <stdlib.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif
#if defined(__x86_64__) && defined(__GNUC__)
#define HAVE_AVX2_SCAN 1
#include <immintrin.h>
#endif

#define BLOCK_LIMIT ((size_t)1 << 30)
/* Lines before a log's first stamp take that stamp, when it comes within so many bytes. */
#define UNSTAMPED_LIMIT ((size_t)1 << 16)
#define SAMPLE_LIMIT 1024
#define SAMPLE_LINE_LIMIT 256
#define ESC '\x1b'

/* What is thrown away after a record was cut. */
enum skip {
	SKIP_NOTHING,
	SKIP_LINE,   /* up to the newline; then as SKIP_RECORD, or in single-line formats SKIP_NOTHING */
	SKIP_RECORD, /* lines that do not begin a record */
};

#define SPECIAL_ESC 1
#define SPECIAL_NUL 2
#define SPECIAL_BACKSLASH 4

/* Positions are relative to the block; line numbers too. */
struct frame {
	size_t start, line_start, scanned;
	uint32_t record_line, line; /* of the open record's first line; of the line that begins at line_start */
	int64_t time_ns;            /* of the open record */
	int64_t previous_before;    /* context.previous_ns before the open record's stamp, for decoder_save() */
	bool previous_was_stamp;
	bool open, stamped;
	uint8_t special, line_special; /* SPECIAL_* seen in the open record; in the line so far */
};

struct decoder {
	const struct source *source;
	const struct format_ops *ops;
	struct format_context context;
	size_t record_limit;
	struct frame frame;
	enum skip skip;
	bool gave_up;            /* no stamp within the first UNSTAMPED_LIMIT bytes */
	int64_t newest_ns;
	struct decoder_stats stats;
};

static const struct format_ops *const all_ops[FORMAT_COUNT] = {
	[FORMAT_TOWN] = &format_town,	  [FORMAT_EVENTS] = &format_events,
	[FORMAT_DAEMON] = &format_daemon, [FORMAT_OVERSEER] = &format_overseer,
	[FORMAT_GUARDIAN] = &format_guardian, [FORMAT_PS] = &format_ps,
	[FORMAT_SYSLOG] = &format_syslog, [FORMAT_JSON] = &format_json,
	[FORMAT_TEXT] = &format_text,	  [FORMAT_PATTERN] = &format_pattern,
};

/* What previous_ns is before the first stamp. */
static void context_fall_back(struct format_context *c)
{
	if (!c->previous_is_stamp)
		c->previous_ns = c->arrival_ns != TIME_NONE ? c->arrival_ns : c->mtime_ns;
}

struct decoder *decoder_new(const struct source *s, const struct field_table *fields, const struct zone *default_zone,
			    size_t record_limit)
{
	struct decoder *d = xcalloc(1, sizeof *d);

	d->source = s;
	d->ops = all_ops[s->format];
	d->record_limit = record_limit == 0 ? RECORD_LIMIT_DEFAULT : record_limit < BLOCK_LIMIT / 4 ? record_limit : BLOCK_LIMIT / 4;
	d->newest_ns = TIME_NONE;
	d->context = (struct format_context){
		.source = s,
		.fields = fields,
		.zone = s->zone ? s->zone : default_zone,
		.previous_ns = TIME_NONE,
		.arrival_ns = TIME_NONE,
		.mtime_ns = TIME_NONE,
		.single_line = d->ops->single_line,
	};
	if (d->ops->state_new)
		d->context.state = d->ops->state_new(&d->context);
	return d;
}

void decoder_free(struct decoder *d)
{
	if (!d)
		return;
	if (d->ops->state_free)
		d->ops->state_free(d->context.state);
	buffer_release(&d->stats.unparsed_sample);
	free(d);
}

void decoder_begin_file(struct decoder *d, int64_t mtime_ns)
{
	d->context.mtime_ns = mtime_ns;
	context_fall_back(&d->context);
}

void decoder_set_arrival(struct decoder *d, int64_t arrival_ns)
{
	d->context.arrival_ns = arrival_ns;
	context_fall_back(&d->context);
}

bool decoder_wants_all(const struct decoder *d)
{
	return d->ops->wants_all;
}

int64_t decoder_newest(const struct decoder *d)
{
	return d->newest_ns;
}

bool decoder_stamped(const struct decoder *d)
{
	return d->context.previous_is_stamp;
}

const struct decoder_stats *decoder_stats(const struct decoder *d)
{
	return &d->stats;
}

/* The block is in a cache, for it has just been read, but hardly in the nearest: text is asked for so far ahead. */
#define PREFETCH_BYTES 1024

/* A stretch of the block: where newlines are, and ESC, NUL and what may be an escape that is not plain, in bytes from its begin. */
#define STRETCH_BYTES 4096
#define STRETCH_WORDS (STRETCH_BYTES / 64)
struct stretch {
	size_t n_newlines, newline;            /* how many; the next one */
	uint16_t newlines[STRETCH_BYTES + 2];
	uint64_t special_words;                /* a bit for each of `special` that is not 0: no other is set */
	uint64_t special[STRETCH_WORDS];       /* a bit a byte */
	size_t special_at;                     /* of the next; STRETCH_BYTES: there is none */
};

/* What stands behind a backslash in an escape that stands for what no literal holds, see escapes_are_plain(). */
static const bool plain_escapes[256] = {
	['"'] = true, ['\\'] = true, ['n'] = true, ['t'] = true, ['r'] = true, ['b'] = true, ['f'] = true, ['v'] = true, ['a'] = true,
};

/* Notes the newlines of a word, as the next behind the first n. Nearly always there are two at most: no branch depends on the text. Returns how many there are then. */
static inline __attribute__((always_inline)) size_t stretch_put(uint16_t *newlines, size_t n, unsigned word, uint64_t mask)
{
	const uint64_t top = UINT64_C(1) << 63;
	uint64_t rest = mask & (mask - 1);
	size_t n_after = n + (size_t)__builtin_popcountll(mask);

	newlines[n] = (uint16_t)(word * 64 + (unsigned)__builtin_ctzll(mask | top));
	newlines[n + 1] = (uint16_t)(word * 64 + (unsigned)__builtin_ctzll(rest | top));
	for (rest &= rest - 1; __builtin_expect(rest != 0, 0); rest &= rest - 1)
		newlines[n++ + 2] = (uint16_t)(word * 64 + (unsigned)__builtin_ctzll(rest));
	return n_after;
}

/* The bits of a word that are in the first len bytes from its begin. */
static inline uint64_t within(size_t len)
{
	return len < 64 ? (UINT64_C(1) << len) - 1 : ~UINT64_C(0);
}

/*
 * The four characters differ in their low nibbles, so that one look-up in this table by nibble and one comparison find them all. (Elsewhere it
 * holds a 0, which is no character of that nibble.)
 */
static const char wanted_by_nibble[32] = { [10] = '\n', [11] = ESC, [12] = '\\', [16 + 10] = '\n', [16 + 11] = ESC, [16 + 12] = '\\' };

#ifdef HAVE_AVX2_SCAN
__attribute__((target("avx2,bmi,popcnt"))) static uint64_t stretch_scan_avx2(struct stretch *s, const char *p, size_t len)
{
	size_t n_newlines = 0;
	uint64_t special_words = 0;
	const __m256i newline = _mm256_set1_epi8('\n'), table = _mm256_loadu_si256((const __m256i *)(const void *)wanted_by_nibble);

	for (unsigned word = 0; word * 64 < len; word++) {
		__m256i a = _mm256_loadu_si256((const __m256i *)(const void *)(p + word * 64));
		__m256i b = _mm256_loadu_si256((const __m256i *)(const void *)(p + word * 64 + 32));
		uint64_t n = (uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(a, newline)) |
			     (uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(b, newline)) << 32;
		uint64_t all = (uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_shuffle_epi8(table, a), a)) |
			       (uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_shuffle_epi8(table, b), b)) << 32;
		uint64_t special = all ^ n;

		if (__builtin_expect(len - word * 64 < 64, 0)) {
			n &= within(len - word * 64);
			special &= within(len - word * 64);
		}
		n_newlines = stretch_put(s->newlines, n_newlines, word, n);
		s->special[word] = special;
		special_words |= (uint64_t)(special != 0) << word;
	}
	s->n_newlines = n_newlines;
	return special_words;
}
#endif

#ifdef HAVE_AVX2_SCAN
__attribute__((target("avx512bw,bmi,popcnt"))) static uint64_t stretch_scan_avx512(struct stretch *s, const char *p, size_t len)
{
	size_t n_newlines = 0;
	uint64_t special_words = 0;
	const __m512i newline = _mm512_set1_epi8('\n');
	const __m512i table = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)wanted_by_nibble));

	for (unsigned word = 0; word * 64 < len; word++) {
		__m512i v = _mm512_loadu_si512(p + word * 64);
		uint64_t n = _mm512_cmpeq_epi8_mask(v, newline), all = _mm512_cmpeq_epi8_mask(_mm512_shuffle_epi8(table, v), v);
		uint64_t special = all ^ n;

		__builtin_prefetch(p + word * 64 + PREFETCH_BYTES);
		if (__builtin_expect(len - word * 64 < 64, 0)) {
			n &= within(len - word * 64);
			special &= within(len - word * 64);
		}
		n_newlines = stretch_put(s->newlines, n_newlines, word, n);
		s->special[word] = special;
	}
	s->n_newlines = n_newlines;
	for (size_t word = (len + 63) / 64; word % 8; word++)
		s->special[word] = 0;
	for (size_t word = 0; word * 64 < len; word += 8) {
		__m512i v = _mm512_loadu_si512(s->special + word);

		special_words |= (uint64_t)_mm512_test_epi64_mask(v, v) << word;
	}
	return special_words;
}
#endif

#ifdef __SSE2__
static inline uint64_t mask64(const __m128i v[4], __m128i c)
{
	uint64_t mask = 0;

	for (int i = 0; i < 4; i++)
		mask |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v[i], c)) << 16 * i;
	return mask;
}

static uint64_t stretch_scan(struct stretch *s, const char *p, size_t len)
{
	size_t n_newlines = 0;
	uint64_t special_words = 0;

	for (unsigned word = 0; word * 64 < len; word++) {
		uint64_t in = within(len - word * 64), special;
		__m128i v[4];

		for (int i = 0; i < 4; i++)
			v[i] = _mm_loadu_si128((const __m128i *)(const void *)(p + word * 64 + 16 * i));
		n_newlines = stretch_put(s->newlines, n_newlines, word, mask64(v, _mm_set1_epi8('\n')) & in);
		special = (mask64(v, _mm_set1_epi8('\\')) | mask64(v, _mm_set1_epi8(ESC)) | mask64(v, _mm_setzero_si128())) & in;
		s->special[word] = special;
		special_words |= (uint64_t)(special != 0) << word;
	}
	s->n_newlines = n_newlines;
	return special_words;
}
#else
static uint64_t stretch_scan(struct stretch *s, const char *p, size_t len)
{
	size_t n_newlines = 0;
	uint64_t special_words = 0;

	for (unsigned word = 0; word * 64 < len; word++) {
		uint64_t newlines = 0, special = 0, in = within(len - word * 64);

		for (int i = 0; i < 64; i++) {
			char c = p[word * 64 + i];

			newlines |= (uint64_t)(c == '\n') << i;
			special |= (uint64_t)(c != '\n' && c == wanted_by_nibble[c & 15]) << i;
		}
		n_newlines = stretch_put(s->newlines, n_newlines, word, newlines & in);
		s->special[word] = special & in;
		special_words |= (uint64_t)((special & in) != 0) << word;
	}
	s->n_newlines = n_newlines;
	return special_words;
}
#endif

/* special_at, when what is in front of it is done with. */
static void stretch_next_special(struct stretch *s)
{
	size_t word = s->special_words ? (size_t)__builtin_ctzll(s->special_words) : 0;

	s->special_at = s->special_words ? word * 64 + (size_t)__builtin_ctzll(s->special[word]) : STRETCH_BYTES;
}

/*
 * Of what else there is in the words of the len bytes at p, leaves out each backslash with a byte behind it that makes a plain escape. Which backslashes
 * of a run are escapes depends on its length: where one is, and is not plain, it stays; whether one that stays is an escape is seen when the record ends.
 */
static void stretch_leave_out_plain(struct stretch *s, const char *p, size_t len, uint64_t words)
{
	s->special_words = 0;
	for (; words; words &= words - 1) {
		size_t word = (size_t)__builtin_ctzll(words);
		uint64_t special = 0;

		for (uint64_t rest = s->special[word]; rest; rest &= rest - 1) {
			size_t i = word * 64 + (size_t)__builtin_ctzll(rest);
			bool plain = p[i] == '\\' && i + 1 < len && plain_escapes[(unsigned char)p[i + 1]];

			special |= plain ? 0 : rest & -rest;
		}
		s->special[word] = special;
		s->special_words |= (uint64_t)(special != 0) << word;
	}
}

/* Looks through len bytes at p, at most STRETCH_BYTES; 64 readable bytes behind them are required. */
static void stretch_fill(struct stretch *s, const char *p, size_t len)
{
	uint64_t words;

	s->newline = 0;
#ifdef HAVE_AVX2_SCAN
	if (cpu_has(CPU_AVX512))
		words = stretch_scan_avx512(s, p, len);
	else if (cpu_has(CPU_AVX2))
		words = stretch_scan_avx2(s, p, len);
	else
#endif
		words = stretch_scan(s, p, len);
	stretch_leave_out_plain(s, p, len, words);
	stretch_next_special(s);
}

/* Which SPECIAL_* there are in the stretch at p in front of `end`, behind those that were taken before. */
static __attribute__((noinline)) uint8_t stretch_take_special(struct stretch *s, const char *p, size_t end)
{
	uint8_t kinds = 0;

	while (s->special_at < end) {
		size_t word = s->special_at / 64;
		char c = p[s->special_at];

		kinds |= c == '\\' ? SPECIAL_BACKSLASH : c == ESC ? SPECIAL_ESC : SPECIAL_NUL;
		s->special[word] &= s->special[word] - 1;
		if (!s->special[word])
			s->special_words &= s->special_words - 1;
		stretch_next_special(s);
	}
	return kinds;
}

static uint8_t classify_span(const char *p, size_t len)
{
	return (memchr(p, '\\', len) ? SPECIAL_BACKSLASH : 0) | (memchr(p, ESC, len) ? SPECIAL_ESC : 0) |
	       (memchr(p, '\0', len) ? SPECIAL_NUL : 0);
}

/*
 * Do all escapes in it stand for what no literal holds (literals.c cuts them there): a quote, a backslash, a control character?
 * Then all else stands in it verbatim. Where formats resolve escapes at all, what they resolve begins behind a quote that is not
 * escaped, so that pairs counted from the record's first backslash are the parser's pairs.
 */
static bool escapes_are_plain(const char *p, size_t len)
{
	const char *end = p + len;

	while ((p = memchr(p, '\\', (size_t)(end - p)))) {
		if (end - p < 2)
			return false;
		if (!plain_escapes[(unsigned char)p[1]])
			return false;
		p += 2;
	}
	return true;
}

static uint8_t escaped_flag(uint8_t special, const char *p, size_t len)
{
	return (special & SPECIAL_ESC) || ((special & SPECIAL_BACKSLASH) && !escapes_are_plain(p, len)) ? RECORD_ESCAPED : 0;
}

/* A record ends in which SPECIAL_* were seen. */
static void close_special(struct decoder *d, const char *block, struct record *r, uint8_t special, struct record_list *list)
{
	uint8_t flag = escaped_flag(special, block + r->offset, r->len);

	r->flags |= flag;
	list->n_escaped += flag != 0;
	if (special & SPECIAL_NUL)
		d->stats.nul_bytes++;
}

/* What is kept of a record that is too long. */
static __attribute__((noinline)) void cut_record(struct decoder *d, const char *block, struct record *r, struct record_list *list)
{
	const char *p = block + r->offset, *newline;
	size_t len = d->record_limit;

	r->lines = 1;
	for (size_t i = 0; (newline = memchr(p + i, '\n', len - i)); i = (size_t)(newline - p) + 1)
		r->lines++;
	r->len = (uint32_t)len;
	r->flags = (uint8_t)((r->flags & RECORD_STAMPED) | RECORD_CUT);
	close_special(d, block, r, classify_span(p, len), list);
	d->stats.cut++;
	d->skip = d->context.single_line ? SKIP_NOTHING : SKIP_RECORD;
}

/* Gives the open record, which ends before `end`; cut where it is too long. */
static inline __attribute__((always_inline)) void close_record(struct decoder *d, const char *block, size_t end,
								struct record_list *list)
{
	struct frame *f = &d->frame;
	size_t len = end - f->start;
	struct record *r;

	ARRAY_GROW(list->items, list->n, list->cap);
	r = &list->items[list->n++];
	r->offset = (uint32_t)f->start;
	r->len = (uint32_t)len;
	r->lines = f->line - f->record_line;
	r->line = f->record_line;
	r->time_ns = f->time_ns;
	r->flags = f->stamped ? RECORD_STAMPED : 0;
	if (__builtin_expect(len > d->record_limit, 0))
		cut_record(d, block, r, list);
	else if (__builtin_expect(f->special, 0))
		close_special(d, block, r, f->special, list);
	list->disordered |= list->n > 1 && r->time_ns < r[-1].time_ns;
	if (f->time_ns > d->newest_ns)
		d->newest_ns = f->time_ns;
	f->open = false;
}

/* The line at line_start begins a record. */
static inline void open_record(struct decoder *d, int64_t stamp_ns)
{
	struct frame *f = &d->frame;
	struct format_context *c = &d->context;

	f->open = true;
	f->start = f->line_start;
	f->record_line = f->line;
	f->special = 0;
	f->previous_before = c->previous_ns;
	f->previous_was_stamp = c->previous_is_stamp;
	f->stamped = stamp_ns != TIME_NONE;
	if (f->stamped) {
		c->previous_ns = stamp_ns;
		c->previous_is_stamp = true;
	}
	f->time_ns = c->previous_ns;
}

/* The cache's part of begins(), see format_ops.stamp_first. */
static inline bool begins_cached(struct decoder *d, const char *line, size_t len, int64_t *ret_time)
{
	return d->ops->stamp_first && len > STAMP_LENGTH && stamp_cached_blank(&d->context.stamps, line, ret_time);
}

/*
 * A line ends before `end`: in its newline, in the last byte of the stream, or it is longer than any record may be (whole
 * is false then). The line counts itself only when it is whole.
 */
static inline __attribute__((always_inline)) void end_line(struct decoder *d, const char *block, size_t end, bool whole,
							    bool single, struct record_list *list)
{
	struct frame *f = &d->frame;
	size_t len = end - f->line_start;
	int64_t stamp_ns = TIME_NONE;
	bool begins;

	if (__builtin_expect(d->skip == SKIP_LINE, 0)) {
		if (whole) {
			d->skip = single ? SKIP_NOTHING : SKIP_RECORD;
			f->line++;
		}
		return;
	}
	if (__builtin_expect(len > d->record_limit, 0))
		len = d->record_limit;
	begins = begins_cached(d, block + f->line_start, len, &stamp_ns) ||
		 d->ops->begins(&d->context, span_of(block + f->line_start, len), &stamp_ns) || single ||
		 (!f->open && d->skip != SKIP_RECORD);
	if (begins) {
		if (!single && f->open)
			close_record(d, block, f->line_start - 1, list);
		d->skip = SKIP_NOTHING;
		open_record(d, stamp_ns);
	}
	if (whole)
		f->line++;
	if (!f->open) { /* of a record that was cut */
		if (!whole)
			d->skip = SKIP_LINE;
		return;
	}
	f->special |= f->line_special;
	if (single || end - f->start > d->record_limit) {
		close_record(d, block, end, list);
		if (!whole)
			d->skip = SKIP_LINE;
	}
}

/*
 * Of most logs nearly every line begins a record with a stamp of the same day as the one before it, is short, and holds nothing special. These are
 * done here, each as end_line() would, with what they need in registers. The open record stands in the list, behind its end. Stops at the first line that
 * is not so.
 */
static inline void end_plain_lines(struct decoder *d, const char *block, size_t at, struct stretch *s, struct record_list *list)
{
	struct frame *f = &d->frame;
	struct format_context *c = &d->context;
	const size_t n = s->n_newlines, first = s->newline, special_at = s->special_at;
	const size_t more_max = d->record_limit - (STAMP_LENGTH + 1); /* of a line, behind its stamp and the blank */
	size_t line_start = f->line_start, i = first;
	int64_t time_ns = f->time_ns, before_ns = TIME_NONE, max_ns = list->n ? list->items[list->n - 1].time_ns : TIME_NONE;
	struct record *r = list->items + list->n;
	bool disordered = false;

	if (!f->open || (f->special | f->line_special) || line_start - f->start > d->record_limit || d->record_limit <= STAMP_LENGTH)
		return;
	*r = (struct record){ .offset = (uint32_t)f->start, .len = (uint32_t)(line_start - 1 - f->start), .lines = f->line - f->record_line,
			      .line = f->record_line, .time_ns = time_ns, .flags = f->stamped ? RECORD_STAMPED : 0 };
	for (; i < n; i++) {
		size_t end = s->newlines[i], len = at + end - line_start;
		int64_t stamp_ns;

		if (special_at < end || len - (STAMP_LENGTH + 1) > more_max || !stamp_cached_blank(&c->stamps, block + line_start, &stamp_ns))
			break;
		/* As long as none is older than the one before it, that one is the newest. */
		disordered |= time_ns < max_ns;
		max_ns = time_ns > max_ns ? time_ns : max_ns;
		before_ns = time_ns;
		time_ns = stamp_ns;
		/* As long as its line: where more follow, this is not used. */
		*++r = (struct record){ .offset = (uint32_t)line_start, .len = (uint32_t)len, .lines = 1, .line = f->line + (uint32_t)(i - first),
					.time_ns = time_ns, .flags = RECORD_STAMPED };
		line_start = at + end + 1;
	}
	if (i == first)
		return;
	s->newline = i;
	f->start = r->offset;
	f->line_start = line_start;
	f->record_line = r->line;
	f->line += (uint32_t)(i - first);
	f->time_ns = time_ns;
	f->previous_before = i - first > 1 ? before_ns : c->previous_ns;
	f->previous_was_stamp = i - first > 1 || c->previous_is_stamp;
	f->stamped = true;
	c->previous_ns = time_ns;
	c->previous_is_stamp = true;
	d->newest_ns = max_ns > d->newest_ns ? max_ns : d->newest_ns;
	list->n = (size_t)(r - list->items);
	list->disordered |= disordered;
}

/* Makes room for n records more. */
static inline void list_reserve(struct record_list *list, size_t n)
{
	if (list->cap - list->n >= n)
		return;
	list->cap = list->cap * 2 > list->n + n ? list->cap * 2 : list->n + n;
	list->items = xrealloc(list->items, list->cap * sizeof *list->items);
}

static inline __attribute__((always_inline)) void frame_lines(struct decoder *d, struct span block, bool single,
							      struct record_list *list)
{
	struct frame *f = &d->frame;
	struct stretch s;

	for (size_t at = f->scanned; at < block.len; at += STRETCH_BYTES) {
		size_t len = block.len - at < STRETCH_BYTES ? block.len - at : STRETCH_BYTES, end;

		stretch_fill(&s, block.ptr + at, len);
		list_reserve(list, s.n_newlines + 1);
		while (s.newline < s.n_newlines) {
			if (!single && d->ops->stamp_first) {
				end_plain_lines(d, block.ptr, at, &s, list);
				if (s.newline == s.n_newlines)
					break;
			}
			end = s.newlines[s.newline++];
			f->line_special |= stretch_take_special(&s, block.ptr + at, end);
			end_line(d, block.ptr, at + end, true, single, list);
			f->line_start = at + end + 1;
			f->line_special = 0;
		}
		f->line_special |= stretch_take_special(&s, block.ptr + at, len);
	}
	f->scanned = block.len;
}

/*
 * The first stamp of a log, for the lines in front of it: the end of a record whose beginning was rotated away, or cut off by tail. Were they as
 * old as the file, all that follows would be late. TIME_NONE: none in block.
 */
static int64_t first_stamp(const struct decoder *d, struct span block, bool final)
{
	struct format_context scratch = d->context;
	int64_t stamp_ns = TIME_NONE;

	if (d->ops->state_new)
		scratch.state = d->ops->state_new(&scratch);
	while (stamp_ns == TIME_NONE && block.len > 0) {
		const char *newline = memchr(block.ptr, '\n', block.len);

		if (!newline && !final)
			break;
		d->ops->begins(&scratch, span_of(block.ptr, newline ? (size_t)(newline - block.ptr) : block.len), &stamp_ns);
		block = newline ? span_from(block, (size_t)(newline - block.ptr) + 1) : span_of(block.ptr, 0);
	}
	if (d->ops->state_new)
		d->ops->state_free(scratch.state);
	return stamp_ns;
}

/* False: it cannot be told yet what time the first lines have. */
static bool know_first_stamp(struct decoder *d, struct span block, bool final)
{
	struct format_context *c = &d->context;
	size_t limit = d->record_limit < UNSTAMPED_LIMIT ? d->record_limit : UNSTAMPED_LIMIT;
	int64_t stamp_ns;

	if (c->previous_is_stamp || d->gave_up)
		return true;
	stamp_ns = first_stamp(d, span_of(block.ptr, block.len < limit ? block.len : limit), final && block.len <= limit);
	if (stamp_ns != TIME_NONE) {
		c->previous_ns = stamp_ns;
		c->previous_is_stamp = true;
	} else if (block.len >= limit || final) {
		d->gave_up = block.len > 0;
	} else {
		return false;
	}
	return true;
}

size_t decoder_frame(struct decoder *d, struct span block, bool final, struct record_list *list)
{
	struct frame *f = &d->frame;
	size_t used;
	uint32_t lines;

	list->n = list->n_escaped = 0;
	list->disordered = false;
	if (!know_first_stamp(d, block, final))
		return 0;
	if (block.len > BLOCK_LIMIT) {
		block.len = BLOCK_LIMIT;
		final = false;
	}
	if (block.len < f->scanned) /* the caller broke the rule: begin again with what there is */
		*f = (struct frame){ .time_ns = TIME_NONE };
	if (d->context.single_line)
		frame_lines(d, block, true, list);
	else
		frame_lines(d, block, false, list);
	if (final) {
		if (f->line_start < block.len)
			end_line(d, block.ptr, block.len, true, d->context.single_line, list);
		if (f->open)
			close_record(d, block.ptr, block.len - (block.len > 0 && f->line_start == block.len), list);
		f->line_start = block.len;
		f->line_special = 0;
	} else if (block.len - f->line_start > d->record_limit) {
		/* What is seen of the line is enough to know what it is, and more of it will not be kept. */
		end_line(d, block.ptr, block.len, false, d->context.single_line, list);
	}
	if (d->skip == SKIP_LINE) {
		f->line_start = block.len;
		f->line_special = 0;
	}
	used = f->open ? f->start : f->line_start;
	lines = f->open ? f->record_line : f->line;
	d->stats.bytes += used;
	d->stats.lines += lines;
	d->stats.records += list->n;
	f->start = 0;
	f->line_start -= used;
	f->scanned -= used;
	f->record_line = 0;
	f->line -= lines;
	return used;
}

/* The line without what may still be part of a stamp at its end: more digits, a fraction, a zone. */
static struct span without_stamp_end(struct span line)
{
	while (line.len > 0 && (span_is_digit(line.ptr[line.len - 1]) || memchr(" ,.:+-", line.ptr[line.len - 1], 6)))
		line.len--;
	return line;
}

/*
 * A stamp with nothing behind it may have been cut (2026-02-17 08:44:02, and its milliseconds or its zone follow), so it is asked for again
 * in front of the last byte that is none of a stamp's. To be asked twice about a line does the formats no harm.
 */
enum decoder_rest decoder_rest(struct decoder *d, struct span rest, int64_t *ret_ns, int64_t *ret_open_ns)
{
	struct frame *f = &d->frame;
	int64_t again_ns = TIME_NONE;

	*ret_ns = *ret_open_ns = f->open ? f->time_ns : TIME_NONE;
	if (rest.len < f->scanned || f->scanned == 0) /* not looked at yet */
		return rest.len ? REST_PIECE : REST_NOTHING;
	if (f->line_start == rest.len)
		return f->open ? REST_RECORD : REST_NOTHING;
	struct span line = span_from(rest, f->line_start);
	if (line.len > d->record_limit)
		line.len = d->record_limit;
	struct span stamped = without_stamp_end(line);
	if (d->skip == SKIP_LINE || stamped.len < 2 || !d->ops->begins(&d->context, line, ret_ns) || *ret_ns == TIME_NONE ||
	    !d->ops->begins(&d->context, span_of(stamped.ptr, stamped.len - 1), &again_ns) || again_ns != *ret_ns) {
		*ret_ns = f->open ? f->time_ns : TIME_NONE;
		return REST_PIECE;
	}
	return REST_LINE;
}

/* Without colours and CRs, in the arena. There are readable bytes behind it, as behind a block. */
static __attribute__((noinline)) struct span strip(struct span raw, struct arena *arena)
{
	char *copy = arena_alloc(arena, raw.len + FIND_BYTES);
	size_t len = ansi_strip(raw, copy);

	memset(copy + len, 0, FIND_BYTES);
	return span_of(copy, len);
}

/* Prepares *e and the text of the record: without colours, CRs and blank lines at its end. */
static inline void prepare(struct decoder *d, struct span raw, const struct record *r, struct event *e)
{
	while (raw.len > 0 && (raw.ptr[raw.len - 1] == '\r' || raw.ptr[raw.len - 1] == '\n'))
		raw.len--;
	if (((r->flags & RECORD_ESCAPED) && memchr(raw.ptr, ESC, raw.len)) || (r->lines > 1 && memchr(raw.ptr, '\r', raw.len)))
		raw = strip(raw, &e->arena);
	e->time_ns = r->time_ns;
	e->source = d->source;
	e->raw = raw;
}

static void sample_unparsed(struct buffer *sample, struct span raw)
{
	const char *newline = raw.len ? memchr(raw.ptr, '\n', raw.len) : NULL;
	size_t n = newline ? (size_t)(newline - raw.ptr) : raw.len;

	if (n > SAMPLE_LINE_LIMIT)
		n = SAMPLE_LINE_LIMIT;
	if (sample->len + n + 1 > SAMPLE_LIMIT)
		return;
	buffer_append(sample, raw.ptr, n);
	buffer_append_char(sample, '\n');
}

void decoder_take_stats(struct decoder *d, struct decoder *from)
{
	struct span sample = buffer_span(&from->stats.unparsed_sample);
	struct buffer empty = from->stats.unparsed_sample;

	d->stats.bytes += from->stats.bytes;
	d->stats.lines += from->stats.lines;
	d->stats.records += from->stats.records;
	d->stats.cut += from->stats.cut;
	d->stats.parsed += from->stats.parsed;
	d->stats.unparsed += from->stats.unparsed;
	d->stats.nul_bytes += from->stats.nul_bytes;
	while (sample.len) {
		size_t n = (size_t)((const char *)memchr(sample.ptr, '\n', sample.len) - sample.ptr);

		sample_unparsed(&d->stats.unparsed_sample, span_of(sample.ptr, n));
		sample = span_from(sample, n + 1);
	}
	buffer_clear(&empty);
	from->stats = (struct decoder_stats){ .unparsed_sample = empty };
}

enum parse_result decoder_parse(struct decoder *d, struct span block, const struct record *r, struct event *e)
{
	struct span raw = span_of(block.ptr + r->offset, r->len);
	enum parse_result result;

	prepare(d, raw, r, e);
	result = d->ops->parse(&d->context, e->raw, r, e);
	switch (result) {
	case PARSE_EVENT:
		d->stats.parsed++;
		if (d->ops->parses_again && r->lines == 1)
			e->n_parsed = (uint16_t)e->n_values;
		break;
	case PARSE_NOTHING:
		break;
	case PARSE_UNPARSED:
		d->stats.unparsed++;
		sample_unparsed(&d->stats.unparsed_sample, e->raw);
		/* Whatever the format had found before it gave up is not to be trusted. */
		event_drop_values(e);
		event_add(e, FIELD_MESSAGE, e->raw, VALUE_STRING);
		break;
	}
	return result;
}

bool decoder_parse_later(struct decoder *d, struct span block, const struct record *r, struct event *e)
{
	struct span raw = span_of(block.ptr + r->offset, r->len);
	uint64_t number = d->ops->agent_number && r->lines == 1 && r->flags == RECORD_STAMPED ? d->ops->agent_number(&d->context, raw, &e->arena) : 0;

	if (!number)
		return false;
	prepare(d, raw, r, e);
	e->agent_number = number;
	e->unparsed = d;
	d->stats.parsed++;
	return true;
}

void event_parse(const struct event *e)
{
	struct event *whole = (struct event *)(uintptr_t)e;
	struct decoder *d = e->unparsed;

	whole->unparsed = NULL;
	decoder_parse_again(d, e->raw, whole);
	whole->n_parsed = (uint16_t)e->n_values;
}

void event_parse_for(const struct event *e, field_id f)
{
	if (f < 64 && e->unparsed->ops->fields >> f & 1)
		event_parse(e);
}

bool format_parses_again(enum format f)
{
	return all_ops[f] && all_ops[f]->parses_again;
}

void decoder_parse_again(struct decoder *d, struct span raw, struct event *e)
{
	struct record r = { .len = (uint32_t)raw.len, .lines = 1, .flags = RECORD_STAMPED };

	d->ops->parse(&d->context, raw, &r, e);
}

void decoder_save(const struct decoder *d, struct buffer *out)
{
	const struct frame *f = &d->frame;
	bool is_stamp = f->open ? f->previous_was_stamp : d->context.previous_is_stamp;

	codec_put_u64(out, is_stamp ? 1 : d->gave_up ? 2 : 0);
	codec_put_i64(out, f->open ? f->previous_before : d->context.previous_ns);
	codec_put_i64(out, d->newest_ns);
	codec_put_u64(out, d->skip);
	if (d->ops->state_save)
		d->ops->state_save(d->context.state, out);
}

bool decoder_load(struct decoder *d, struct codec_reader *in)
{
	uint64_t is_stamp = codec_get_u64(in), skip;
	int64_t previous_ns = codec_get_i64(in);

	d->newest_ns = codec_get_i64(in);
	skip = codec_get_u64(in);
	if (in->bad || is_stamp > 2 || skip > SKIP_RECORD || (d->context.single_line && skip == SKIP_RECORD))
		return false;
	d->skip = (enum skip)skip;
	d->gave_up = is_stamp == 2;
	if (is_stamp == 1) {
		d->context.previous_is_stamp = true;
		d->context.previous_ns = previous_ns;
	}
	return !d->ops->state_load || d->ops->state_load(d->context.state, in);
}

field_id context_field(const struct format_context *c, struct span name)
{
	/* Where all names are kept the table is no ruleset's, and grows while lines are read. */
	return c->fields->keep_all ? field_add((struct field_table *)c->fields, name) : field_find(c->fields, name);
}

/*
 * decoder.h: one stream's bytes → records → events. A decoder belongs to one stream (one source; its files
 * in order of age) and holds what has to be remembered between records: the last stamp, ps's columns
 * and processes. All of it can be saved and restored.
 *
 *	bytes ── decoder_frame() ──> records (bounds, stamp) ── [prefilter] ── decoder_parse() ──> event
 *
 * Framing looks at every line once, parses its stamp and nothing else. Parsing is done for
 * candidate records only (formats with decoder_wants_all(): for every record, in order).
 */
#ifndef TOCSIN_RECORD_DECODER_H
#define TOCSIN_RECORD_DECODER_H

#include "base/codec.h"
#include "record/source.h"

#define RECORD_LIMIT_DEFAULT ((size_t)1 << 20)

enum record_flags {
	RECORD_CUT = 1,       /* longer than the limit: its tail was thrown away */
	RECORD_STAMPED = 2,   /* it carries its own stamp (else: that of the record before it) */
	RECORD_ESCAPED = 4,   /* holds ESC, or a backslash that may stand for anything (\\u0041): what is matched may not stand in it verbatim, so the prefilter cannot exclude it */
};

struct record {
	uint32_t offset, len;  /* in the block, without the final newline; may hold newlines inside */
	uint32_t lines;        /* how many lines it spans, ≥ 1 */
	uint32_t line;         /* of its first line, relative to the block's first line (0 = that line) */
	int64_t time_ns;       /* its stamp in UTC, or the one before it, or the log's first; TIME_NONE when there is none */
	uint8_t flags;
};

struct record_list {
	struct record *items;
	size_t n, cap;
	size_t n_escaped; /* of them flagged RECORD_ESCAPED */
	bool disordered;  /* one is older than the one before it */
};

struct decoder_stats {
	uint64_t bytes, lines, records; /* lines: of the bytes used up, so the next block's first line is number lines + 1 */
	uint64_t cut;       /* records longer than the limit */
	uint64_t parsed, unparsed;
	uint64_t nul_bytes; /* records that hold NUL */
	struct buffer unparsed_sample; /* the first few unparsed lines, newline-separated, ≤ 1 KiB */
};

struct decoder;

/* default_zone: for a source without one. fields: of the ruleset; outlives the decoder. */
struct decoder *decoder_new(const struct source *s, const struct field_table *fields, const struct zone *default_zone,
			    size_t record_limit);
void decoder_free(struct decoder *d);

/*
 * What a stamp may fall back on: the file's mtime when a new file begins (a missing year; lines without any stamp).
 * arrival_ns (TIME_NONE in a replay): stamps lines of a live stream that carry none, where the format allows.
 */
void decoder_begin_file(struct decoder *d, int64_t mtime_ns);
void decoder_set_arrival(struct decoder *d, int64_t arrival_ns);

/*
 * Frames the bytes in block. Appends to list (cleared first) every record that is complete: its end was seen, because a line that
 * begins another follows, or `final`. Returns how many bytes of the block are used up: the caller keeps the
 * rest and offers it again, in front of more bytes. It must offer at least one more byte, or final.
 * A record that reaches the limit is given cut, and what follows of it is skipped, however long.
 * final: nothing follows now (end of stream, or a live file is at its end).
 * Until a log's first stamp has been seen, or 64 KiB without one, or final, nothing is given: the lines before it take its time.
 * The block need not be aligned; 64 readable bytes behind it are required. Of a block above 1 GiB only that much is looked at.
 * Lines of the rest are remembered, not looked at again: who drops the rest (the file was truncated) must frame it with final first.
 */
size_t decoder_frame(struct decoder *d, struct span block, bool final, struct record_list *list);

/* Every record must be parsed, in order, whatever the prefilter says (ps: rows belong to snapshots). */
bool decoder_wants_all(const struct decoder *d);

enum parse_result {
	PARSE_EVENT,    /* *e is filled; e->origin is the caller's to fill */
	PARSE_NOTHING,  /* understood, but no event: a header, a stamp, an empty line */
	PARSE_UNPARSED, /* not understood; *e has time, source, raw, message only, and may still be matched by keywords */
};
/*
 * e must be reset; its values borrow from block, behind which 64 readable bytes are required. Sets time_ns, source and raw; the origin is the caller's.
 */
enum parse_result decoder_parse(struct decoder *d, struct span block, const struct record *r, struct event *e);

/*
 * The same of a record with a key (format_key()), but that its values are left to be made when they are asked for: e->unparsed. Until then the decoder must stay. False: it must be
 * parsed now.
 */
bool decoder_parse_later(struct decoder *d, struct span block, const struct record *r, struct event *e);
/*
 * Only the values, into a reset event, of a record whose event said so (event.n_parsed): of its raw, which is followed by FIND_BYTES readable ones. By any
 * decoder of a source of the same format.
 */
void decoder_parse_again(struct decoder *d, struct span raw, struct event *e);
/* Do events of this format say so? */
bool format_parses_again(enum format f);

enum decoder_rest {
	REST_NOTHING, /* everything was given */
	REST_RECORD,  /* a record that may go on: *ret_ns is its time */
	REST_LINE,    /* a line without its newline that carries a stamp: *ret_ns */
	REST_PIECE,   /* a line without its newline; what it is cannot be said */
};
/*
 * What is left of the block after decoder_frame(): its rest is given again, and looked at. *ret_ns: TIME_NONE where nothing is known.
 * *ret_open_ns: the time of the record in front of the line, which is not given yet either; TIME_NONE: there is none.
 */
enum decoder_rest decoder_rest(struct decoder *d, struct span rest, int64_t *ret_ns, int64_t *ret_open_ns);

/* The newest time of the records given so far; TIME_NONE before the first. */
int64_t decoder_newest(const struct decoder *d);
/* A line so far, of this log or before its state was saved, had a stamp. */
bool decoder_stamped(const struct decoder *d);
const struct decoder_stats *decoder_stats(const struct decoder *d);
/* Adds what another one counted, which begins anew. */
void decoder_take_stats(struct decoder *d, struct decoder *from);

/* What must be known to go on behind the bytes that the last decoder_frame() used up. Statistics are not saved. */
void decoder_save(const struct decoder *d, struct buffer *out);
/* Into a fresh decoder of the same source. False (and unchanged in no promised way: free it) when damaged. */
bool decoder_load(struct decoder *d, struct codec_reader *in);

/*
 * For the prefilter: bytes that every raw record of this format whose `field` equals (whole) or contains the text must
 * hold, e.g. town type=kill → "[kill] ". Appends them to out and returns true; false when nothing can be said (derived
 * or normalised fields). Records flagged RECORD_ESCAPED are exempt from the promise, and so is text with quotes, backslashes or
 * control characters, for which an escape may stand in any record. Letters' case is as in text.
 */
bool format_literal(enum format f, field_id field, struct span field_name, struct span text, bool whole, struct buffer *out);

/* May records be JSON, so that a keyword is also sought in what their escapes stand for? */
bool format_has_json(enum format f);

/*
 * Where the records of a format have a field (its key) at a fixed place. A record that is stamped, not escaped, of one line and begins with a stamp of
 * STAMPED_LENGTH bytes, the first a digit, and a blank is parsed to an event whose one value of `field` is what stands at `at`, behind `open`, when the first byte of
 * `close` ends it and the rest of `close` follows; else to one without any. Of several lines: when what stands there holds no CR.
 */
#define STAMPED_LENGTH 19
struct format_key {
	field_id field;
	unsigned at;             /* STAMPED_LENGTH + 1 to STAMPED_LENGTH + 8 */
	struct span open, close; /* open, of 8 bytes at most, stands in front of `at`, behind the stamp */
};
/* False: it has none. */
bool format_key(enum format f, struct format_key *ret);
/*
 * Bytes which say for certain that `field` begins with the text, when they stand in a record of one line with this key, as written here, behind the first blank
 * that follows its `close`. Appends them to out, the text at their end; false when there are none.
 */
bool format_beginning(enum format f, struct span key, field_id field, struct span text, struct buffer *out);
/*
 * What the word ends with, in letters of any case and not counting slashes, that stands behind this key's `close` in every record of one line with this key, as written here,
 * whose `field` is the text, when a blank and then *ret_behind follow the word. Empty: nothing is certain. It is a part of the text.
 */
struct span format_word_end(enum format f, struct span key, field_id field, struct span text, struct span *ret_behind);
/*
 * What stands in front of the value of `field` in every record with this key (here in lower case, there in letters of any case) that has the field and is not flagged
 * RECORD_ESCAPED. Empty: nothing is certain.
 */
struct span format_lead(enum format f, struct span key, field_id field);

#endif

/*
 * format.h: what one format has to say to the decoder. Internal to record/: others include decoder.h.
 */
#ifndef TOCSIN_RECORD_FORMAT_H
#define TOCSIN_RECORD_FORMAT_H

#include "record/decoder.h"

/* The part of a decoder that its format sees. */
struct format_context {
	const struct source *source;
	const struct field_table *fields;
	const struct zone *zone;      /* of stamps that have none */
	int64_t previous_ns;          /* newest stamp so far in file order, or mtime/arrival when none; TIME_NONE */
	int64_t arrival_ns;           /* live: when the bytes came; TIME_NONE in a replay */
	int64_t mtime_ns;             /* of the file being read; TIME_NONE unknown */
	void *state;                  /* the format's own, from state_new */
};

struct format_ops {
	/*
	 * Does this line (no newline, maybe a CR at its end) begin a record? If so *ret_time is its stamp, or TIME_NONE when it carries none.
	 * Called once a line, in order: it must be fast. A line that does not begin one continues the record before it.
	 */
	bool (*begins)(struct format_context *c, struct span line, int64_t *ret_time);
	/* raw: the record, CR and colours already stripped where it has any. e->time_ns, source and raw are set. */
	enum parse_result (*parse)(struct format_context *c, struct span raw, const struct record *r, struct event *e);
	bool wants_all;
	/* May all be NULL together. */
	void *(*state_new)(struct format_context *c);
	void (*state_free)(void *state);
	void (*state_save)(const void *state, struct buffer *out);
	bool (*state_load)(void *state, struct codec_reader *in);
};

extern const struct format_ops format_town, format_events, format_daemon, format_overseer, format_guardian, format_ps,
	format_syslog, format_json, format_text, format_pattern;

#endif

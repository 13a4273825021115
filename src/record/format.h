/*
 * format.h: what one format has to say to the decoder. Internal to record/: others include decoder.h.
 */
#ifndef TOCSIN_RECORD_FORMAT_H
#define TOCSIN_RECORD_FORMAT_H

#include "record/decoder.h"
#include "record/stamp.h"

/* The part of a decoder that its format sees. */
struct format_context {
	const struct source *source;
	const struct field_table *fields;
	const struct zone *zone;      /* of stamps that have none */
	int64_t previous_ns;          /* the last stamp in file order, or arrival, or mtime when there is none yet; TIME_NONE */
	bool previous_is_stamp;       /* false: previous_ns is arrival or mtime */
	bool single_line;             /* set from ops; state_new may change it (a pattern without `start`) */
	int64_t arrival_ns;           /* live: when the bytes came; TIME_NONE in a replay */
	int64_t mtime_ns;             /* of the file being read; TIME_NONE unknown */
	struct stamp_cache stamps;    /* of the stamps at the start of lines */
	void *state;                  /* the format's own, from state_new */
};

struct format_ops {
	/*
	 * Does this line (no newline, maybe a CR at its end) begin a record? If so *ret_time is its stamp, or TIME_NONE when it carries none.
	 * Called once a line, in order: it must be fast. A line that does not begin one continues the record before it.
	 */
	bool (*begins)(struct format_context *c, struct span line, int64_t *ret_time);
	/* raw: the record, CR and colours already stripped where it has any; FIND_BYTES behind it are readable. e->time_ns, source and raw are set. */
	enum parse_result (*parse)(struct format_context *c, struct span raw, const struct record *r, struct event *e);
	/* The values of an event from a stamped record of one line depend on nothing but raw. */
	bool parses_again;
	/* Of such a record: the event's agent_number; 0: it is not known, or there may be no event. NULL: it never is. 64 bytes behind raw are readable. */
	uint64_t (*agent_number)(struct format_context *c, struct span raw, struct arena *arena);
	uint64_t fields; /* with agent_number: a bit for each field that its events may have */
	bool wants_all;
	/* A line with a stamp of 19 bytes and a blank at its start begins a record: where that stamp is in the cache, begins() is not asked. */
	bool stamp_first;
	/* Every line is a record of its own: begins() always returns true, and a record is complete at its newline. */
	bool single_line;
	/* May all be NULL together; state_new alone, where parse() makes it. */
	void *(*state_new)(struct format_context *c);
	void (*state_free)(void *state);
	void (*state_save)(const void *state, struct buffer *out);
	bool (*state_load)(void *state, struct codec_reader *in);
};

/*
 * The instant of a written stamp: civil_to_time() with what the context knows. A missing year before the first stamp is
 * the latest that does not put it behind the file's mtime.
 */
int64_t stamp_resolve(const struct format_context *c, const struct civil *civil);
/* The field of this name, or FIELD_NONE when nobody asked for it (the table grows where it keeps all). */
field_id context_field(const struct format_context *c, struct span name);

extern const struct format_ops format_town, format_events, format_daemon, format_overseer, format_guardian, format_ps,
	format_syslog, format_json, format_text, format_pattern;

#endif

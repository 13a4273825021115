/*
 * order.h: events of several streams in one order that depends on nothing but the events:
 * (order time, rank of the source, name of the stream, place in the stream).
 *
 * The order time of an event is its stamp, or, when the stream has already given a stamp more than `lateness` newer,
 * that newest stamp − lateness. So a stream's order times never fall more than lateness behind its newest stamp, and everything
 * before (the least of the streams' newest stamps) − lateness can be let go: nothing will come in front of it.
 */
#ifndef TOCSIN_ENGINE_ORDER_H
#define TOCSIN_ENGINE_ORDER_H

#include "base/codec.h"
#include "rule/ruleset.h"

struct held_event;
struct order {
	struct held_event **heap;
	size_t n, cap;
	struct held_event *free_list; /* memory of released ones, for reuse */
	uint64_t peak;
};

void order_release(struct order *o);

/* Keeps a copy of the event with what it matched. stream_name: borrowed for the run. sequence: place in its stream. */
void order_push(struct order *o, const struct event *e, int64_t order_ns, const char *stream_name, uint64_t sequence,
		const uint32_t *matched, size_t n_matched);
/* Order time of the first one; TIME_NONE when empty. */
int64_t order_first(const struct order *o);
/* Does the first one stand in front of this place? */
bool order_goes_before(const struct order *o, int64_t order_ns, const struct source *source, const char *stream_name, uint64_t sequence);
/*
 * Takes the first one out, into *e (reset by the callee; strings valid until the next push or pop). Returns its order time; matched
 * and n_matched point to what it matched.
 */
int64_t order_pop(struct order *o, struct event *e, const uint32_t **ret_matched, size_t *ret_n_matched);

/* Is an event of this stream held? */
bool order_holds(const struct order *o, uint32_t stream);

/* Where held events come from. */
struct order_stream {
	uint32_t number;         /* origin.stream of its events */
	const char *name;        /* as given to order_push() */
	const struct source *source;
};

void order_save(const struct order *o, const struct ruleset *rules, struct buffer *out);
/*
 * Into an empty one. Rules are found again by name and digest: what events matched of others is dropped, and the event where nothing
 * is left of it that any rule wants. So are events of streams that are not in the list (ascending numbers). names: where file names are to live. False when damaged.
 */
bool order_load(struct order *o, struct codec_reader *in, const struct ruleset *rules, const struct order_stream *streams, size_t n_streams,
		struct map *names);
/* How many events a saved order holds; reads over it. False when damaged. */
bool order_describe(struct codec_reader *in, uint64_t *ret_n);

#endif

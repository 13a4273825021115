/*
 * agent.h: one agent has several names (domain: careops/rust = careops/polecats/rust = careops/crew/rust;
 * hq-mayor = mayor = mayor/ = gt-mayor). The normal form is "rig/name" for workers, "rig/role" for witness and refinery,
 * "mayor", "deacon", "boot" for the town's own.
 */
#ifndef TOCSIN_RECORD_AGENT_H
#define TOCSIN_RECORD_AGENT_H

#include "record/event.h"

struct agent {
	struct span normal, rig, role, name; /* empty where unknown; role: mayor deacon boot witness refinery polecat crew dog */
};

/* Spans point into text or, where it had to be rewritten, into the arena. */
struct agent agent_parse(struct span text, struct arena *arena);
/*
 * Agents are few and each is named on many lines: what a name means is kept here, by its bytes. A name of 4 to AGENT_MEMO_LEN bytes has one place; the
 * last that was put there is known. 100 KiB, to be zeroed.
 */
#define AGENT_MEMO_LEN 48
#define AGENT_MEMO_SLOTS 512
struct agent_memo {
	struct agent_memo_slot {
		struct agent_part {
			const char *fixed; /* NULL: it is a part of the text */
			uint8_t at, len;
			field_id field;
		} parts[5]; /* what there is of agent, agent_raw, rig, role, name; of the first `fixed` is in normal_text, of the others it is static */
		uint64_t first, last; /* the words that the text begins and ends with */
		uint8_t len, n_parts;
		char text[AGENT_MEMO_LEN], normal_text[AGENT_MEMO_LEN];
	} slots[AGENT_MEMO_SLOTS];
};
/*
 * The same as agent_add(), to an event that has none of these fields and room for them (event.h), and as agent_parse().normal, which both return:
 * nothing points into the memo.
 */
struct span agent_memo_add(struct agent_memo *m, struct event *e, struct span text);
struct span agent_memo_normal(struct agent_memo *m, struct span text, struct arena *arena);

/* Adds agent, agent_raw, rig, role, name to the event (empty ones are left out). */
void agent_add(struct event *e, struct span text);

/* X of a nudge's text "[from X] …"; empty when it does not say. */
struct span nudge_sender(struct span message);

#endif

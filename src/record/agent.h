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
 * Agents are few and each is named on many lines: what a name means is kept here, by its bytes. A name of 4 to AGENT_MEMO_LEN bytes has one pair of
 * places; the last two that were put there are known. 96 KiB, to be zeroed.
 */
#define AGENT_MEMO_LEN 48
#define AGENT_MEMO_PAIRS 256
struct agent_memo_slot {
	uint64_t first, last; /* the words that the text begins and ends with */
	uint64_t number;      /* event.agent_number: no other name has it, of whichever memo */
	uint8_t len;
	bool replace_other;   /* in the first of a pair: the next name goes to the second */
	struct agent_part {
		const char *fixed; /* NULL: it is a part of the text */
		uint8_t at, len;
	} normal, rig, role, name; /* normal: fixed is in normal_text, the others' are static */
	char text[AGENT_MEMO_LEN], normal_text[AGENT_MEMO_LEN];
};
struct agent_memo {
	struct agent_memo_slot slots[2 * AGENT_MEMO_PAIRS];
};
/* Looks the name up, and keeps what it means; NULL: it cannot be kept, and is *ret. */
const struct agent_memo_slot *agent_memo_learn(struct agent_memo *m, struct span text, struct arena *arena, struct agent *ret);

/* The words that a name of at least 4 bytes begins and ends with; of a short one they are of 4 bytes. Returns its place. */
static inline struct agent_memo_slot *agent_memo_place(struct agent_memo *m, struct span text, uint64_t *ret_first, uint64_t *ret_last)
{
	uint64_t first = 0, last = 0;

	if (__builtin_expect(text.len < 8, 0)) {
		memcpy(&first, text.ptr, 4);
		memcpy(&last, text.ptr + text.len - 4, 4);
	} else {
		memcpy(&first, text.ptr, 8);
		memcpy(&last, text.ptr + text.len - 8, 8);
	}
	*ret_first = first;
	*ret_last = last;
	return &m->slots[((first ^ (last << 7 | last >> 57)) * UINT64_C(0x9E3779B97F4A7C15)) >> 56 << 1];
}

static inline bool agent_memo_holds(const struct agent_memo_slot *slot, struct span text, uint64_t first, uint64_t last)
{
	uint64_t word, kept;

	if (slot->len != text.len || slot->first != first || slot->last != last)
		return false;
	for (size_t i = 8; i + 8 < text.len; i += 8) {
		memcpy(&word, text.ptr + i, 8);
		memcpy(&kept, slot->text + i, 8);
		if (word != kept)
			return false;
	}
	return true;
}

/* Where the meaning of this name is kept; NULL: its meaning is *ret. */
static inline const struct agent_memo_slot *agent_memo_find(struct agent_memo *m, struct span text, struct arena *arena, struct agent *ret)
{
	uint64_t first, last;

	if (__builtin_expect(text.len >= 4 && text.len <= AGENT_MEMO_LEN, 1)) {
		const struct agent_memo_slot *slot = agent_memo_place(m, text, &first, &last);

		if (__builtin_expect(agent_memo_holds(slot, text, first, last), 1))
			return slot;
		if (agent_memo_holds(slot + 1, text, first, last))
			return slot + 1;
	}
	return agent_memo_learn(m, text, arena, ret);
}

/* What is part of the record is taken from there: then it need not be copied with it. */
static inline struct span agent_part_text(const struct agent_part *p, struct span text)
{
	return span_of(p->fixed ? p->fixed : text.ptr + p->at, p->len);
}

/* The slot may be another name's before the event is done with: a text that is not the record's is copied. */
static inline struct span agent_memo_normal_text(const struct agent_memo_slot *slot, struct span text, struct arena *arena)
{
	char *copy;

	if (!slot->normal.fixed)
		return agent_part_text(&slot->normal, text);
	copy = arena_alloc(arena, AGENT_MEMO_LEN);
	memcpy(copy, slot->normal_text, AGENT_MEMO_LEN);
	return span_of(copy, slot->normal.len);
}

/*
 * The same as agent_add(), to an event that has none of these fields and room for them (event.h), and as agent_parse().normal, which both return:
 * nothing points into the memo.
 */
static inline __attribute__((always_inline)) struct span agent_memo_write(struct agent_memo *m, struct event_writer *w, struct span text,
									     struct arena *arena)
{
	struct agent a;
	const struct agent_memo_slot *slot = agent_memo_find(m, text, arena, &a);
	struct span normal;

	if (__builtin_expect(slot == NULL, 0)) {
		event_write_text(w, FIELD_AGENT, a.normal);
		event_write_text(w, FIELD_AGENT_RAW, text);
		event_write_text(w, FIELD_RIG, a.rig);
		event_write_text(w, FIELD_ROLE, a.role);
		event_write_text(w, FIELD_NAME, a.name);
		return a.normal;
	}
	normal = agent_memo_normal_text(slot, text, arena);
	w->agent_number = slot->number;
	event_write(w, FIELD_AGENT, normal);
	event_write(w, FIELD_AGENT_RAW, text);
	event_write_text(w, FIELD_RIG, agent_part_text(&slot->rig, text));
	event_write_text(w, FIELD_ROLE, agent_part_text(&slot->role, text));
	event_write_text(w, FIELD_NAME, agent_part_text(&slot->name, text));
	return normal;
}
static inline struct span agent_memo_normal(struct agent_memo *m, struct span text, struct arena *arena)
{
	struct agent a;
	const struct agent_memo_slot *slot = agent_memo_find(m, text, arena, &a);

	return slot ? agent_memo_normal_text(slot, text, arena) : a.normal;
}

/* Adds agent, agent_raw, rig, role, name to the event (empty ones are left out). */
void agent_add(struct event *e, struct span text);

/* X of a nudge's text "[from X] …"; empty when it does not say. */
struct span nudge_sender(struct span message);

#endif

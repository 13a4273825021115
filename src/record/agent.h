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
/* Adds agent, agent_raw, rig, role, name to the event (empty ones are left out). */
void agent_add(struct event *e, struct span text);

/* X of a nudge's text "[from X] …"; empty when it does not say. */
struct span nudge_sender(struct span message);

#endif

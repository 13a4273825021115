/*
 * agent.c: decides which agent a name means. The rules, in this order (text without a closing "/"):
 *
 *	mayor, deacon, boot with hq- or gt- before it, any letter case     the town's own role
 *	deacon/boot, deacon-boot                                          boot
 *	deacon/dogs/NAME, hq-dog-NAME                                     dog/NAME
 *	RIG/polecats/NAME, RIG/polecat/NAME                               RIG/NAME, polecat
 *	RIG/crew/NAME                                                     RIG/NAME, crew
 *	RIG/witness, RIG/refinery                                         itself, with that role
 *	RIG/NAME                                                          itself, role unknown
 *	gt-RIG-witness, gt-RIG-refinery (session names)                   RIG/witness, RIG/refinery
 *	anything else                                                     itself
 *
 * Normalising is idempotent. Session names of workers (gt-RIG-NAME) are left alone: where a rig or a
 * name holds a hyphen nobody can tell them apart.
 */
#include "record/agent.h"

#include <stdatomic.h>
#include <stdint.h>
#include <strings.h>

/* In any case. Nearly all that are as long are the word as it stands. */
static inline bool equals(struct span s, struct span word)
{
	return s.len == word.len && (memcmp(s.ptr, word.ptr, word.len) == 0 || strncasecmp(s.ptr, word.ptr, word.len) == 0);
}

static inline struct span drop_prefix(struct span s, struct span prefix)
{
	return s.len > prefix.len && memcmp(s.ptr, prefix.ptr, prefix.len) == 0 ? span_from(s, prefix.len) : s;
}

/* The text before the next "/", which *rest is moved behind. */
static struct span take_segment(struct span *rest)
{
	const char *slash = rest->len ? memchr(rest->ptr, '/', rest->len) : NULL;
	size_t n = slash ? (size_t)(slash - rest->ptr) : rest->len;
	struct span segment = span_of(rest->ptr, n);

	*rest = span_from(*rest, slash ? n + 1 : n);
	return segment;
}

static struct span join(struct arena *arena, struct span first, struct span second)
{
	char *p = arena_alloc(arena, first.len + second.len + 1);

	memcpy(p, first.ptr, first.len);
	p[first.len] = '/';
	memcpy(p + first.len + 1, second.ptr, second.len);
	return span_of(p, first.len + 1 + second.len);
}

static struct span town_role(struct span s)
{
	if (s.len > 12)
		return SPAN(""); /* longer than hq-gt-deacon */
	s = drop_prefix(drop_prefix(s, SPAN("hq-")), SPAN("gt-"));
	if (equals(s, SPAN("mayor")))
		return SPAN("mayor");
	if (equals(s, SPAN("deacon")))
		return SPAN("deacon");
	return equals(s, SPAN("boot")) ? SPAN("boot") : SPAN("");
}

static struct agent of_town(struct span role)
{
	return (struct agent){ .normal = role, .rig = SPAN(""), .role = role, .name = role };
}

/* gt-RIG-witness and gt-RIG-refinery. */
static bool rig_session(struct span s, struct arena *arena, struct agent *ret)
{
	static const struct span roles[] = { { "witness", 7 }, { "refinery", 8 } };

	for (size_t i = 0; i < 2; i++) {
		struct span role = roles[i];

		if (!span_starts_with(s, SPAN("gt-")) || s.len < role.len + 5 || !span_ends_with(s, role) ||
		    s.ptr[s.len - role.len - 1] != '-')
			continue;
		ret->rig = span_of(s.ptr + 3, s.len - role.len - 4);
		ret->role = ret->name = role;
		ret->normal = join(arena, ret->rig, role);
		return true;
	}
	return false;
}

static struct agent of_dog(struct span name, struct arena *arena)
{
	return (struct agent){ .normal = join(arena, SPAN("dog"), name), .rig = SPAN(""), .role = SPAN("dog"), .name = name };
}

struct agent agent_parse(struct span text, struct arena *arena)
{
	struct agent a = { SPAN(""), SPAN(""), SPAN(""), SPAN("") };
	struct span first, second, third, rest;

	while (text.len > 0 && text.ptr[text.len - 1] == '/')
		text.len--;
	if (text.len == 0)
		return a;
	a.normal = a.name = text;
	if (!memchr(text.ptr, '/', text.len)) {
		struct span role = town_role(text);

		if (role.len > 0)
			return of_town(role);
		if (equals(text, SPAN("deacon-boot")))
			return of_town(SPAN("boot"));
		if (text.len > 7 && span_starts_with(text, SPAN("hq-dog-")))
			return of_dog(span_from(text, 7), arena);
		if (!rig_session(text, arena, &a))
			a.normal = a.name = text;
		return a;
	}
	rest = text;
	first = take_segment(&rest);
	second = take_segment(&rest);
	third = take_segment(&rest);
	if (first.len == 0 || second.len == 0)
		return a; /* a path, or nonsense */
	if (rest.len == 0 && equals(town_role(first), SPAN("deacon"))) {
		if (third.len == 0 && equals(second, SPAN("boot")))
			return of_town(SPAN("boot"));
		if (third.len > 0 && equals(second, SPAN("dogs")))
			return of_dog(third, arena);
	}
	if (equals(first, SPAN("dog")) && third.len == 0)
		return (struct agent){ .normal = text, .rig = SPAN(""), .role = SPAN("dog"), .name = second };
	a.rig = first;
	if (third.len > 0 && rest.len == 0) {
		if (equals(second, SPAN("polecats")) || equals(second, SPAN("polecat")))
			a.role = SPAN("polecat");
		else if (equals(second, SPAN("crew")))
			a.role = SPAN("crew");
		if (a.role.len > 0) {
			a.normal = join(arena, first, third);
			a.name = third;
			return a;
		}
	}
	if (third.len == 0) {
		a.name = second;
		if (equals(second, SPAN("witness")))
			a.role = SPAN("witness");
		else if (equals(second, SPAN("refinery")))
			a.role = SPAN("refinery");
		return a;
	}
	a.name = span_of(third.ptr, (size_t)(text.ptr + text.len - third.ptr));
	return a;
}

static struct agent_part part_of(struct span s, struct span text)
{
	bool inside = s.ptr >= text.ptr && s.ptr + s.len <= text.ptr + text.len;

	return (struct agent_part){ inside ? NULL : s.ptr, inside ? (uint8_t)(s.ptr - text.ptr) : 0, (uint8_t)s.len };
}

static atomic_uint_fast64_t n_numbers;

const struct agent_memo_slot *agent_memo_learn(struct agent_memo *m, struct span text, struct arena *arena, struct agent *ret)
{
	struct agent_memo_slot *slot;
	struct agent a = agent_parse(text, arena);
	uint64_t first, last;

	if (text.len < 4 || text.len > AGENT_MEMO_LEN || a.normal.len == 0 || a.normal.len > AGENT_MEMO_LEN) {
		*ret = a;
		return NULL;
	}
	slot = agent_memo_place(m, text, &first, &last);
	slot->replace_other = !slot->replace_other;
	if (!slot->replace_other)
		slot++;
	slot->number = 1 + atomic_fetch_add_explicit(&n_numbers, 1, memory_order_relaxed);
	slot->first = first;
	slot->last = last;
	slot->len = (uint8_t)text.len;
	memcpy(slot->text, text.ptr, text.len);
	memcpy(slot->normal_text, a.normal.ptr, a.normal.len);
	slot->normal = part_of(span_equal(a.normal, text) ? text : span_of(slot->normal_text, a.normal.len), text);
	slot->rig = part_of(a.rig, text);
	slot->role = part_of(a.role, text);
	slot->name = part_of(a.name, text);
	return slot;
}

static inline void add_text(struct event *e, field_id f, struct span text)
{
	if (text.len > 0)
		event_add(e, f, text, VALUE_STRING);
}

void agent_add(struct event *e, struct span text)
{
	struct agent a = agent_parse(text, &e->arena);

	add_text(e, FIELD_AGENT, a.normal);
	add_text(e, FIELD_AGENT_RAW, text);
	add_text(e, FIELD_RIG, a.rig);
	add_text(e, FIELD_ROLE, a.role);
	add_text(e, FIELD_NAME, a.name);
}

struct span nudge_sender(struct span message)
{
	const char *close;

	if (!span_starts_with(message, SPAN("[from ")))
		return SPAN("");
	message = span_from(message, 6);
	close = message.len ? memchr(message.ptr, ']', message.len) : NULL;
	return close ? span_of(message.ptr, (size_t)(close - message.ptr)) : SPAN("");
}

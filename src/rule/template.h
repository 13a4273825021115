/*
 * template.h: texts with {{placeholders}} in summaries and commands. A template is one word: whatever a placeholder's value
 * holds, it stays one word.
 *
 * Placeholders: {{field}} of the newest evidence · {{key.NAME}} · {{count}} events behind the incident ·
 * {{value}} the correlation's value now · {{condition}} · {{top.FIELD}} "14 × prajna/witness, 7 × mayor" · {{values.FIELD}} the distinct values, "a, b" ·
 * {{opened}} {{first}} {{last}} {{now}} times, RFC 3339 · {{duration}} since it opened · {{id}} {{rule}} {{title}} {{level}} {{state}} {{summary}}.
 * "{{{{" stands for "{{".
 */
#ifndef TOCSIN_RULE_TEMPLATE_H
#define TOCSIN_RULE_TEMPLATE_H

#include "base/arena.h"
#include "base/buffer.h"
#include "record/field.h"

enum template_ref {
	REF_TEXT, /* literal */
	REF_FIELD, REF_KEY, REF_TOP, REF_VALUES,
	REF_COUNT, REF_VALUE, REF_CONDITION, REF_OPENED, REF_FIRST, REF_LAST, REF_NOW, REF_DURATION,
	REF_ID, REF_RULE, REF_TITLE, REF_LEVEL, REF_STATE, REF_SUMMARY,
};

struct template_piece {
	enum template_ref ref;
	struct span text;   /* REF_TEXT */
	field_id field;     /* REF_FIELD, REF_TOP, REF_VALUES */
	uint32_t key_index; /* REF_KEY: index into the correlation's keys */
};

struct template {
	const struct template_piece *pieces;
	uint32_t n_pieces;
	struct span source; /* as written */
};

/*
 * Appends the value of a reference to out; false when there is none (the field is absent).
 * Implemented by the engine for the incident at hand.
 */
typedef bool template_lookup(void *context, const struct template_piece *piece, struct buffer *out);

/*
 * Renders for people: absent values read "?". Returns the number of absent ones.
 */
unsigned template_render(const struct template *t, template_lookup *lookup, void *context, struct buffer *out);

enum word_result {
	WORD_OK,
	WORD_ABSENT, /* a placeholder has no value */
	WORD_OPTION, /* its text would begin with "-" though the template does not */
	WORD_NUL,    /* it would hold a NUL */
	WORD_EMPTY,  /* it has placeholders and came out empty */
	WORD_LONG,   /* longer than 128 KiB, the kernel's limit for one argument */
};
/* Renders one word of a command; anything but WORD_OK: the command must not be emitted. */
enum word_result template_render_word(const struct template *t, template_lookup *lookup, void *context, struct buffer *out);
const char *word_result_text(enum word_result r);

#endif

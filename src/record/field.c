/*
 * field.c: the table of field names. The built-in names come first and in the order of the enumeration, so that
 * FIELD_TYPE is a number known to the compiler; nothing is ever removed or renumbered.
 */
#include "record/field.h"

static const struct {
	const char *name, *description;
} builtin[FIELD_BUILTIN_COUNT] = {
#define X(constant, name, description) { name, description },
	BUILTIN_FIELDS(X)
#undef X
};

void field_table_init(struct field_table *t)
{
	*t = (struct field_table){ MAP_INIT, false };
	for (size_t i = 0; i < FIELD_BUILTIN_COUNT; i++)
		map_add(&t->names, span_from_string(builtin[i].name), NULL)->value.number = i;
}

void field_table_release(struct field_table *t)
{
	map_release(&t->names);
}

field_id field_find(const struct field_table *t, struct span name)
{
	const struct map_entry *e = map_find(&t->names, name);

	return e ? (field_id)e->value.number : FIELD_NONE;
}

field_id field_add(struct field_table *t, struct span name)
{
	field_id f = field_find(t, name);

	if (f != FIELD_NONE || t->names.n >= FIELD_LIMIT)
		return f;
	f = (field_id)t->names.n;
	map_add(&t->names, name, NULL)->value.number = f;
	return f;
}

struct span field_name(const struct field_table *t, field_id f)
{
	return f < t->names.n ? t->names.entries[f]->key : SPAN("");
}

const char *field_description(field_id f)
{
	return f < FIELD_BUILTIN_COUNT ? builtin[f].description : NULL;
}

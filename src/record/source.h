/*
 * source.h: a source is a name with a format and a zone: "town", "events", … or one that a
 * `source:` document of a rules file defines. Several streams (files in rotation) may be of one source.
 */
#ifndef TOCSIN_RECORD_SOURCE_H
#define TOCSIN_RECORD_SOURCE_H

#include "base/diag.h"
#include "base/timestamp.h"
#include "record/event.h"

/* In the order in which events with equal stamps are taken. */
enum format {
	FORMAT_TOWN,
	FORMAT_EVENTS,
	FORMAT_DAEMON,
	FORMAT_OVERSEER,
	FORMAT_GUARDIAN,
	FORMAT_PS,
	FORMAT_SYSLOG,
	FORMAT_JSON,
	FORMAT_TEXT,
	FORMAT_PATTERN,  /* defined by a source: document */
	FORMAT_INCIDENT, /* made by the engine; never read */
};
#define FORMAT_COUNT (FORMAT_INCIDENT + 1)

const char *format_name(enum format f);

/* A `source:` document, compiled. Keys: see tocsin-rules(5). */
struct source_pattern; /* PCRE2 code and its groups' fields; record/pattern.h */

struct source {
	const char *name;
	enum format format;
	uint32_t rank;           /* order among events of equal stamp: built-in formats first, then as defined */
	const struct zone *zone; /* for stamps without one; NULL: the run's default */
	/* What Sigma's logsource must say to pick it; NULL: anything. Built-in: product gastown, service = name. */
	const char *category, *product, *service;
	struct source_pattern *pattern; /* FORMAT_PATTERN only */
	const char *const *file_globs;  /* names (fnmatch) that are of this source; ends in NULL; may be NULL */
};

/* The built-in sources, in rank order; *ret_n of them. */
const struct source *builtin_sources(size_t *ret_n);

/*
 * The source of a file by its name (basename; also dir/name tails such as "daemon/x.log"), among built-in ones and `extra`
 * (may be NULL). Rotation and compression suffixes (.1 .2.gz -20260217.zst -2026-02-28T10-00-00.000.log.gz) do not matter.
 */
const struct source *source_from_path(const char *path, const struct source *const *extra, size_t n_extra);
/* The source by what the first lines look like; NULL when nothing fits well enough. */
const struct source *source_from_content(struct span first_bytes, const struct source *const *extra, size_t n_extra);

/*
 * Compiles a source: document's pattern; fields are added to the table. Errors go to diags with file:line:column (those of the
 * pattern's YAML value). start (may be NULL): a regex a record's first line matches; other lines continue it.
 */
struct source_pattern *source_pattern_new(struct span regex, const char *start_regex, const char *time_field,
					  const char *time_pattern, struct field_table *fields, struct diag_list *diags,
					  const char *file, int line, int column);
void source_pattern_free(struct source_pattern *p);

#endif

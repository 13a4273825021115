/*
 * ruleset.h: all loaded rules, checked and compiled; const from then on (the plan). What changes while logs are
 * read (the state) is the engine's.
 *
 * One arena holds everything. Rules refer to each other by index; a rule's inputs always have smaller
 * indexes (topological order), so that one pass in index order evaluates chains.
 * Sources: Sigma specification 2.1 (rules, correlation rules 2.0.2 and 2.2's extended temporal conditions, filters 2.0).
 */
#ifndef TOCSIN_RULE_RULESET_H
#define TOCSIN_RULE_RULESET_H

#include "record/source.h"
#include "rule/expr.h"
#include "rule/template.h"

enum level { LEVEL_INFORMATIONAL, LEVEL_LOW, LEVEL_MEDIUM, LEVEL_HIGH, LEVEL_CRITICAL };
const char *level_name(enum level l);
bool level_from_name(struct span name, enum level *ret);

enum incident_state { INCIDENT_OPEN, INCIDENT_UPDATE, INCIDENT_RESOLVED };
#define INCIDENT_STATE_COUNT 3
const char *incident_state_name(enum incident_state s);

struct logsource {
	const char *category, *product, *service; /* NULL: any */
};

enum correlation_type {
	CORRELATION_EVENT_COUNT,
	CORRELATION_VALUE_COUNT,
	CORRELATION_VALUE_SUM,
	CORRELATION_VALUE_AVG,
	CORRELATION_VALUE_PERCENTILE,
	CORRELATION_VALUE_MIN,
	CORRELATION_VALUE_MAX,
	CORRELATION_TEMPORAL,
	CORRELATION_TEMPORAL_ORDERED,
	CORRELATION_SUSTAINED,  /* tocsin's */
	CORRELATION_CONCURRENT, /* tocsin's */
};
const char *correlation_type_name(enum correlation_type t);

enum bound_op { BOUND_GT, BOUND_GTE, BOUND_LT, BOUND_LTE, BOUND_EQ, BOUND_NEQ };
struct bound {
	enum bound_op op;
	double value;
};

/* The extended temporal condition: a boolean expression over the inputs. */
struct presence {
	enum { PRESENCE_INPUT, PRESENCE_NOT, PRESENCE_AND, PRESENCE_OR } op;
	uint32_t input; /* index into correlation.inputs */
	const struct presence **children;
	uint32_t n_children;
};

#define TEMPORAL_INPUTS_MAX 64 /* the engine has a bit for each that it has seen */
struct correlation_input {
	uint32_t rule;         /* index into ruleset.rules */
	const field_id *keys;  /* n_keys fields, aliases resolved for this input */
	bool negated;          /* only stands under `not` in the condition: it is waited for, not counted */
	bool after;            /* negated, temporal_ordered: stands after the last positive input (wait for it);
	                          else it must not have been before. temporal: both (and this is true). */
};

/* A way in which a temporal_ordered correlation becomes complete: these inputs, one after the other. */
struct chain {
	uint64_t inputs;     /* bits */
	uint32_t first_slot; /* its steps are slots of a cell from here on */
};

struct correlation {
	enum correlation_type type;
	struct correlation_input *inputs;
	uint32_t n_inputs;
	const char **keys; /* names of group-by, as written */
	uint32_t n_keys;
	int64_t timespan_ns;
	int64_t max_gap_ns;            /* sustained; default: timespan */
	struct bound *bounds;          /* all must hold */
	uint32_t n_bounds;
	const char *condition_text;    /* "gt 5"; the extended condition as written */
	field_id *value_fields;        /* value_*, concurrent: the condition's field(s); several: distinct tuples */
	uint32_t n_value_fields;
	double percentile;             /* value_percentile: 0..100; default 50 */
	const struct presence *presence; /* extended temporal condition; NULL: all inputs (or bounds on how many) */
	const struct chain *chains;    /* temporal_ordered, where some inputs will do without others; NULL: all that are not negated are one */
	uint32_t n_chains;
	uint32_t n_slots;              /* temporal: that a cell needs: one an input, and one a step of each chain */
	bool has_negation;
};

#define UPDATE_EVERY_DEFAULT_NS (15 * 60 * NS_PER_SECOND)
#define RESOLVE_AFTER_DETECTION_NS (10 * 60 * NS_PER_SECOND) /* default for rules on single events */
#define DURATION_NEVER INT64_MAX

struct incident_plan {
	struct template summary;   /* default: the title */
	int64_t resolve_after_ns;  /* default: the timespan; sustained, concurrent: 0 */
	int64_t update_every_ns;   /* 0: at every evidence; DURATION_NEVER */
	const uint32_t *inhibited_by; /* rules */
	uint32_t n_inhibited_by;
};

struct command {
	const struct template *words;
	uint32_t n_words;
	int line, column;
};

struct response_plan {
	struct command *commands[INCIDENT_STATE_COUNT];
	uint32_t n_commands[INCIDENT_STATE_COUNT];
};

enum rule_kind { RULE_DETECTION, RULE_CORRELATION };

struct rule {
	uint32_t index;
	enum rule_kind kind;
	const char *name;   /* how others refer to it and incidents name it: `name`, else `id`, else made from the title */
	const char *id, *title, *description, *status; /* NULL where absent, but for title */
	enum level level;   /* default medium */
	const char *file;
	int line;           /* of its document's first key */
	bool alerts;        /* it opens incidents: no correlation refers to it, or generate: true, or it has incident: or response: of its own */
	struct logsource logsource;            /* detection */
	bool about_incidents;                  /* logsource is product gastown, service incident; see rule_sees_incidents */
	const struct expr *expr;               /* detection; filters already joined in */
	const struct correlation *correlation; /* correlation */
	struct incident_plan incident;
	struct response_plan response;
	const char *const *tags, *const *references, *const *falsepositives; /* end in NULL; may be NULL */
	uint64_t digest;    /* of all that its state depends on (what it matches, its correlation, those of its inputs), and of nothing else:
	                       neither texts nor commands, nor other rules. State saved under another digest is not this rule's. */
};

struct ruleset {
	struct arena arena;
	struct field_table fields;
	struct rule *rules;
	uint32_t n_rules;
	struct atom *atoms;
	uint32_t n_atoms;
	const struct source **sources; /* those of source: documents */
	size_t n_sources;
	const field_id *top_fields;    /* what is counted for `top`: agent, rig, pid, and every {{top.X}}, {{values.X}} */
	uint32_t n_top_fields;
	uint64_t digest;               /* of all rule files' bytes */
};

/*
 * Loads rule files, and directories (their *.yml and *.yaml, sorted by path, recursively; names that end in _test.yml are left out). Everything wrong is added to diags: all at
 * once, not the first only. Returns NULL when there were errors (not for warnings).
 * lint: also add warnings about doubtful but valid rules.
 */
struct ruleset *ruleset_load(char *const *paths, size_t n_paths, bool lint, struct diag_list *diags);
/* The same from memory; name is for messages. For tests and fuzzing. */
struct ruleset *ruleset_load_text(struct span text, const char *name, bool lint, struct diag_list *diags);
void ruleset_free(struct ruleset *rs);

/* NULL when there is none; by name or id. */
const struct rule *ruleset_find(const struct ruleset *rs, const char *name_or_id);
/*
 * Does a detection look at events of this source? product gastown: service must be the source's name (absent: any gastown
 * source). Another product, or none: sources whose logsource says the same; where a source has none of its own (json, syslog, text): any.
 */
bool rule_applies(const struct rule *r, const struct source *s);
/*
 * A rule about incidents sees those of the rules before it only. The order is such that these are all but the ones that depend on it, itself, and, of
 * several rules about incidents that do not name each other, those loaded later. So no incident can feed itself.
 */
static inline bool rule_sees_incidents(const struct rule *about, const struct rule *of)
{
	return about->about_incidents && of->index < about->index;
}

#endif

/*
 * test_file.h: unit tests of rules, as a file says them: tocsin-test(5). In two steps, as what a test names is known only
 * when its rules are loaded:
 *
 *	text ── test_file_parse() ──> which rules it is about ── ruleset_load() ──> test_file_compile() ──> tests
 *
 * A test is the lines of some logs, in the order of their time, and what must follow from them. Everything knows where
 * it stands, for messages. Nothing here runs a test; test_run.h does.
 */
#ifndef TOCSIN_TEST_FILE_H
#define TOCSIN_TEST_FILE_H

#include "rule/ruleset.h"
#include "rule/yaml.h"

/* Input that a file may unfold to, in lines and bytes of one test. */
#define TEST_LINES_MAX 100000
#define TEST_BYTES_MAX ((size_t)32 << 20)

/* A line of input; each log gets its own in this order. */
struct test_line {
	uint32_t log;        /* index into test_case.logs */
	int64_t time_ns;     /* its stamp, or that of the line before it */
	struct span text;    /* with its newline */
};

struct test_log {
	const char *name;    /* of the source: a test has one log of each */
	const struct source *source;
	int64_t mtime_ns;    /* what stamps without a year, or lines without any, fall back on */
};

/* How a text is compared: as Sigma's modifiers say. */
enum text_match { MATCH_EQUAL, MATCH_CONTAINS, MATCH_STARTSWITH, MATCH_ENDSWITH };
struct test_text {
	struct span name;    /* of a key or field; empty where there is only one */
	struct span text;
	enum text_match how;
};

struct test_count {
	struct span value;
	uint64_t count;
};
struct test_top {
	struct span field;
	struct test_count *values;
	uint32_t n;
};

enum quantity { QUANTITY_ONE, QUANTITY_EXACTLY, QUANTITY_AT_LEAST };

/* A state change that must come, or must not: only what is written is compared. */
struct test_expectation {
	int line;                   /* where it stands in the file */
	const struct rule *rule;
	enum incident_state state;
	bool any_state;             /* expect_never: none of the states */
	enum quantity quantity;
	uint64_t quantity_n;
	int64_t at_ns, opened_ns, first_ns, last_ns; /* TIME_NONE: not written */
	bool has_level, has_count, has_value;
	enum level level;
	uint64_t count;
	double value;
	struct test_text *summary;  /* n_summary; all must hold */
	uint32_t n_summary;
	struct test_text *key, *fields;
	uint32_t n_key, n_fields;
	struct test_top *top;
	uint32_t n_top;
	const struct span **commands; /* words of each, ending with ptr NULL */
	uint32_t n_commands;
	bool has_commands;          /* else they are not compared */
};

struct test_case {
	const char *name;
	int line;
	const struct zone *zone;
	int64_t start_ns;
	int64_t advance_ns;         /* time runs on to there; TIME_NONE: to the last stamp */
	int64_t lateness_ns;
	bool allow_other;           /* incidents of rules that no expectation names do no harm */
	struct test_log *logs;
	uint32_t n_logs;
	struct test_line *lines;
	uint32_t n_lines;
	struct test_expectation *expect, *never;
	uint32_t n_expect, n_never;
	const struct rule **undetermined; /* rules that must say that they could not judge an absence */
	uint32_t n_undetermined;
};

struct test_file {
	struct arena arena;
	const char *name;
	const struct yaml_file *yaml;
	const struct yaml_node *document; /* NULL: it has an error */
	char **rules;                     /* files and directories, relative to the working directory; ends in NULL */
	uint32_t n_rules;
	struct test_case *tests;
	uint32_t n_tests;
};

/* text must outlive it. Never NULL; errors are in diags. */
struct test_file *test_file_parse(struct span text, const char *name, struct diag_list *diags);
/* Fills tests. False with diagnostics; then only what had no error is there. rs must outlive the tests. */
bool test_file_compile(struct test_file *f, const struct ruleset *rs, struct diag_list *diags);
void test_file_free(struct test_file *f);

/* "12m5s", "-3s": a time as a test writes it, after its start. */
void test_time_format(struct buffer *out, const struct test_case *t, int64_t time_ns);

#endif

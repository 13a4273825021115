/*
 * test_rule_template.c: texts with placeholders, rendered for people and as words of commands. The values are hostile.
 */
#include "test_rule.h"

/* Every field is `value`; a NULL pointer: absent. */
struct fake {
	struct span value;
	bool absent;
};

static bool look_up(void *context, const struct template_piece *piece, struct buffer *out)
{
	const struct fake *f = context;

	if (piece->ref == REF_COUNT) {
		buffer_append_string(out, "6");
		return true;
	}
	if (f->absent) {
		/* What was appended before the absence was noticed must not stay. */
		buffer_append_string(out, "rubbish");
		return false;
	}
	buffer_append_span(out, f->value);
	return true;
}

/* The template of a rule whose summary is this. */
static struct ruleset *with_text(const char *text, struct template *ret)
{
	struct buffer b = BUFFER_INIT;
	struct ruleset *rs;

	buffer_printf(&b,
		      "title: t\nlogsource: {product: gastown, service: town}\n"
		      "detection: {s: {type: kill}, condition: s}\nresponse: {open: [[x, %s]]}\n",
		      text);
	rs = load(buffer_string(&b));
	buffer_release(&b);
	*ret = rs->rules[0].response.commands[INCIDENT_OPEN][0].words[1];
	return rs;
}

static const struct {
	const char *text, *value; /* value NULL: absent */
	size_t value_len;         /* 0: strlen */
	const char *rendered;
	enum word_result result;
	const char *word;
} cases[] = {
	{ "plain", "v", 0, "plain", WORD_OK, "plain" },
	{ "'{{agent}}'", "mayor", 0, "mayor", WORD_OK, "mayor" },
	{ "'{{ agent }}'", "mayor", 0, "mayor", WORD_OK, "mayor" },
	{ "'a {{agent}} b {{count}}'", "$(rm) 'x' \"y\"", 0, "a $(rm) 'x' \"y\" b 6", WORD_OK, "a $(rm) 'x' \"y\" b 6" },
	{ "'{{agent}}{{rig}}'", "x y\n", 0, "x y\nx y\n", WORD_OK, "x y\nx y\n" },
	{ "'{{{{x}} {{agent}}'", "v", 0, "{{x}} v", WORD_OK, "{{x}} v" },
	{ "'{x} }} { '", "v", 0, "{x} }} { ", WORD_OK, "{x} }} { " },
	{ "'{{agent}}'", NULL, 0, "?", WORD_ABSENT, "" },
	{ "'a{{agent}}{{rig}}'", NULL, 0, "a??", WORD_ABSENT, "" },
	{ "'{{agent}}'", "-rf", 0, "-rf", WORD_OPTION, "" },
	{ "'{{agent}}'", "--", 0, "--", WORD_OPTION, "" },
	{ "'{{agent}}'", "", 0, "", WORD_EMPTY, "" },
	{ "'--x={{agent}}'", "-rf", 0, "--x=-rf", WORD_OK, "--x=-rf" },
	{ "'--x={{agent}}'", "", 0, "--x=", WORD_OK, "--x=" },
	{ "'-{{agent}}'", "rf", 0, "-rf", WORD_OK, "-rf" },
	{ "'x{{agent}}'", "-rf", 0, "x-rf", WORD_OK, "x-rf" },
	{ "'{{agent}}'", "a\0b", 3, NULL, WORD_NUL, "" },
	{ "'{{agent}}'", "\0", 1, NULL, WORD_NUL, "" },
	{ "''", "v", 0, "", WORD_OK, "" },
	{ "--", "v", 0, "--", WORD_OK, "--" },
};

START_TEST(renders)
{
	struct fake f = { span_from_string(cases[_i].value), !cases[_i].value };
	struct template t;
	struct ruleset *rs = with_text(cases[_i].text, &t);
	struct buffer out = BUFFER_INIT;

	if (cases[_i].value_len)
		f.value.len = cases[_i].value_len;
	buffer_append_string(&out, "before ");
	template_render(&t, look_up, &f, &out);
	if (cases[_i].rendered)
		ck_assert_str_eq(buffer_string(&out) + 7, cases[_i].rendered);
	buffer_clear(&out);
	buffer_append_string(&out, "before ");
	ck_assert_int_eq(template_render_word(&t, look_up, &f, &out), cases[_i].result);
	ck_assert_str_eq(buffer_string(&out) + 7, cases[_i].word);
	buffer_release(&out);
	ruleset_free(rs);
}
END_TEST

START_TEST(absent_values_are_counted)
{
	struct fake f = { { "", 0 }, true };
	struct template t;
	struct ruleset *rs = with_text("'{{agent}} {{rig}} {{count}}'", &t);
	struct buffer out = BUFFER_INIT;

	ck_assert_uint_eq(template_render(&t, look_up, &f, &out), 2);
	ck_assert_str_eq(buffer_string(&out), "? ? 6");
	buffer_release(&out);
	ruleset_free(rs);
}
END_TEST

/* The kernel takes words of less than 128 KiB, the NUL behind them included. */
START_TEST(long_words_are_refused)
{
	static char text[(128 << 10) + 1];
	struct fake f = { { text, sizeof text - 2 }, false };
	struct template t;
	struct ruleset *rs = with_text("'{{agent}}'", &t);
	struct buffer out = BUFFER_INIT;

	memset(text, 'x', sizeof text);
	ck_assert_int_eq(template_render_word(&t, look_up, &f, &out), WORD_OK);
	ck_assert_uint_eq(out.len, (128 << 10) - 1);
	buffer_clear(&out);
	f.value.len++;
	ck_assert_int_eq(template_render_word(&t, look_up, &f, &out), WORD_LONG);
	ck_assert_uint_eq(out.len, 0);
	buffer_release(&out);
	ruleset_free(rs);
}
END_TEST

START_TEST(every_result_has_a_text)
{
	for (int r = WORD_OK; r <= WORD_LONG; r++)
		ck_assert_int_gt(strlen(word_result_text((enum word_result)r)), 0);
}
END_TEST

TCase *template_tests(void)
{
	TCase *c = tcase_create("template");

	tcase_set_timeout(c, 60);
	tcase_add_loop_test(c, renders, 0, COUNT(cases));
	tcase_add_test(c, absent_values_are_counted);
	tcase_add_test(c, long_words_are_refused);
	tcase_add_test(c, every_result_has_a_text);
	return c;
}

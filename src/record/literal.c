/*
 * literal.c: what a record must hold, byte for byte, when a field of its event holds a text: the bridge from rules to the
 * prefilter. The promise may be too weak, never too strong: a field is named here only when its parser
 * takes it from the record unchanged (or the record has a backslash, or ESC, and says so by RECORD_ESCAPED).
 *
 * Not promised, ever: text with a newline or CR (the parser removes CRs), the empty text, a whole value that is a number
 * (4 also equals 4.0 and 0x4), and, but in the record itself, text with quotes, backslashes or control characters: an escape may
 * stand for them.
 */
#include "record/decoder.h"
#include "record/literal.h"

/* Rewritten, counted, or from elsewhere than the record. */
static bool is_derived(field_id f)
{
	switch (f) {
	case FIELD_TIME:
	case FIELD_SOURCE:
	case FIELD_FILE:
	case FIELD_LINE:
	case FIELD_AGENT:
	case FIELD_ROLE:
	case FIELD_NAME:
	case FIELD_TARGET:
	case FIELD_FROM:
	case FIELD_RUNTIME:
	case FIELD_ELAPSED:
	case FIELD_CPUTIME:
	case FIELD_CPU_NOW:
	case FIELD_STARTED:
		return true;
	default:
		return false;
	}
}

static bool may_be_escaped(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == '"' || text.ptr[i] == '\\')
			return true;
	return false;
}

bool format_literal(enum format f, field_id field, struct span field_name, struct span text, bool whole, struct buffer *out)
{
	double number;

	if (field != FIELD_RAW && may_be_escaped(text))
		return false;
	if (text.len == 0 || memchr(text.ptr, '\n', text.len) || memchr(text.ptr, '\r', text.len) || is_derived(field) ||
	    (whole && span_to_number(text, &number)))
		return false;
	switch (f) {
	case FORMAT_TOWN:
		if (field >= FIELD_BUILTIN_COUNT)
			return false;
		if (field == FIELD_TYPE && whole) {
			buffer_append_char(out, '[');
			buffer_append_span(out, text);
			buffer_append_string(out, "] ");
			return true;
		}
		break;
	case FORMAT_DAEMON:
		/* agent_raw may be put together of a rig and a role. */
		if (field >= FIELD_BUILTIN_COUNT || field == FIELD_AGENT_RAW)
			return false;
		if (field == FIELD_TYPE) {
			text = whole ? daemon_type_literal(text) : SPAN("");
			if (text.len == 0)
				return false;
		}
		break;
	case FORMAT_OVERSEER:
	case FORMAT_GUARDIAN:
	case FORMAT_TEXT:
	case FORMAT_SYSLOG:
		/* The type is a word of ours. Other names than the built-in ones come from JSON lines only, as they stand there. */
		if (field == FIELD_TYPE || span_equal(field_name, SPAN("age")))
			return false;
		break;
	case FORMAT_EVENTS:
	case FORMAT_JSON:
	case FORMAT_PATTERN:
		break;
	case FORMAT_PS:
	case FORMAT_INCIDENT:
		return false;
	}
	buffer_append_span(out, text);
	return true;
}

bool format_has_json(enum format f)
{
	return f == FORMAT_JSON || f == FORMAT_EVENTS || f == FORMAT_TEXT;
}

bool format_key(enum format f, struct format_key *ret)
{
	if (f != FORMAT_TOWN)
		return false;
	*ret = (struct format_key){ FIELD_TYPE, STAMPED_LENGTH + 2, SPAN(" ["), SPAN("] ") };
	return true;
}

bool format_beginning(enum format f, struct span key, field_id field, struct span text, struct buffer *out)
{
	struct span lead = f == FORMAT_TOWN ? town_beginning(key, field) : SPAN("");

	/* What stands at the end of a line may be stripped from it: blanks, and one bracket that closes. */
	if (lead.len == 0 || text.len == 0 || may_be_escaped(text) || text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == ')')
		return false;
	buffer_append_span(out, lead);
	buffer_append_span(out, text);
	return true;
}

/* The normal form of an agent ends with what the name as written does (agent.c). */
struct span format_word_end(enum format f, struct span key, field_id field, struct span text, struct span *ret_behind)
{
	const char *slash = text.len ? memrchr(text.ptr, '/', text.len) : NULL;

	if (f != FORMAT_TOWN || field != FIELD_AGENT)
		return SPAN("");
	*ret_behind = town_behind_agent(key);
	return slash ? span_from(text, (size_t)(slash - text.ptr) + 1) : text;
}

struct span format_lead(enum format f, struct span key, field_id field)
{
	return f == FORMAT_TOWN ? town_lead(key, field) : SPAN("");
}

/*
 * quote.h: making hostile bytes safe for a shell, a JSON reader and a terminal.
 */
#ifndef TOCSIN_BASE_QUOTE_H
#define TOCSIN_BASE_QUOTE_H

#include "base/buffer.h"

/*
 * One POSIX shell word (XCU 2.2). Words of [A-Za-z0-9_@%+=:,./-] only, not empty, stand as they are
 * (a leading "=" or "~" excepted); all others in single quotes, ' as '\''. The word must hold no NUL.
 */
void quote_shell(struct buffer *out, struct span word);
/*
 * A JSON string with its quotes (RFC 8259). Invalid UTF-8 becomes U+FFFD, one for each maximal
 * subpart; control characters are escaped; DEL and C1 (U+007F..U+009F) too, so that a terminal is safe.
 */
void quote_json(struct buffer *out, struct span text);
/*
 * For a terminal: C0 controls, DEL and C1 as ^X or \xNN, invalid UTF-8 as \xNN; bidirectional
 * overrides (U+202A..U+202E, U+2066..U+2069) as \u{NNNN}. Newlines become "\n" visibly. The rest as it is.
 */
void quote_terminal(struct buffer *out, struct span text);
/* The first `limit` bytes of it, with "…" where that is not all. */
void quote_terminal_cut(struct buffer *out, struct span text, size_t limit);
/* Length of the valid UTF-8 sequence at p (1..4), 0 when invalid or cut; len > 0. */
size_t utf8_sequence(const char *p, size_t len);
/* s cut to at most `limit` bytes, never inside a character. */
struct span utf8_cut(struct span s, size_t limit);

#endif

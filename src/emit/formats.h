/*
 * formats.h: the formats behind emit_change(), one function a file. Private to emit/.
 * Each appends what it has to say about one state change to out, whole lines only.
 */
#ifndef TOCSIN_EMIT_FORMATS_H
#define TOCSIN_EMIT_FORMATS_H

#include "emit/emitter.h"

void emit_text(struct buffer *out, const struct emit_options *o, const struct change *c);
void emit_jsonl(struct buffer *out, const struct emit_options *o, const struct change *c);
void emit_commands(struct buffer *out, const struct change *c);
void emit_gt(struct buffer *out, const struct change *c);

/*
 * One command (a list of words that ends with a word whose ptr is NULL) as a POSIX shell command, without a newline.
 * Returns false, and appends nothing, when it has no words or one of them holds a NUL.
 */
bool emit_command(struct buffer *out, const struct span *words);

#endif

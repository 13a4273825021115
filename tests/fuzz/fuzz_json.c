/*
 * fuzz_json.c: the JSON scanner over any bytes: it ends, stays within the text, and resolves every escape it let pass.
 */
#include "record/json.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct json_scanner s;
	struct json_leaf leaf;
	struct arena arena = ARENA_INIT;
	size_t leaves = 0;

	json_scan(&s, span_of((const char *)data, size));
	while (json_next(&s, &leaf) == JSON_LEAF) {
		struct span text = json_leaf_text(&leaf, &arena);

		if (text.len > size || leaf.name.len > JSON_NAME_LIMIT || ++leaves > size || leaf.depth > JSON_DEPTH_LIMIT)
			abort();
	}
	arena_release(&arena);
	return 0;
}

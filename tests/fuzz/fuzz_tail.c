/*
 * fuzz_tail.c: a position that may be any bytes, loaded over a log that may be any bytes. What loads must save and load again as the same; and
 * reading from there comes to an end, gives no byte that is not in the file, and leaves a position behind at which nothing more comes.
 * The first two bytes of an input say how long the position is.
 */
#include "base/buffer.h"
#include "base/memory.h"
#include "input/tail.h"
#include "input/unpack.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
	if (!condition)
		abort();
}

static char directory[] = "/tmp/fuzz_tail.XXXXXX", path[64];

static void leave(void)
{
	unlink(path);
	rmdir(directory);
}

static void store(struct span text)
{
	if (!*path) {
		must(mkdtemp(directory) != NULL);
		snprintf(path, sizeof path, "%s/town.log", directory);
		atexit(leave);
	}
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	must(fd >= 0 && write(fd, text.ptr, text.len) == (ssize_t)text.len);
	close(fd);
}

static const struct read_means means = { .block_bytes = 8192, .blocks_ahead = 1 };

/* Returns how many bytes came. */
static size_t read_all(struct tail *t, struct span text, struct diag_list *diags)
{
	struct block block = BLOCK_INIT;
	size_t total = 0, n;

	for (int steps = 0;; steps++) {
		must(steps < 10000);
		enum tail_step step = tail_read(t, &block, &n, diags);
		if (step == TAIL_AT_END)
			break;
		must((step == TAIL_BYTES) == (n > 0));
		must(block.len == n);
		must(n == 0 || memmem(text.ptr, text.len, block_span(&block).ptr, n));
		total += n;
		block_clear(&block);
	}
	block_release(&block);
	return total;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct stream_file file = { .path = path, .shown = path };
	struct stream stream = { .log_path = path, .files = &file, .n_files = 1 };
	struct buffer first = BUFFER_INIT, second = BUFFER_INIT;
	struct diag_list diags = DIAG_LIST_INIT;

	if (size < 2)
		return 0;
	size_t n = (size_t)data[0] | (size_t)data[1] << 8;
	if (n > size - 2)
		n = size - 2;
	const char *at = (const char *)data + 2;
	struct span text = span_of(at + n, size - 2 - n);
	bool undecided, packed = compression_recognise(text, &undecided) != COMPRESSION_NONE;

	store(text);
	struct codec_reader in = { at, at + n, false };
	struct tail *t = tail_new(&stream, TAIL_RESUME, &means);
	if (tail_load(t, &in)) {
		tail_save(t, &first);
		struct codec_reader again = { first.data, first.data + first.len, false };
		struct tail *u = tail_new(&stream, TAIL_RESUME, &means);
		must(tail_load(u, &again) && again.ptr == again.end);
		tail_save(u, &second);
		must(span_equal(buffer_span(&first), buffer_span(&second)));
		tail_free(u);
		if (!packed) {
			must(read_all(t, text, &diags) <= text.len);
			must(read_all(t, text, &diags) == 0);
			/* What was read stays read. */
			buffer_clear(&second);
			tail_save(t, &second);
			u = tail_new(&stream, TAIL_RESUME, &means);
			again = (struct codec_reader){ second.data, second.data + second.len, false };
			must(tail_load(u, &again) && read_all(u, text, &diags) == 0);
			tail_free(u);
		}
	}
	tail_free(t);
	buffer_release(&first);
	buffer_release(&second);
	diag_list_release(&diags);
	return 0;
}

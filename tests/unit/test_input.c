/*
 * test_input.c: unpacking, reading and headers. Archives are made here with the
 * libraries themselves. Which files are read is tested in test_input_stream.c.
 */
#include "test_input.h"
#include "base/buffer.h"
#include "base/memory.h"
#include "input/headers.h"
#include "input/reader.h"
#include <errno.h>
#include <fcntl.h>
#include <lzma.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#define COUNT(table) (sizeof(table) / sizeof *(table))

/* Making archives */

static uint64_t next_random(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *state >> 33;
}

static void make_text(struct buffer *b, size_t len, uint64_t seed)
{
	while (b->len < len)
		buffer_printf(b, "2026-01-22 %02u:%02u:%02u [kill] rig/polecats/p%u killed (%x)\n",
			      (unsigned)next_random(&seed) % 24, (unsigned)next_random(&seed) % 60,
			      (unsigned)next_random(&seed) % 60, (unsigned)next_random(&seed) % 30,
			      (unsigned)next_random(&seed));
	b->len = len;
}

static void make_noise(struct buffer *b, size_t len, uint64_t seed)
{
	while (b->len < len)
		buffer_append_char(b, (char)next_random(&seed));
}

static void add_gzip(struct buffer *archive, struct span text, gz_header *header)
{
	z_stream z = { .zalloc = NULL };

	ck_assert_int_eq(deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
	if (header)
		ck_assert_int_eq(deflateSetHeader(&z, header), Z_OK);
	buffer_reserve(archive, deflateBound(&z, text.len) + 1000);
	z.next_in = (Bytef *)(uintptr_t)text.ptr;
	z.avail_in = (uInt)text.len;
	z.next_out = (Bytef *)archive->data + archive->len;
	z.avail_out = (uInt)(archive->cap - archive->len);
	ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
	archive->len = (size_t)((char *)z.next_out - archive->data);
	deflateEnd(&z);
}

static void add_zstd(struct buffer *archive, struct span text)
{
	ZSTD_CCtx *c = ZSTD_createCCtx();
	size_t bound = ZSTD_compressBound(text.len), n;

	ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1);
	buffer_reserve(archive, bound);
	n = ZSTD_compress2(c, archive->data + archive->len, bound, text.ptr, text.len);
	ck_assert(!ZSTD_isError(n));
	archive->len += n;
	ZSTD_freeCCtx(c);
}

static void add_xz(struct buffer *archive, struct span text)
{
	size_t bound = lzma_stream_buffer_bound(text.len), at = 0;

	buffer_reserve(archive, bound);
	ck_assert_int_eq(lzma_easy_buffer_encode(0, LZMA_CHECK_CRC64, NULL, (const uint8_t *)text.ptr, text.len,
						 (uint8_t *)archive->data + archive->len, &at, bound),
			 LZMA_OK);
	archive->len += at;
}

static void add_archive(struct buffer *archive, enum compression c, struct span text)
{
	switch (c) {
	case COMPRESSION_NONE:
		buffer_append_span(archive, text);
		break;
	case COMPRESSION_GZIP:
		add_gzip(archive, text, NULL);
		break;
	case COMPRESSION_ZSTD:
		add_zstd(archive, text);
		break;
	case COMPRESSION_XZ:
		add_xz(archive, text);
		break;
	}
}

static const enum compression compressions[] = { COMPRESSION_GZIP, COMPRESSION_ZSTD, COMPRESSION_XZ };

/* Reading them */

static int memory_file(struct span content)
{
	int fd = memfd_create("test", 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, content.ptr, content.len), (ssize_t)content.len);
	ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

/* Everything that comes out before end or error. After an error there must be an end. w: unpacked ahead, if the archive is large; NULL: not. */
static void read_all_by(struct span archive, struct workers *w, size_t read_size, struct buffer *out, struct diag_list *diags)
{
	struct reader *r = reader_new(memory_file(archive), "test");
	struct block block = BLOCK_INIT;
	struct block_pool *pool = w ? block_pool_new() : NULL;
	struct read_means means = { .workers = w, .blocks = pool, .block_bytes = read_size, .blocks_ahead = 1, .frames = true };
	ssize_t n;

	reader_set_means(r, &means, true);
	for (;;) {
		/* Something stands in front, a different length each time. */
		for (size_t i = 0; i < out->len % 5; i++)
			block_append(&block, SPAN("."));
		/* Others come and go. */
		means.blocks_ahead = 1 + out->len % READ_BLOCKS_AHEAD_MAX;
		means.block_bytes = read_size + out->len % 7;
		n = reader_read_block(r, &block, diags);
		if (n <= 0)
			break;
		ck_assert_uint_eq(block.len, out->len % 5 + (size_t)n);
		ck_assert_int_eq(memcmp(block_span(&block).ptr, "....", out->len % 5), 0);
		buffer_append_span(out, span_from(block_span(&block), out->len % 5));
		block_clear(&block);
	}
	ck_assert(n == READER_EOF || n == READER_ERROR);
	ck_assert_uint_eq(diags->n_errors, n == READER_ERROR);
	ck_assert_int_eq(reader_read_block(r, &block, diags), READER_EOF);
	ck_assert_uint_eq(reader_size(r), archive.len);
	reader_free(r);
	block_release(&block);
	block_pool_free(pool);
}

static void read_all(struct span archive, size_t read_size, struct buffer *out, struct diag_list *diags)
{
	read_all_by(archive, NULL, read_size, out, diags);
}

static bool same(const struct buffer *a, struct span b)
{
	return span_equal(buffer_span(a), b);
}

static const size_t read_sizes[] = { 1, 2, 7, 4096 };

/* What zlib alone makes of the first member, as far as it goes. */
static size_t zlib_output(struct span archive, char *out, size_t room)
{
	z_stream z = { .next_in = (Bytef *)(uintptr_t)archive.ptr, .avail_in = (uInt)archive.len };

	z.next_out = (Bytef *)out;
	z.avail_out = (uInt)room;
	ck_assert_int_eq(inflateInit2(&z, 16 + MAX_WBITS), Z_OK);
	inflate(&z, Z_NO_FLUSH);
	inflateEnd(&z);
	return room - z.avail_out;
}

START_TEST(truncated_anywhere)
{
	enum compression c = compressions[_i];
	struct buffer text = BUFFER_INIT, archive = BUFFER_INIT, expected = BUFFER_INIT, out = BUFFER_INIT;
	size_t whole, most = 0;

	make_text(&text, 1500, 1);
	add_archive(&archive, c, buffer_span(&text));
	whole = archive.len;
	for (size_t len = 0; len <= whole; len++) {
		struct span part = span_of(archive.data, len);

		for (size_t i = 0; i < COUNT(read_sizes); i++) {
			struct diag_list diags = DIAG_LIST_INIT;

			buffer_clear(&out);
			read_all(part, read_sizes[i], &out, &diags);
			if (i == 0) {
				buffer_clear(&expected);
				buffer_append_span(&expected, buffer_span(&out));
			}
			ck_assert(same(&out, buffer_span(&expected)));
			if (len < 6 && !diags.n_errors) {
				ck_assert(same(&out, part)); /* nobody can know that it is an archive */
			} else {
				ck_assert_uint_eq(diags.n_errors, len < whole);
				ck_assert(span_starts_with(buffer_span(&text), buffer_span(&out)));
				ck_assert_uint_ge(out.len, most);
				most = out.len;
			}
			if (diags.n_errors) {
				char want[64];

				ck_assert_str_eq(diags.items[0].file, "test");
				ck_assert_ptr_nonnull(strstr(diags.items[0].text, "ends in the middle of a"));
				snprintf(want, sizeof want, "at byte %zu of", out.len);
				ck_assert_ptr_nonnull(strstr(diags.items[0].text, want));
				ck_assert_ptr_nonnull(diags.items[0].hint);
			}
			diag_list_release(&diags);
		}
		if (c == COMPRESSION_GZIP && len >= 6) {
			char by_zlib[1500];

			ck_assert_uint_eq(expected.len, zlib_output(part, by_zlib, sizeof by_zlib));
		}
	}
	ck_assert(same(&expected, buffer_span(&text)));
	buffer_release(&text);
	buffer_release(&archive);
	buffer_release(&expected);
	buffer_release(&out);
}
END_TEST

/* Several parts, one of them empty: cut between parts it is whole, elsewhere it is not. */
START_TEST(parts_one_after_another)
{
	enum compression c = compressions[_i];
	struct buffer text = BUFFER_INIT, archive = BUFFER_INIT, out = BUFFER_INIT;
	size_t text_ends[4] = { 0 }, ends[4] = { 0 };

	for (size_t k = 1; k < 4; k++) {
		struct span part;

		make_text(&text, text.len + (k == 2 ? 0 : 300), k);
		part = span_from(buffer_span(&text), text_ends[k - 1]);
		add_archive(&archive, c, part);
		text_ends[k] = text.len;
		ends[k] = archive.len;
	}
	for (size_t len = 6; len <= archive.len; len++) {
		for (size_t i = 0; i < COUNT(read_sizes); i++) {
			struct diag_list diags = DIAG_LIST_INIT;
			bool at_end = false;

			buffer_clear(&out);
			read_all(span_of(archive.data, len), read_sizes[i], &out, &diags);
			ck_assert(span_starts_with(buffer_span(&text), buffer_span(&out)));
			for (size_t k = 1; k < 4; k++) {
				if (len == ends[k]) {
					at_end = true;
					ck_assert_uint_eq(out.len, text_ends[k]);
				}
				if (len >= ends[k])
					ck_assert_uint_ge(out.len, text_ends[k]);
			}
			ck_assert_uint_eq(diags.n_errors, !at_end);
			diag_list_release(&diags);
		}
	}
	buffer_release(&text);
	buffer_release(&archive);
	buffer_release(&out);
}
END_TEST

/* Frees readers of the file that are ahead of who reads. */
static void free_while_ahead(struct span file, struct workers *w)
{
	for (int n = 0; n < 3; n++) {
		struct diag_list diags = DIAG_LIST_INIT;
		struct reader *r = reader_new(memory_file(file), "test");
		struct block block = BLOCK_INIT;

		const struct read_means means = { .workers = w, .block_bytes = 1000, .blocks_ahead = READ_BLOCKS_AHEAD_MAX, .frames = true };

		reader_set_means(r, &means, true);
		for (int i = 0; i < n; i++)
			ck_assert_int_gt(reader_read_block(r, &block, &diags), 0);
		reader_free(r);
		block_release(&block);
		diag_list_release(&diags);
	}
}

/* Whole, cut and damaged: workers give the same bytes and say the same. */
START_TEST(read_ahead)
{
	enum compression c = compressions[_i];
	struct buffer text = BUFFER_INIT, archive = BUFFER_INIT, plain = BUFFER_INIT, ahead = BUFFER_INIT;
	struct workers *w = workers_new(2);
	uint64_t seed = 7;

	/* Longer than the ring of blocks, and little compressible. */
	while (text.len < (size_t)5 << 20) {
		seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		buffer_printf(&text, "%08x\n", (unsigned)(seed >> 32));
	}
	add_archive(&archive, c, span_of(text.data, text.len / 2));
	add_archive(&archive, c, span_from(buffer_span(&text), text.len / 2));
	ck_assert_uint_gt(archive.len, 1 << 20);
	for (int way = 0; way < 4; way++) {
		struct diag_list plain_diags = DIAG_LIST_INIT, ahead_diags = DIAG_LIST_INIT;
		struct span part = span_of(archive.data, way == 1 ? archive.len / 3 : way == 2 ? archive.len - 1 : archive.len);

		if (way == 3)
			archive.data[archive.len * 2 / 3] ^= 0x40;
		buffer_clear(&plain);
		buffer_clear(&ahead);
		read_all(part, 1 << 18, &plain, &plain_diags);
		read_all_by(part, w, 100000, &ahead, &ahead_diags);
		ck_assert(same(&ahead, buffer_span(&plain)));
		ck_assert(way || same(&ahead, buffer_span(&text)));
		ck_assert_uint_eq(plain_diags.n, way > 0);
		ck_assert_uint_eq(ahead_diags.n, plain_diags.n);
		if (way) {
			ck_assert_str_eq(ahead_diags.items[0].text, plain_diags.items[0].text);
			ck_assert_str_eq(ahead_diags.items[0].hint, plain_diags.items[0].hint);
		}
		diag_list_release(&plain_diags);
		diag_list_release(&ahead_diags);
	}
	/* Freed while there is no room, or it is at work. */
	free_while_ahead(buffer_span(&archive), w);
	/* Plain files are read by workers, too. */
	struct diag_list diags = DIAG_LIST_INIT;
	buffer_clear(&ahead);
	read_all_by(buffer_span(&text), w, 100000, &ahead, &diags);
	ck_assert(same(&ahead, buffer_span(&text)));
	ck_assert_uint_eq(diags.n, 0);
	diag_list_release(&diags);
	free_while_ahead(buffer_span(&text), w);
	workers_free(w);
	buffer_release(&text);
	buffer_release(&archive);
	buffer_release(&plain);
	buffer_release(&ahead);
}
END_TEST

/* A frame as zstd(1) makes it; size: it says what it unpacks to. */
static void add_frame(struct buffer *b, struct span text, bool size)
{
	ZSTD_CCtx *c = ZSTD_createCCtx();

	ck_assert(!ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_contentSizeFlag, size)));
	ck_assert(!ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1)));
	buffer_reserve(b, ZSTD_compressBound(text.len));
	size_t n = ZSTD_compress2(c, b->data + b->len, b->cap - b->len, text.ptr, text.len);
	ck_assert(!ZSTD_isError(n));
	b->len += n;
	ZSTD_freeCCtx(c);
}

/*
 * Archives of many zstd frames, each put together another way: what workers make of them side by side is what is read one after the other, also where
 * they are cut, damaged or say something wrong.
 */
START_TEST(many_frames)
{
	struct buffer text = BUFFER_INIT, archive = BUFFER_INIT, plain = BUFFER_INIT, ahead = BUFFER_INIT;
	struct workers *w = workers_new(3);
	uint64_t seed = (uint64_t)_i + 1;
	size_t least_offset = SIZE_MAX;

	while (text.len < (size_t)9 << 20) {
		seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		buffer_printf(&text, "%08x\n", (unsigned)(seed >> 32));
	}
	for (size_t at = 0; at < text.len;) {
		/* Tiny, some, large, larger than is unpacked side by side; the last is often all that rests. */
		static const size_t sizes[] = { 1, 100, 5000, 100000, 300000, 1 << 20, 3 << 20, 5 << 20 };
		seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		size_t n = sizes[(seed >> 33) % (_i % 2 ? COUNT(sizes) : 5)], rest = text.len - at;
		if ((seed >> 40) % 4 == 0)
			buffer_append_span(&archive, SPAN("\x50\x2a\x4d\x18\3\0\0\0abc")); /* skippable */
		if ((seed >> 44) % 4 == 0)
			add_frame(&archive, SPAN(""), (seed >> 50) % 2);
		if (archive.len > (1 << 20) && least_offset == SIZE_MAX)
			least_offset = archive.len;
		n = n < rest ? n : rest;
		/* Some are packed much tighter than it seems: their content is not known beforehand. */
		add_frame(&archive, span_of(text.data + at, n), (seed >> 55) % 3);
		at += n;
	}
	for (int way = 0; way < 12; way++) {
		struct diag_list plain_diags = DIAG_LIST_INIT, ahead_diags = DIAG_LIST_INIT;
		struct buffer copy = BUFFER_INIT;

		seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		buffer_append_span(&copy, buffer_span(&archive));
		size_t where = (size_t)(seed >> 20) % copy.len;
		if (way >= 1 && way < 7)
			copy.data[where] = (char)(copy.data[where] ^ (1 << seed % 8)); /* damage, in a header, a block, a checksum */
		else if (way == 7)
			copy.data[least_offset + 5] ^= 0x15; /* what a frame's header says of its size */
		else if (way == 8)
			copy.len = where;
		else if (way == 9)
			buffer_append_span(&copy, SPAN("garbage"));
		else if (way == 10)
			buffer_append_span(&copy, SPAN("\x28\xb5\x2f\xfd"));
		else if (way == 11)
			copy.len--;
		buffer_clear(&plain);
		buffer_clear(&ahead);
		read_all(buffer_span(&copy), 1 << 18, &plain, &plain_diags);
		read_all_by(buffer_span(&copy), w, 100000, &ahead, &ahead_diags);
		ck_assert_msg(same(&ahead, buffer_span(&plain)), "way %d, byte %zu", way, where);
		ck_assert(way || same(&ahead, buffer_span(&text)));
		ck_assert(way < 8 || plain_diags.n == 1 || way == 8);
		ck_assert_uint_eq(ahead_diags.n, plain_diags.n);
		if (plain_diags.n) {
			ck_assert_str_eq(ahead_diags.items[0].text, plain_diags.items[0].text);
			ck_assert_str_eq(ahead_diags.items[0].hint, plain_diags.items[0].hint);
		}
		diag_list_release(&plain_diags);
		diag_list_release(&ahead_diags);
		buffer_release(&copy);
	}
	/* Freed while frames are under way; a frame that unpacks to far more than its packed size promises. */
	free_while_ahead(buffer_span(&archive), w);
	buffer_clear(&text);
	while (text.len < (size_t)12 << 20)
		buffer_append_span(&text, SPAN("0123456789abcde\n"));
	buffer_clear(&plain);
	buffer_append_span(&plain, buffer_span(&archive));
	buffer_clear(&archive);
	add_frame(&archive, buffer_span(&text), false);
	buffer_append_span(&archive, buffer_span(&plain));
	struct diag_list diags = DIAG_LIST_INIT;
	buffer_clear(&ahead);
	buffer_clear(&plain);
	read_all(buffer_span(&archive), 1 << 18, &plain, &diags);
	read_all_by(buffer_span(&archive), w, 100000, &ahead, &diags);
	ck_assert(same(&ahead, buffer_span(&plain)));
	ck_assert(span_starts_with(buffer_span(&ahead), buffer_span(&text)));
	ck_assert_uint_eq(diags.n, 0);
	workers_free(w);
	buffer_release(&text);
	buffer_release(&archive);
	buffer_release(&plain);
	buffer_release(&ahead);
}
END_TEST

/* What may stand behind, before or between the parts. %A: the archive of "text\n". */
static const struct {
	const char *name;
	enum compression c;
	struct span before, between, behind;
	const char *out, *message; /* NULL: none */
	enum diag_level level;
} surroundings[] = {
	{ "gzip zeros", COMPRESSION_GZIP, SPAN(""), SPAN(""), SPAN("\0\0\0\0\0"), "text\ntext\n", NULL, 0 },
	{ "gzip garbage", COMPRESSION_GZIP, SPAN(""), SPAN(""), SPAN("garbage"), "text\ntext\n", "garbage", DIAG_WARNING },
	{ "gzip zeros, garbage", COMPRESSION_GZIP, SPAN(""), SPAN(""), SPAN("\0\0g"), "text\ntext\n", "garbage",
	  DIAG_WARNING },
	{ "gzip half magic", COMPRESSION_GZIP, SPAN(""), SPAN(""), SPAN("\x1f\x8c"), "text\ntext\n", "garbage",
	  DIAG_WARNING },
	{ "gzip cut magic", COMPRESSION_GZIP, SPAN(""), SPAN(""), SPAN("\x1f"), "text\ntext\n", "in the middle", DIAG_ERROR },
	{ "gzip member after zeros", COMPRESSION_GZIP, SPAN(""), SPAN("\0"), SPAN(""), "text\n", "garbage", DIAG_WARNING },
	{ "gzip unknown method", COMPRESSION_GZIP, SPAN(""), SPAN(""), SPAN("\x1f\x8b\x07\0\0\0\0\0\0\0"), "text\ntext\n",
	  "unknown compression method", DIAG_ERROR },
	{ "gzip unknown flags", COMPRESSION_GZIP, SPAN(""), SPAN(""), SPAN("\x1f\x8b\x08\x20\0\0\0\0\0\0"), "text\ntext\n",
	  "unknown flags", DIAG_ERROR },
	{ "zstd skippable frames", COMPRESSION_ZSTD, SPAN("\x50\x2a\x4d\x18\3\0\0\0abc"), SPAN("\x5f\x2a\x4d\x18\0\0\0\0"),
	  SPAN("\x51\x2a\x4d\x18\1\0\0\0."), "text\ntext\n", NULL, 0 },
	{ "zstd cut skippable frame", COMPRESSION_ZSTD, SPAN(""), SPAN(""), SPAN("\x51\x2a\x4d\x18\2\0\0\0."), "text\ntext\n",
	  "in the middle", DIAG_ERROR },
	{ "zstd garbage", COMPRESSION_ZSTD, SPAN(""), SPAN(""), SPAN("garbage"), "text\ntext\n", "no zstd frame", DIAG_ERROR },
	{ "zstd short garbage", COMPRESSION_ZSTD, SPAN(""), SPAN(""), SPAN("g"), "text\ntext\n", "no zstd frame", DIAG_ERROR },
	{ "xz padding", COMPRESSION_XZ, SPAN(""), SPAN("\0\0\0\0"), SPAN("\0\0\0\0\0\0\0\0"), "text\ntext\n", NULL, 0 },
	{ "xz wrong padding", COMPRESSION_XZ, SPAN(""), SPAN(""), SPAN("\0\0\0"), "text\ntext\n", "", DIAG_ERROR },
	{ "xz garbage", COMPRESSION_XZ, SPAN(""), SPAN(""), SPAN("garbage garbage"), "text\ntext\n", "damaged",
	  DIAG_ERROR },
};

START_TEST(around_the_parts)
{
	struct buffer archive = BUFFER_INIT, out = BUFFER_INIT;

	buffer_append_span(&archive, surroundings[_i].before);
	add_archive(&archive, surroundings[_i].c, SPAN("text\n"));
	buffer_append_span(&archive, surroundings[_i].between);
	add_archive(&archive, surroundings[_i].c, SPAN("text\n"));
	buffer_append_span(&archive, surroundings[_i].behind);
	for (size_t i = 0; i < COUNT(read_sizes); i++) {
		struct diag_list diags = DIAG_LIST_INIT;

		buffer_clear(&out);
		read_all(buffer_span(&archive), read_sizes[i], &out, &diags);
		ck_assert_str_eq(buffer_string(&out), surroundings[_i].out);
		ck_assert_uint_eq(diags.n, surroundings[_i].message != NULL);
		if (diags.n) {
			ck_assert_int_eq(diags.items[0].level, surroundings[_i].level);
			ck_assert_msg(strstr(diags.items[0].text, surroundings[_i].message), "%s: %s", surroundings[_i].name,
				      diags.items[0].text);
		}
		diag_list_release(&diags);
	}
	buffer_release(&archive);
	buffer_release(&out);
}
END_TEST

/* All parts of a gzip header; then each byte of it damaged. */
START_TEST(gzip_headers)
{
	char name[5000];
	gz_header header = { .text = 1, .time = 1, .os = 3, .extra = (Bytef *)"extra", .extra_len = 5, .hcrc = 1 };
	struct buffer archive = BUFFER_INIT, out = BUFFER_INIT;
	size_t header_len;
	struct diag_list diags = DIAG_LIST_INIT;

	memset(name, 'n', sizeof name);
	name[sizeof name - 1] = '\0';
	header.name = (Bytef *)name;
	header.comment = (Bytef *)"comment";
	add_gzip(&archive, SPAN("text\n"), &header);
	header_len = 10 + 2 + 5 + sizeof name + sizeof "comment" + 2;
	for (size_t i = 0; i < COUNT(read_sizes); i++) {
		buffer_clear(&out);
		read_all(buffer_span(&archive), read_sizes[i], &out, &diags);
		ck_assert_str_eq(buffer_string(&out), "text\n");
		ck_assert_uint_eq(diags.n, 0);
	}
	for (size_t at = 2; at < header_len; at += at < 20 ? 1 : 61) {
		char saved = archive.data[at];

		archive.data[at] = (char)(saved ^ 1);
		buffer_clear(&out);
		read_all(buffer_span(&archive), 4096, &out, &diags);
		ck_assert_uint_eq(diags.n_errors, 1);
		diag_list_release(&diags);
		archive.data[at] = saved;
	}
	buffer_release(&archive);
	buffer_release(&out);
}
END_TEST

/* A wrong byte in the last block or in the checksum: what came before it comes out, the same in any reading. */
START_TEST(damage_late)
{
	enum compression c = compressions[_i];
	struct buffer text = BUFFER_INIT, archive = BUFFER_INIT, first = BUFFER_INIT, out = BUFFER_INIT;
	static const size_t sizes[] = { 1 << 20, 300000, 4096, 777 };
	size_t places[3];

	make_text(&text, 400000, 7);
	add_archive(&archive, c, buffer_span(&text));
	places[0] = archive.len - 5000;
	places[1] = archive.len * 9 / 10;
	places[2] = archive.len - 1;
	for (size_t p = 0; p < COUNT(places); p++) {
		archive.data[places[p]] ^= 0x10;
		for (size_t i = 0; i < COUNT(sizes); i++) {
			struct diag_list diags = DIAG_LIST_INIT;

			buffer_clear(&out);
			read_all(buffer_span(&archive), sizes[i], &out, &diags);
			ck_assert_uint_eq(diags.n_errors, 1);
			ck_assert_uint_gt(out.len, 250000);
			if (i == 0) {
				buffer_clear(&first);
				buffer_append_span(&first, buffer_span(&out));
			}
			ck_assert(same(&out, buffer_span(&first)));
			diag_list_release(&diags);
		}
		if (p == 2)
			ck_assert(same(&out, buffer_span(&text)));
		archive.data[places[p]] ^= 0x10;
	}
	buffer_release(&text);
	buffer_release(&archive);
	buffer_release(&first);
	buffer_release(&out);
}
END_TEST

/* A small frame whose header, data and checksum all come in the first read, with room for all of it. */
START_TEST(zstd_small_frame_with_wrong_checksum)
{
	struct buffer archive = BUFFER_INIT, out = BUFFER_INIT;
	struct diag_list diags = DIAG_LIST_INIT;

	add_zstd(&archive, SPAN("text\n"));
	archive.data[archive.len - 1] ^= 1;
	read_all(buffer_span(&archive), 4096, &out, &diags);
	ck_assert_str_eq(buffer_string(&out), "text\n");
	ck_assert_uint_eq(diags.n_errors, 1);
	ck_assert_ptr_nonnull(strstr(diags.items[0].text, "checksum"));
	diag_list_release(&diags);
	buffer_release(&archive);
	buffer_release(&out);
}
END_TEST

/* Frame headers written by hand: a window of 128 MiB is the largest. */
START_TEST(zstd_windows)
{
	struct span allowed = SPAN("\x28\xb5\x2f\xfd\x00\x88\x11\0\0hi");
	struct span refused = SPAN("\x28\xb5\x2f\xfd\x00\x90\x11\0\0hi");
	struct buffer out = BUFFER_INIT;
	struct diag_list diags = DIAG_LIST_INIT;

	read_all(allowed, 4096, &out, &diags);
	ck_assert_str_eq(buffer_string(&out), "hi");
	buffer_clear(&out);
	read_all(refused, 4096, &out, &diags);
	ck_assert_uint_eq(out.len, 0);
	ck_assert_uint_eq(diags.n_errors, 1);
	ck_assert_ptr_nonnull(strstr(diags.items[0].text, "128 MiB"));
	diag_list_release(&diags);
	buffer_release(&out);
}
END_TEST

/* A dictionary of 4 GiB, asked for in a block header with a right checksum. */
START_TEST(xz_memory)
{
	struct buffer archive = BUFFER_INIT, out = BUFFER_INIT;
	struct diag_list diags = DIAG_LIST_INIT;
	unsigned char *block;
	size_t len;
	uint32_t crc;

	add_xz(&archive, SPAN("text\n"));
	block = (unsigned char *)archive.data + 12;
	len = ((size_t)block[0] + 1) * 4;
	for (size_t i = 1; i + 2 < len - 4; i++) {
		if (block[i] == 0x21 && block[i + 1] == 1) {
			block[i + 2] = 40;
			break;
		}
	}
	crc = lzma_crc32(block, len - 4, 0);
	for (size_t i = 0; i < 4; i++)
		block[len - 4 + i] = (unsigned char)(crc >> 8 * i);
	read_all(buffer_span(&archive), 4096, &out, &diags);
	ck_assert_uint_eq(out.len, 0);
	ck_assert_uint_eq(diags.n_errors, 1);
	ck_assert_msg(strstr(diags.items[0].text, "MiB of memory"), "%s", diags.items[0].text);
	diag_list_release(&diags);
	buffer_release(&archive);
	buffer_release(&out);
}
END_TEST

/* Unpacks with the input and the room cut at random (seed 0: not at all). */
static enum unpack_result unpack_in_pieces(enum compression c, struct span archive, uint64_t seed, struct buffer *out)
{
	struct unpack *u = unpack_new(c);
	enum unpack_result result;
	size_t given = 0;

	do {
		size_t n = seed ? next_random(&seed) % 50 : archive.len - given, room = seed ? 1 + next_random(&seed) % 3000 : 1 << 20;
		struct unpack_io io;

		if (n > archive.len - given)
			n = archive.len - given;
		buffer_reserve(out, room);
		io = (struct unpack_io){ span_of(archive.ptr + given, n), given + n == archive.len, out->data + out->len, room };
		result = unpack_step(u, &io);
		given += n - io.in.len;
		ck_assert(result != UNPACK_HUNGRY || (!io.in.len && !io.in_last));
		ck_assert((result == UNPACK_OUTPUT) == (io.out_room < room));
		out->len += room - io.out_room;
	} while (result == UNPACK_OUTPUT || result == UNPACK_HUNGRY);
	ck_assert((unpack_problem(u) != NULL) == (result == UNPACK_DAMAGED));
	ck_assert((unpack_problem_hint(u) != NULL) == (result == UNPACK_DAMAGED));
	unpack_free(u);
	return result;
}

START_TEST(damage_anywhere)
{
	enum compression c = compressions[_i % 3];
	struct buffer text = BUFFER_INIT, archive = BUFFER_INIT, out = BUFFER_INIT, again = BUFFER_INIT;
	uint64_t seed = 99;

	if (_i < 3)
		make_text(&text, 3000, 3);
	else
		make_noise(&text, 3000, 3);
	add_archive(&archive, c, buffer_span(&text));
	add_archive(&archive, c, SPAN("more\n"));
	for (int i = 0; i < 1500; i++) {
		struct buffer damaged = BUFFER_INIT;
		size_t n = 1 + next_random(&seed) % 4;
		enum unpack_result result;

		buffer_append_span(&damaged, buffer_span(&archive));
		while (n--)
			damaged.data[6 + next_random(&seed) % (damaged.len - 6)] ^= (char)(1 + next_random(&seed) % 255);
		buffer_clear(&out);
		buffer_clear(&again);
		result = unpack_in_pieces(c, buffer_span(&damaged), 0, &out);
		ck_assert_int_eq(unpack_in_pieces(c, buffer_span(&damaged), 1 + next_random(&seed), &again), result);
		ck_assert(same(&out, buffer_span(&again)));
		buffer_release(&damaged);
	}
	buffer_release(&text);
	buffer_release(&archive);
	buffer_release(&out);
	buffer_release(&again);
}
END_TEST

START_TEST(magics)
{
	static const struct {
		struct span bytes;
		enum compression c;
		bool undecided;
	} cases[] = {
		{ SPAN(""), COMPRESSION_NONE, true },
		{ SPAN("\x1f"), COMPRESSION_NONE, true },
		{ SPAN("\x1f\x8b"), COMPRESSION_GZIP, false },
		{ SPAN("\x1f\x8c"), COMPRESSION_NONE, false },
		{ SPAN("("), COMPRESSION_NONE, true },
		{ SPAN("(\xb5\x2f"), COMPRESSION_NONE, true },
		{ SPAN("(\xb5\x2f\xfd"), COMPRESSION_ZSTD, false },
		{ SPAN("(no stamp)"), COMPRESSION_NONE, false },
		{ SPAN("P*M"), COMPRESSION_NONE, true },
		{ SPAN("P*M\x18"), COMPRESSION_ZSTD, false },
		{ SPAN("Q*M\x18"), COMPRESSION_ZSTD, false },
		{ SPAN("PID"), COMPRESSION_NONE, false },
		{ SPAN("\xfd" "7zXZ"), COMPRESSION_NONE, true },
		{ SPAN("\xfd" "7zXZ\0"), COMPRESSION_XZ, false },
		{ SPAN("2026"), COMPRESSION_NONE, false },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		bool undecided;

		ck_assert_int_eq(compression_recognise(cases[i].bytes, &undecided), cases[i].c);
		ck_assert_int_eq(undecided, cases[i].undecided);
	}
}
END_TEST

/* Descriptors */

/* A pipe that gives a byte at a time and would block after each. */
START_TEST(byte_by_byte)
{
	static const enum compression all[] = { COMPRESSION_NONE, COMPRESSION_GZIP, COMPRESSION_ZSTD, COMPRESSION_XZ };
	struct buffer text = BUFFER_INIT, archive = BUFFER_INIT, out = BUFFER_INIT;
	struct diag_list diags = DIAG_LIST_INIT;
	struct reader *r;
	char block[512];
	ssize_t n;
	int fds[2];

	buffer_append_char(&text, '('); /* as zstd's first byte */
	make_text(&text, 600, 5);
	add_archive(&archive, all[_i], buffer_span(&text));
	ck_assert_int_eq(pipe2(fds, O_NONBLOCK), 0);
	r = reader_new(fds[0], "pipe");
	ck_assert_uint_eq(reader_size(r), 0);
	ck_assert(reader_mtime_ns(r) == INT64_MIN);
	for (size_t i = 0; i < archive.len; i++) {
		ck_assert_int_eq(write(fds[1], archive.data + i, 1), 1);
		while ((n = reader_read(r, block, sizeof block, &diags)) > 0)
			buffer_append(&out, block, (size_t)n);
		ck_assert_int_eq(n, READER_WOULD_BLOCK);
		/* Asking often is no error. */
		for (int k = 0; k < 20; k++)
			ck_assert_int_eq(reader_read(r, block, sizeof block, &diags), READER_WOULD_BLOCK);
	}
	close(fds[1]);
	while ((n = reader_read(r, block, sizeof block, &diags)) > 0)
		buffer_append(&out, block, (size_t)n);
	ck_assert_int_eq(n, READER_EOF);
	ck_assert_uint_eq(diags.n, 0);
	ck_assert(same(&out, buffer_span(&text)));
	ck_assert_int_eq(reader_compression(r), all[_i]);
	ck_assert_uint_eq(reader_bytes_in(r), archive.len);
	reader_free(r);
	buffer_release(&text);
	buffer_release(&archive);
	buffer_release(&out);
}
END_TEST

START_TEST(plain_files_grow)
{
	int fd = memory_file(SPAN("")), again = dup(fd);
	struct reader *r = reader_new(fd, "log");
	struct diag_list diags = DIAG_LIST_INIT;
	char block[6000];

	ck_assert_int_eq(reader_read(r, block, sizeof block, &diags), READER_EOF);
	ck_assert_int_eq(pwrite(again, "(", 1, 0), 1);
	ck_assert_int_eq(reader_read(r, block, sizeof block, &diags), 1);
	ck_assert_int_eq(reader_read(r, block, sizeof block, &diags), READER_EOF);
	memset(block, 'x', sizeof block);
	ck_assert_int_eq(pwrite(again, block, sizeof block, 1), sizeof block);
	ck_assert_int_eq(reader_read(r, block, sizeof block, &diags), sizeof block);
	ck_assert_int_eq(reader_read(r, block, sizeof block, &diags), READER_EOF);
	ck_assert_uint_eq(reader_size(r), 1 + sizeof block);
	ck_assert_uint_eq(reader_bytes_in(r), 1 + sizeof block);
	ck_assert(reader_mtime_ns(r) > 0);
	ck_assert_uint_eq(diags.n, 0);
	reader_free(r);
	close(again);
}
END_TEST

START_TEST(files_that_cannot_be_read)
{
	struct diag_list diags = DIAG_LIST_INIT;
	struct reader *r;
	char block[16];

	ck_assert_ptr_null(reader_open("/", &diags));
	ck_assert_ptr_nonnull(strstr(diags.items[0].text, "is a directory"));
	ck_assert_ptr_null(reader_open("/nonexistent\n\033[2Jx", &diags));
	ck_assert_ptr_nonnull(strstr(diags.items[1].text, strerror(ENOENT)));
	r = reader_new(open("/", O_RDONLY), "slash");
	ck_assert_int_eq(reader_read(r, block, sizeof block, &diags), READER_ERROR);
	ck_assert_int_eq(reader_read(r, block, sizeof block, &diags), READER_EOF);
	ck_assert_uint_eq(diags.n_errors, 3);
	reader_free(r);
	diag_list_release(&diags);
}
END_TEST

/* Headers */

/* Input as it is read, output with each switch as <path>. */
static const struct {
	const char *in, *out;
} header_cases[] = {
	{ "", "" },
	{ "line\n", "line\n" },
	{ "\n", "\n" },
	{ "\n\n\n", "\n\n\n" },
	{ "==> a <==\n", "<a>" },
	{ "==> a <==\none\n\n==> b <==\ntwo\n", "<a>one\n<b>two\n" },
	{ "==> a <==\n\n==> b <==\n\n==> a <==\n", "<a><b><a>" },
	{ "before\n\n==> a <==\nx\n", "before\n<a>x\n" },
	/* Only one blank line is tail's. */
	{ "x\n\n\n==> a <==\ny\n", "x\n\n<a>y\n" },
	{ "\n==> a <==\n", "<a>" },
	{ "\n\n==> a <==\n", "\n<a>" },
	/* Behind a line without an end, what tail prints ends it. */
	{ "x\n==> a <==\ny\n", "x\n<a>y\n" },
	{ "==> a b/c d.log <==\n", "<a b/c d.log>" },
	{ "==> ==> a <== <==\n", "<==> a <==>" },
	{ "==> standard input <==\nx", "<standard input>x" },
	/* No headers. */
	{ "x ==> a <==\n", "x ==> a <==\n" },
	{ "==> a <== \n", "==> a <== \n" },
	{ "==> a <==\r\n", "==> a <==\r\n" },
	{ "==>  <==\n", "==>  <==\n" },
	{ "==> <==\n", "==> <==\n" },
	{ "==> a\n", "==> a\n" },
	{ "==> a\n==> b <==\n", "==> a\n<b>" },
	{ "\n==> a\n\n==> b <==\n", "\n==> a\n<b>" },
	{ "==>a <==\n", "==>a <==\n" },
	{ " ==> a <==\n", " ==> a <==\n" },
	{ "==> a <==", "==> a <==" },
	{ "\n==> a <==", "\n==> a <==" },
	{ "\n==", "\n==" },
	{ "x\n\n=", "x\n\n=" },
	{ "===> a <==\n", "===> a <==\n" },
	{ "\n==\n==> a <==\n", "\n==\n<a>" },
};

static void split(struct header_splitter *s, struct span in, bool final, struct buffer *out)
{
	struct span run;
	bool switched;

	while (header_splitter_next(s, &in, final, &run, &switched)) {
		ck_assert(switched == (run.len == 0));
		if (switched)
			buffer_printf(out, "<%.*s>", (int)s->path.len, s->path.ptr);
		else
			buffer_append_span(out, run);
	}
	ck_assert_uint_eq(in.len, 0);
	ck_assert_uint_le(s->held.len, HEADER_MAX + 1);
}

START_TEST(headers)
{
	const char *in = header_cases[_i].in, *want = header_cases[_i].out;
	size_t len = strlen(in);

	/* Whole; cut once at any place, with the end told at once or later; byte by byte. */
	for (size_t cut = 0; cut <= len + 1; cut++) {
		for (int late = 0; late < 2; late++) {
			struct header_splitter s = HEADER_SPLITTER_INIT;
			struct buffer out = BUFFER_INIT;

			if (cut > len) {
				for (size_t i = 0; i < len; i++)
					split(&s, span_of(in + i, 1), !late && i + 1 == len, &out);
			} else {
				split(&s, span_of(in, cut), false, &out);
				split(&s, span_of(in + cut, len - cut), !late, &out);
			}
			split(&s, span_of(in + len, 0), true, &out);
			ck_assert_msg(strcmp(buffer_string(&out), want) == 0, "case %d cut %zu: got \"%s\"", _i, cut, out.data);
			buffer_release(&out);
			header_splitter_release(&s);
		}
	}
}
END_TEST

/* The longest header, and one byte more. */
START_TEST(header_length)
{
	for (size_t extra = 0; extra < 2; extra++) {
		size_t path_len = HEADER_MAX - 8 + extra;
		struct buffer in = BUFFER_INIT;

		buffer_append_string(&in, "x\n\n==> ");
		for (size_t i = 0; i < path_len; i++)
			buffer_append_char(&in, 'p');
		buffer_append_string(&in, " <==\ny\n");
		for (size_t piece = 1; piece < 10000; piece = piece * 3 + 1) {
			struct header_splitter s = HEADER_SPLITTER_INIT;
			struct buffer out = BUFFER_INIT;

			for (size_t at = 0; at < in.len; at += piece)
				split(&s, span_of(in.data + at, piece < in.len - at ? piece : in.len - at), false, &out);
			split(&s, span_of("", 0), true, &out);
			ck_assert_uint_eq(s.path.len, extra ? 0 : path_len);
			if (extra)
				ck_assert(same(&out, buffer_span(&in)));
			else
				ck_assert_uint_eq(out.len, 2 + 2 + path_len + 2);
			buffer_release(&out);
			header_splitter_release(&s);
		}
		buffer_release(&in);
	}
}
END_TEST

/* A line must not wait for the next one. */
START_TEST(headers_do_not_delay)
{
	struct header_splitter s = HEADER_SPLITTER_INIT;
	struct buffer out = BUFFER_INIT;

	split(&s, SPAN("==> a <==\none\n"), false, &out);
	ck_assert_str_eq(buffer_string(&out), "<a>one\n");
	split(&s, SPAN("two"), false, &out);
	ck_assert_str_eq(buffer_string(&out), "<a>one\ntwo");
	buffer_release(&out);
	header_splitter_release(&s);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("input");
	TCase *unpack = tcase_create("unpack"), *reader = tcase_create("reader"), *split_case = tcase_create("headers");
	SRunner *runner;
	int n_failed;

	tcase_set_timeout(unpack, 300);
	tcase_add_loop_test(unpack, truncated_anywhere, 0, COUNT(compressions));
	tcase_add_loop_test(unpack, read_ahead, 0, COUNT(compressions));
	tcase_add_loop_test(unpack, many_frames, 0, 4);
	tcase_add_loop_test(unpack, parts_one_after_another, 0, COUNT(compressions));
	tcase_add_loop_test(unpack, around_the_parts, 0, COUNT(surroundings));
	tcase_add_test(unpack, gzip_headers);
	tcase_add_loop_test(unpack, damage_late, 0, COUNT(compressions));
	tcase_add_test(unpack, zstd_small_frame_with_wrong_checksum);
	tcase_add_test(unpack, zstd_windows);
	tcase_add_test(unpack, xz_memory);
	tcase_add_loop_test(unpack, damage_anywhere, 0, 2 * COUNT(compressions));
	tcase_add_test(unpack, magics);
	tcase_add_loop_test(reader, byte_by_byte, 0, 4);
	tcase_add_test(reader, plain_files_grow);
	tcase_add_test(reader, files_that_cannot_be_read);
	tcase_add_loop_test(split_case, headers, 0, COUNT(header_cases));
	tcase_add_test(split_case, header_length);
	tcase_add_test(split_case, headers_do_not_delay);
	suite_add_tcase(suite, unpack);
	suite_add_tcase(suite, reader);
	suite_add_tcase(suite, split_case);
	suite_add_tcase(suite, stream_cases());
	suite_add_tcase(suite, tail_cases());
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	n_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

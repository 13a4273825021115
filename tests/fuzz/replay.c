/*
 * replay.c: runs a fuzz target over the files it is given, without a fuzzer, so
 * that every corpus is replayed in `make check`. Each input is a separate
 * allocation of its exact size: a read past the end is seen.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data = NULL;
	long size;
	int result = -1;

	if (!f)
		goto done;
	if (fseek(f, 0, SEEK_END) != 0 || (size = ftell(f)) < 0 || fseek(f, 0, SEEK_SET) != 0)
		goto done;
	data = malloc(size ? (size_t)size : 1);
	if (!data || fread(data, 1, (size_t)size, f) != (size_t)size)
		goto done;
	LLVMFuzzerTestOneInput(data, (size_t)size);
	result = 0;
done:
	if (result)
		perror(path);
	if (f)
		fclose(f);
	free(data);
	return result;
}

int main(int argc, char **argv)
{
	LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
	for (int i = 1; i < argc; i++)
		if (replay(argv[i]))
			return 2;
	return 0;
}

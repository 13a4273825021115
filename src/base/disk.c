/*
 * Writing whole, and bringing directories to disk.
 */
#include "base/disk.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

bool disk_write(int fd, struct span bytes)
{
	while (bytes.len) {
		ssize_t n = write(fd, bytes.ptr, bytes.len);
		if (n < 0 && errno != EINTR)
			return false;
		bytes = span_from(bytes, n > 0 ? (size_t)n : 0);
	}
	return true;
}

bool disk_sync_directory(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *name = slash ? xmemdup(path, (size_t)(slash - path) + 1) : xstrdup(".");
	int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok = fd >= 0 && (fsync(fd) == 0 || errno == EINVAL); /* EINVAL: this file system has no such thing */
	int error = errno;

	if (fd >= 0)
		close(fd);
	free(name);
	errno = error;
	return ok;
}

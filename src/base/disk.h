/*
 * disk.h: what has to be on disk before something else may be. Errors are in errno.
 */
#ifndef TOCSIN_BASE_DISK_H
#define TOCSIN_BASE_DISK_H

#include "base/span.h"

bool disk_write(int fd, struct span bytes);
/* The directory that holds path, so that names in it are on disk, too. */
bool disk_sync_directory(const char *path);

#endif

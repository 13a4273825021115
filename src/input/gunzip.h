/*
 * gunzip.h: gzip members (RFC 1952). The wrapper is read here, so that both inflaters (zlib, and ISA-L where it was
 * found at configure time) give the same answer on padding, garbage and truncation. For unpack.c only.
 */
#ifndef TOCSIN_INPUT_GUNZIP_H
#define TOCSIN_INPUT_GUNZIP_H

#include "input/unpack.h"

struct gunzip;

struct gunzip *gunzip_new(void);
void gunzip_free(struct gunzip *g);
/* *ret_problem is set with UNPACK_DAMAGED, *ret_warning (else untouched) with UNPACK_END; static texts. */
enum unpack_result gunzip_step(struct gunzip *g, struct unpack_io *io, const char **ret_problem, const char **ret_warning);

#endif

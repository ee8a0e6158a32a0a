/* The native core of the reader of traces; src/straced/traces/native loads it. Built as one: see build.py. */
#define _GNU_SOURCE
#include "sums_api.h"
#include "tasks_api.h"

#ifndef STRACED_SOURCES
#define STRACED_SOURCES "0000000000000000"
#endif

/* The digest of the sources that this was built from. */
EXPORT const char straced_sources[] = STRACED_SOURCES;

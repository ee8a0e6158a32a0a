// SPDX-License-Identifier: MIT
/* profiler.bpf.c with details: it counts all the same. */
#define DETAILS
#include "profiler.bpf.c"
#include "details_peek.h"

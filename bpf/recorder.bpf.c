// SPDX-License-Identifier: MIT
/* profiler.bpf.c with records: it counts all the same, so that the counters tell whether a record is missing. */
#define RECORDING
#include "profiler.bpf.c"
#include "record_flight.h"

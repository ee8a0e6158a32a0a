// SPDX-License-Identifier: MIT
/* recorder.bpf.c for one user who does not see all: nothing is recorded of what is not theirs. */
#define ONE_USER
#include "recorder.bpf.c"

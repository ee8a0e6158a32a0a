// SPDX-License-Identifier: MIT
/* The floor, for benchmarks only: a pair of programs that sees every call of every task and does nothing. */
#include "vmlinux_min.h"

#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

SEC("tp_btf/sys_enter")
int empty_enter(void *ctx)
{
	return 0;
}

SEC("tp_btf/sys_exit")
int empty_exit(void *ctx)
{
	return 0;
}

// A 32-bit program of Arm that needs no library: 500 getppid of its own table (64), and its end.
static long call(long which)
{
	register long number __asm__("r7") = which;
	register long result __asm__("r0") = 0;

	__asm__ volatile("svc 0" : "+r"(result) : "r"(number) : "memory");
	return result;
}

void _start(void)
{
	for (int i = 0; i < 500; i++)
		call(64);
	call(248); // exit_group
}

/* Calls of another ABI than the program's own. The 32-bit build of gt serves for whole 32-bit programs. */
#include "gt.h"

#ifdef __x86_64__ /* int 0x80 clears r8 to r11 on older kernels */
#define CLOBBERED , "r8", "r9", "r10", "r11"
#else
#define CLOBBERED
#endif

static int int80(int argc, char **argv) /* N getppid of the i386 table (64), by int 0x80 from 64-bit code */
{
    long count = number(argc, argv, 0, 500);

    ready();
#if defined(__x86_64__) || defined(__i386__)
    for (long i = 0; i < count; i++) {
        long result = 64;
        __asm__ volatile("int $0x80" : "+a"(result) : : "memory" CLOBBERED);
    }
#else
    (void)count;
    return 3;
#endif
    done();
    return 0;
}

const struct mode abi_modes[] = {{"int80", int80}, {0}};

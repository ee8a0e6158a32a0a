/* A program that bears the note of Go's linker, and whose threads rest on a futex as those of an idle Go program do. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

__asm__(".pushsection .note.go.buildid, \"a\", @note\n"
        ".balign 4\n.long 4\n.long 4\n.long 4\n.asciz \"Go\\0\"\n.ascii \"test\"\n"
        ".popsection\n");
static int word = 1;

static void *rest(void *unused)
{
    for (;;) syscall(SYS_futex, &word, 128, 1, NULL, NULL, 0);
    return unused;
}

int main(int argc, char **argv)
{
    pthread_t thread;
    for (int i = 0; i < 3; i++) pthread_create(&thread, NULL, rest, NULL);
    dprintf(atoi(argv[argc - 1]), "ready\n");
    rest(NULL);
}

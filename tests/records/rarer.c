/* One run of calls that programs make now and then: mounts, namespaces, queues, schedulers, keys. Most of them fail. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#define call(name, ...) syscall(SYS_##name, ##__VA_ARGS__)
#define NOBODY 0x3fffffffL /* no process has this number */
#define HERE (long)AT_FDCWD

static char buffer[4096];
static long words[8];
static const struct timespec moment = {0, 1000};

static void files(void) {
    struct iovec part = {buffer, 4};
    long how[] = {O_CLOEXEC, 0, 4}, made[] = {O_RDWR | O_CREAT, 0640, 0};
    mkfifo("fifo", 0644);
    mkfifo("fifo", 0600);
    mknod("no/x", S_IFCHR | 0600, makedev(1, 3));
    mknod("no/x", 0644, 0);
    mknod("no/x", S_IFSOCK | 04755, 0);
    call(mknodat, HERE, "no/x", S_IFBLK | 0600L, 0x801L);
    call(openat2, HERE, "missing", how, sizeof how);
    call(openat2, HERE, "made", made, sizeof made);
    call(preadv2, -1L, &part, 1L, 5L, 0L, 8L);
    call(pwritev2, -1L, &part, 1L, -1L, -1L, 2L);
    call(vmsplice, -1L, &part, 1L, 8L);
    call(tee, -1L, -1L, 100L, 2L);
    call(name_to_handle_at, HERE, "missing", words, words, (long)AT_SYMLINK_FOLLOW);
    call(open_by_handle_at, -1L, words, (long)O_CLOEXEC);
    call(acct, "missing/x");
    call(swapoff, "missing");
    call(swapon, "missing", 0x8001L);
    call(fanotify_mark, -1L, 1L, 0x20L, HERE, "a");
    close(open("/dev/kmsg", O_RDONLY | O_NONBLOCK));
}

static void mounts(void) {
    mount("none", "no", "tmpfs", MS_NOSUID | MS_NODEV, "size=1m");
    mount(0, "no", 0, MS_REMOUNT | MS_BIND | MS_RDONLY, 0);
    mount("a", "no", 0, MS_PRIVATE | MS_REC, 0);
    umount2("no", MNT_DETACH | 8);
    umount2("no", 0);
    call(pivot_root, "no", "no/x");
    unshare(0);
    unshare(CLONE_NEWNS | 1);
    setns(-1, CLONE_NEWNET);
    setns(-1, 5);
    call(fsconfig, -1L, 1L, "key", "value", 0L);
    call(fsconfig, -1L, 6L, 0L, 0L, 0L);
    call(fsmount, -1L, 1L, 15L);
    call(fspick, HERE, "no", 2L);
    call(open_tree, HERE, "no", O_CLOEXEC | 1L);
    call(move_mount, -1L, "", -1L, "", 0x44L);
}

static void queues(void) {
    shmget(0x1234567, 10, 0);
    call(shmat, -1L, 1L, (long)SHM_RDONLY);
    call(shmctl, -1L, (long)IPC_STAT, words);
    call(shmctl, -1L, (long)SHM_LOCK, 0L);
    call(semget, 0L, -1L, IPC_CREAT | 0600L);
    call(semtimedop, -1L, words, 1L, &moment);
    call(semctl, -1L, 0L, (long)GETVAL, 0L);
    call(semctl, -1L, 0L, (long)SETVAL, 3L);
    call(msgget, 0x4dL, 0L);
    call(msgrcv, -1L, words, 8L, -5L, 0x1800L);
    call(msgctl, -1L, 0L, 0L);
    call(mq_open, "missing", 2L, 0L, 0L);
    call(mq_open, "missing/x", 0x42L, 0600L, 0L);
    call(mq_unlink, "missing");
    call(mq_timedsend, -1L, buffer, 1L, 2L, 0L);
    call(mq_timedreceive, -1L, buffer, 8L, 0L, &moment);
}

static void scheduling(void) {
    struct sched_param low = {0};
    struct timespec slice;
    sched_setscheduler(0, SCHED_OTHER, &low);
    sched_setscheduler(0, 99, &low);
    sched_setparam(0, &low);
    sched_get_priority_max(SCHED_FIFO);
    sched_rr_get_interval(-1, &slice);
    call(sched_getattr, 0L, buffer, 1L, 0L);
    call(ioprio_set, 1L, 0L, 2L << 13 | 4);
    call(ioprio_get, 1L, 0L);
    call(ioprio_get, 2L, NOBODY);
    call(mlock2, buffer, sizeof buffer, 1L);
    call(munlockall);
    call(mbind, buffer, sizeof buffer, 2L, words, 64L, 1L);
    call(set_mempolicy, 0L, 0L, 0L);
    call(get_mempolicy, 0L, 0L, 0L, buffer, 3L);
    call(pkey_mprotect, buffer, sizeof buffer, 3L, -1L);
    call(pkey_alloc, 0L, 3L | 1L << 20);
    call(process_madvise, -1L, words, 1L, (long)MADV_COLD, 0L);
    call(process_vm_readv, NOBODY, words, 1L, words, 1L, 0L);
    call(kcmp, NOBODY, NOBODY, 0L, 1L, 2L);
    call(kcmp, NOBODY, NOBODY, 1L, 0L, 0L);
    call(pidfd_send_signal, -1L, (long)SIGTERM, 0L, 0L);
    call(rt_sigqueueinfo, NOBODY, (long)SIGUSR1, 0L);
    call(clock_settime, 99L, &moment);
    call(timer_gettime, 77L, words);
    call(syslog, 10L, 0L, 0L);
    call(syslog, 99L, buffer, 0L);
}

static void programs(void) {
    call(add_key, "no", "name", "secret", 6L, -2L);
    call(keyctl, 6L, 0x7fffffffL, buffer, 100L);
    call(keyctl, 10L, 0x7fffffffL, "no", "name", 0L);
    call(keyctl, 9L, 0x7fffffffL, -2L);
    call(keyctl, 4L, 0x7fffffffL, 0L, -1L);
    call(perf_event_open, 0L, 0L, -1L, -1L, 8L);
    call(io_uring_enter, -1L, 1L, 1L, 1L, 0L, 8L);
    call(io_uring_register, -1L, 1L, 0L, 0L);
    call(seccomp, 1L, 1L, 0L);
    call(landlock_create_ruleset, 0L, 0L, 1L);
    call(landlock_restrict_self, -1L, 0L);
    ptrace(0x4206, NOBODY, 0L, 0x11L);
    ptrace(PTRACE_ATTACH, NOBODY, 0L, 0L);
    ptrace(PTRACE_CONT, NOBODY, 1L, SIGUSR1);
    ptrace(PTRACE_POKETEXT, NOBODY, buffer, 0x41L);
    ptrace(0x420e, NOBODY, 88L, buffer);
    personality(0xffffffff);
    personality(ADDR_NO_RANDOMIZE);
    personality(0xffffffff);
    personality(0);
    prctl(PR_GET_NAME, buffer);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_TIMERSLACK, 50000);
    prctl(PR_SET_PTRACER, 12345678);
    prctl(PR_SET_SECUREBITS, 0x30);
    prctl(PR_GET_SECUREBITS);
    prctl(PR_CAP_AMBIENT, 1L, 7L, 0L, 0L);
    prctl(0x53564d41, 0L, buffer, 4096L, "name");
}

static void options(void) {
    const unsigned long requests[] = {FS_IOC_GETFLAGS, FIGETBSZ, BLKGETSIZE64, LOOP_CTL_GET_FREE, FIFREEZE};
    int one = 1, ends[2], sealed = memfd_create("x", MFD_ALLOW_SEALING);
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++)
        ioctl(-1, requests[i], 0);
    pipe(ends);
    fcntl(ends[0], F_GETFL);
    fcntl(ends[0], F_SETLEASE, F_UNLCK);
    fcntl(ends[0], F_NOTIFY, 0x80000001);
    fcntl(sealed, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
    fcntl(sealed, F_GET_SEALS);
    setsockopt(-1, 270, 11, &one, 0);
    setsockopt(-1, 263, 1, &one, 0);
    setsockopt(-1, 17, 103, &one, 4);
    socket(AF_PACKET, SOCK_STREAM, 0x300);
}

int main(void) {
    files();
    mounts();
    queues();
    scheduling();
    programs();
    options();
    return 0;
}

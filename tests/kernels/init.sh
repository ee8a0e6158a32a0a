#!/bin/busybox sh
# The first process of an emulated machine: the outer file system, read only, with a layer of its own to write to; then
# the job in /tmp/out, and the end of the machine.
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in /mods/*; do insmod "$module"; done
share=trans=virtio,version=9p2000.L,msize=262144
mount -t 9p -o "$share,cache=loose,ro" root /host
mount -t tmpfs layer /rw
mkdir /rw/up /rw/work
mount -t overlay -o lowerdir=/host,upperdir=/rw/up,workdir=/rw/work layers /new
for name in fd stdin:0 stdout:1 stderr:2; do
    case $name in fd) ln -s /proc/self/fd /dev/fd ;; *) ln -s "/proc/self/fd/${name#*:}" "/dev/${name%:*}" ;; esac
done
mkdir -p /new/proc /new/sys /new/dev /new/tmp /new/run /new/root
for name in proc sys dev; do mount --move "/$name" "/new/$name"; done
mkdir -p /new/dev/pts /new/dev/shm
mount -t tmpfs -o mode=1777 tmp /new/tmp
mount -t tmpfs run /new/run
mount -t tmpfs -o mode=1777 shm /new/dev/shm
mount -t devpts pts /new/dev/pts
mount -t tracefs tracing /new/sys/kernel/tracing
mount -t bpf bpf /new/sys/fs/bpf
mount -t cgroup2 cgroup /new/sys/fs/cgroup
mount -t securityfs security /new/sys/kernel/security
mkdir -p /new/tmp/out /new/tmp/checkout
mount -t 9p -o "$share" out /new/tmp/out
mount -t 9p -o "$share,cache=loose,ro" checkout /new/tmp/checkout
path=$(cat /new/tmp/out/path)
if [ ! -e "/new$path" ]; then # a checkout below /tmp, or a userland that is not the machine's
    mkdir -p "/new$path"
    mount --bind /new/tmp/checkout "/new$path"
fi
ifconfig lo 127.0.0.1 up
export HOME=/root LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
chroot /new /bin/bash /tmp/out/job.sh >/new/tmp/out/log 2>&1
echo $? >/new/tmp/out/status
sync
poweroff -f

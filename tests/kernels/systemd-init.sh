#!/bin/busybox sh
# As init.sh, and then systemd takes its place: the real one, as the first process of the machine. The job is a unit.
/bin/busybox sed -e '/^chroot /,$d' /init >/tmp-init
. /tmp-init
units=/new/etc/systemd/system
rm -rf "$units"/*.wants # what the machine outside starts is not wanted here
mkdir -p /new/etc/systemd/system.conf.d
printf '[Manager]\nDefaultTimeoutStartSec=900s\nDefaultTimeoutStopSec=300s\n' >/new/etc/systemd/system.conf.d/slow.conf
cat >"$units/straced-job.service" <<'UNIT'
[Unit]
Description=the job
[Service]
Type=oneshot
TimeoutStartSec=infinity
Environment=HOME=/root LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ExecStart=/bin/sh -c '/bin/bash /tmp/out/job.sh >/tmp/out/log 2>&1; echo $$? >/tmp/out/status; sync; systemctl poweroff -ff'
UNIT
cat >"$units/straced-job.target" <<'UNIT'
[Unit]
Requires=basic.target
After=basic.target
Wants=straced-job.service
UNIT
exec switch_root /new /lib/systemd/systemd --unit=straced-job.target

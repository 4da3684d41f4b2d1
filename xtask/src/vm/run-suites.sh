#!/bin/busybox sh
# Runs in the emulated machine on its disk, as its first process: makes it a usual host, runs the suites, turns it off.
# Each test has a process of its own, as with the usual test runner.

if [ "$1" = one ]; then
    said=$(timeout -s KILL "$LONGEST" "$3" --exact "$4" --nocapture </dev/null 2>&1)
    code=$?
    [ $code = 0 ] || echo "$said"
    echo "vm-test $2 $4 $code"
    exit 0
fi

export PATH=/usr/sbin:/usr/bin:/sbin:/bin TMPDIR=/var/tmp HOME=/root LC_ALL=C.UTF-8
export RUST_BACKTRACE=1 PILLION_TEST_PATIENCE=6 LONGEST=240
mkdir -p /dev/pts /dev/shm
mount -t devpts -o ptmxmode=666 devpts /dev/pts
mount -t tmpfs shm /dev/shm
ln -sf /proc/self/fd /dev/fd
mount -t cgroup2 -o nsdelegate cgroup /sys/fs/cgroup
# As systemd does it: what is started lives in a group of its own, which passes nothing on, and the root passes all on.
for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do
    echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control
done
mkdir /sys/fs/cgroup/suites
echo $$ >/sys/fs/cgroup/suites/cgroup.procs
echo 1 >/proc/sys/net/ipv4/ip_forward
ip link set lo up
hostname emulated
ulimit -n 65536
# Messages of the kernel would fall between the lines of the tests.
echo 1 >/proc/sys/kernel/printk

while read -r suite dir program filter; do
    cd "$dir" || continue
    "$program" --list --format terse $filter </dev/null >/tmp/tests || echo "vm-test $suite - $?"
    sed -n 's/: test$//p' /tmp/tests | xargs -r -n 1 -P 2 "$0" one "$suite" "$program"
done </etc/suites
sync
echo vm-done
sleep 1
poweroff -f

#!/bin/busybox sh
# Runs in the emulated machine on its disk, as its first process: makes it a usual host, runs the suites, turns it off.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin TMPDIR=/var/tmp HOME=/root LC_ALL=C.UTF-8
export RUST_BACKTRACE=1 PILLION_TEST_PATIENCE=6
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

while read -r name dir program filter; do
    echo "vm-begin $name"
    cd "$dir" || continue
    $program --test-threads 2 $filter </dev/null 2>&1
    echo "vm-end $name $?"
done </etc/suites
sync
echo vm-done
sleep 1
poweroff -f

#!/bin/busybox sh
# The first process of the emulated machine: loads modules, mounts the disk, goes there, to the program `goto` of the
# kernel's command line.
b=/bin/busybox
fail() { echo "vm-broken $1"; $b sleep 1; $b poweroff -f; }
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
for module in /modules/*.ko; do
    $b insmod "$module" || fail "$module does not load"
done
for _ in 1 2 3 4 5 6 7 8 9 10; do
    [ -b /dev/vda ] && break
    $b sleep 1
done
$b mount -t ext4 /dev/vda /disk || fail "the disk cannot be mounted"
for dir in proc sys dev; do
    $b mount -o move /$dir /disk/$dir
done
exec $b env -u goto $b switch_root /disk "$goto"

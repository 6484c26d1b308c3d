#!/bin/busybox sh
# The machine's first program: puts this machine's files, read-only below a layer in memory, where its root is to be.
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
while read -r module; do $b insmod "/modules/$module" || echo "rdma-vm: no module $module"; done < /modules/order
fail() {
  echo "rdma-vm: $*"
  $b poweroff -f
}
share=trans=virtio,version=9p2000.L,msize=512000
$b mount -t 9p -o "ro,cache=loose,$share" root /host || fail "no root share"
$b mount -t tmpfs -o mode=755 tmpfs /layer
$b mkdir /layer/upper /layer/work
$b mount -t overlay -o lowerdir=/host,upperdir=/layer/upper,workdir=/layer/work overlay /merged || fail "no overlay"
cd /merged || fail "no root"
for folder in proc sys dev; do $b mount --move "/$folder" "$folder"; done
$b mkdir -p dev/shm dev/pts run tmp
for folder in dev/shm run; do $b mount -t tmpfs -o mode=1777 tmpfs "$folder"; done
$b mount -t devpts devpts dev/pts
$b mkdir -p run/rdma-vm
$b mount -t 9p -o "$share" control run/rdma-vm || fail "no control share"
exec $b chroot /merged /bin/bash /run/rdma-vm/guest

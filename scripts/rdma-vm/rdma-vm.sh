#!/usr/bin/env bash
# Runs a command in a small virtual machine that has RDMA devices (soft-RoCE), on a machine that has none.
#
#   scripts/rdma-vm/rdma-vm.sh COMMAND [ARG...]
#
# The command runs as root, in this directory, with this environment, and sees this machine's files at their paths: read-only
# below a layer in memory, so whatever it writes is gone afterwards, but for the folders named in WEFT_VM_SHARE (a:b). Its
# output, errors and exit status come back; 124 when it took longer than WEFT_VM_SECONDS (default 600), 125 when the machine
# broke down. Input is empty. Inside, rxe0 is 10.77.0.1 and rxe1 is 10.77.0.2, at the ends of one virtual wire.
#
# Emulated (TCG), because nested virtualisation is rarely to be had: some ten times slower than this machine. Needs Debian's
# qemu-system-x86, busybox-static, kmod, xz-utils; Debian's kernel is fetched once, into out/rdma-vm.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=$here/../../out/rdma-vm

[[ $# -gt 0 ]] || { echo "usage: ${0##*/} COMMAND [ARG...]" >&2; exit 2; }
for tool in qemu-system-x86_64 busybox modprobe xz; do
  command -v "$tool" > /dev/null && continue
  echo "rdma-vm: $tool is missing: apt-get install --no-install-recommends qemu-system-x86 busybox-static kmod xz-utils" >&2
  exit 125
done
mkdir -p "$cache"
(flock 9 && "$here/prepare.sh" "$cache") 9> "$cache/lock" || exit 125

run=$(mktemp -d)
qemu=
trap '[[ -z $qemu ]] || kill "$qemu" 2> /dev/null; rm -rf "$run"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
cp "$here/guest.sh" "$run/guest"
{ export -p; printf 'cd %q\n' "$PWD"; printf '%q ' "$@"; echo; } > "$run/command"
shares=()
: > "$run/shares"
IFS=: read -ra folders <<< "${WEFT_VM_SHARE-}"
for folder in ${folders[@]+"${folders[@]}"}; do
  folder=$(realpath "$folder")
  tag=share${#shares[@]}
  shares+=(-virtfs "local,path=$folder,mount_tag=$tag,security_model=none,multidevs=remap")
  echo "$tag $folder" >> "$run/shares"
done

# Output goes through inherited descriptors. Two processors at least: with one, polling processes wait for each other's time
# slices. All devices on slots 4, 8, 12, because setting up each other interrupt line takes a third of a second; without erms
# and fsrm copies are emulated twice as fast.
exec 3> >(cat) 4> >(cat >&2)
timeout --foreground -k 5 "${WEFT_VM_SECONDS:-600}" qemu-system-x86_64 \
  -M pc,usb=off,vmport=off -accel tcg,thread=multi -cpu max,la57=off,erms=off,fsrm=off \
  -smp "${WEFT_VM_CPUS:-2}" -m "${WEFT_VM_MIB:-2048}" -nodefaults -no-user-config -no-reboot -display none \
  -kernel "$cache/vmlinux" -initrd "$cache/initrd" \
  -append "console=ttyS0 loglevel=3 panic=-1 mitigations=off nokaslr cryptomgr.notests audit=0 tsc=reliable" \
  -fsdev local,id=root,path=/,security_model=none,multidevs=remap,readonly=on \
  -device virtio-9p-pci,fsdev=root,mount_tag=root,addr=4 \
  -fsdev "local,id=control,path=$run,security_model=none" \
  -device virtio-9p-pci,fsdev=control,mount_tag=control,addr=8 ${shares[@]+"${shares[@]}"} \
  -add-fd fd=3,set=1 -add-fd fd=4,set=2 -device virtio-serial-pci,addr=12 \
  -chardev file,id=out,path=/dev/fdset/1,append=on -device virtserialport,nr=1,chardev=out \
  -chardev file,id=err,path=/dev/fdset/2,append=on -device virtserialport,nr=2,chardev=err \
  -chardev "file,id=console,path=$run/console" -serial chardev:console < /dev/null &
qemu=$!
status=0
wait "$qemu" || status=$?
qemu=
exec 3>&- 4>&-
wait # for the two that copy the output
if [[ $status -eq 124 || $status -eq 137 ]]; then
  echo "rdma-vm: not done within ${WEFT_VM_SECONDS:-600} s (WEFT_VM_SECONDS)" >&2
  exit 124
fi
if [[ ! -s $run/status ]]; then
  echo "rdma-vm: the machine broke down (qemu: $status); its console said:" >&2
  tail -n 30 "$run/console" >&2 || true
  exit 125
fi
exit "$(cat "$run/status")"

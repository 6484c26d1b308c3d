#!/usr/bin/env bash
# Makes CACHE/vmlinux and CACHE/initrd from Debian's kernel package, unless they are there: prepare.sh CACHE
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=$(cd "$1" && pwd)
# linux-image-cloud-amd64 is smaller, but has neither 9p nor rdma_rxe.
modules=(crc32_generic virtio_pci 9pnet_virtio 9p overlay virtio_console veth ib_uverbs rdma_ucm rdma_rxe)

made_of() { cat "$here/prepare.sh" "$here/init.sh" | sha256sum; }
[[ -s $cache/initrd && $(cat "$cache/made-of" 2> /dev/null) == "$(made_of)" ]] && exit 0

newest() { apt-cache depends linux-image-amd64 | awk '/Depends: linux-image-[0-9]/ { print $2; exit }'; }
package=$(newest)
if [[ -z $package ]]; then
  apt-get -qq update
  package=$(newest)
fi
[[ -n $package ]] || { echo "rdma-vm: Debian's linux-image-amd64 is not to be had" >&2; exit 1; }
release=${package#linux-image-}
work=$(mktemp -d "$cache/making.XXXXXX")
trap 'rm -rf "$work"' EXIT
echo "rdma-vm: fetching $package (70 MB, once) ..." >&2
chmod 755 "$work" # apt fetches as a user of its own
(cd "$work" && apt-get -qq download "$package" 2> /dev/null)
dpkg --fsys-tarfile "$work"/*.deb | tar -x -C "$work" ./boot "./lib/modules/$release"

# The kernel without its wrapping, which takes five emulated seconds to unpack. Where the xz stream lies is in the boot header
# (Documentation/arch/x86/boot.rst: setup_sects 0x1f1, payload_offset 0x248, payload_length 0x24c); its last 4 bytes are a size.
kernel=$work/boot/vmlinuz-$release
number() { od -An -tu"$2" -j "$1" -N "$2" "$kernel" | tr -d ' '; }
start=$((($(number 0x1f1 1) + 1) * 512 + $(number 0x248 4)))
length=$(($(number 0x24c 4) - 4))
head -c $((start + length)) "$kernel" | tail -c "$length" | xz -dc > "$work/vmlinux"

# Modules in the order in which they can be loaded, without the signatures, which take long to check. A signature is followed by
# 12 bytes, of which the last 4 are its length, and by a mark of 28.
depmod -b "$work" "$release"
mkdir -p "$work/root"/{bin,modules,proc,sys,dev,host,layer,merged}
for module in "${modules[@]}"; do modprobe -d "$work" -S "$release" --show-depends "$module"; done |
  awk '$1 == "insmod" && !seen[$2]++ { print $2 }' | while read -r file; do
  echo "${file##*/}" >> "$work/root/modules/order"
  size=$(stat -c %s "$file") signed=0
  if [[ $(tail -c 28 "$file" | tr -d '\0') == '~Module signature appended~' ]]; then
    signed=$((40 + 0x$(tail -c 32 "$file" | od -An -tx1 -N 4 | tr -d ' \n')))
  fi
  head -c $((size - signed)) "$file" > "$work/root/modules/${file##*/}"
done
cp "$(command -v busybox)" "$work/root/bin/busybox"
cp "$here/init.sh" "$work/root/init"
chmod 755 "$work/root/init"
(cd "$work/root" && find . | busybox cpio -o -H newc 2> /dev/null) > "$work/initrd"
mv "$work/vmlinux" "$work/initrd" "$cache/"
made_of > "$cache/made-of"

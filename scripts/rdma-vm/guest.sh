# In the machine, with its root as on the machine around it: makes the devices, runs the command, switches off.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
control=/run/rdma-vm
while read -r tag folder; do
  mkdir -p "$folder"
  mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000 "$tag" "$folder"
done < $control/shares
ulimit -l unlimited
ulimit -n 65536
hostname rdma-vm
for i in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${i%:*}" "/dev/${i#*:}"; done
ln -s /proc/self/fd /dev/fd
# Frames of 4096 bytes and their headers fit.
ip -batch - << 'IP'
link set lo up
link add wire0 mtu 4500 type veth peer name wire1 mtu 4500
addr add 10.77.0.1/24 dev wire0
addr add 10.77.0.2/24 dev wire1
link set wire0 up
link set wire1 up
IP
# Both addresses are this machine's own, so packets between them would never leave it. Who sends from one of the interfaces
# is to reach the other by the wire: rules that come before the table of local addresses, and neighbours known beforehand.
for folder in all wire0 wire1; do
  echo 1 > /proc/sys/net/ipv4/conf/$folder/accept_local
  echo 0 > /proc/sys/net/ipv4/conf/$folder/rp_filter
done
ip -batch - << IP
rule add pref 10 oif wire0 to 10.77.0.2 lookup 101
rule add pref 11 oif wire1 to 10.77.0.1 lookup 102
route add 10.77.0.2 dev wire0 src 10.77.0.1 table 101
route add 10.77.0.1 dev wire1 src 10.77.0.2 table 102
rule add pref 100 lookup local
rule del pref 0
neigh replace 10.77.0.2 lladdr $(cat /sys/class/net/wire1/address) dev wire0 nud permanent
neigh replace 10.77.0.1 lladdr $(cat /sys/class/net/wire0/address) dev wire1 nud permanent
IP
rdma link add rxe0 type rxe netdev wire0
rdma link add rxe1 type rxe netdev wire1
out=$(echo /dev/vport*p1) err=$(echo /dev/vport*p2)
bash $control/command < /dev/null > "$out" 2> "$err"
echo $? > $control/status
sync
echo o > /proc/sysrq-trigger
sleep 10

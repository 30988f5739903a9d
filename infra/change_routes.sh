# Runs in the proxy's container, in bash: changes routes and has HAProxy take them, or leaves all as it was.
# It goes on when whoever began it is killed: what the files say is what HAProxy serves.
#
#   put LEASE_S AFTER [NAME CONFIGURATION]...
#       @LEASE_END@ in one becomes the time in LEASE_S seconds. AFTER, unless it is empty: the ids of moves, one of
#       which has to be the live route's last.
#   remove NAME
#
# Exit codes: 10 HAProxy finds a route wrong, 11 it does not take them in time, 12 another move came after.

set -e
umask 022
cd /routes
MAX_RELOAD_S=10

ask() { # the master keeps the connection open after an answer: it has to be told to close it
    exec 3<>/dev/tcp/127.0.0.1/8999 && printf '%s;quit\n' "$1" >&3 && timeout 5 cat <&3
}

serving() { # the worker process that serves; nothing while the master restarts itself
    (ask 'show proc') 2> /dev/null | sed -n '/^# workers/,/^# old/s/^\([0-9][0-9]*\) .*/\1/p' | head -n 1
}

# Asked for by the master's own port: root may send no signal here, and a container that the engine has sent
# one counts as stopped by hand, and would not come back after a crash or a reboot.
reload() {
    local deadline=$((SECONDS + MAX_RELOAD_S)) now
    (ask reload) > /dev/null 2>&1 || true
    while [ $SECONDS -lt $deadline ]; do
        now=$(serving)
        if [ "$now" ] && [ "$now" != "$before" ]; then return; fi
        sleep 0.05
    done
    return 1
}

up() { # the servers that are up for HAProxy now, and their addresses
    (ask "@!$before show servers state") 2> /dev/null | while read -r _ _ _ name address state _; do
        if [ "$state" = 2 ]; then echo "$name $address"; fi
    done
}

# HAProxy waits for the address of each server when it starts, 10 s for a name that nobody has now where the
# DNS outside does not answer: those are left to its resolver, and have no address until that has one. One that
# is up keeps its address: it may have gone just now, or its name is answered late.
mark_unknown() {
    sed -i 's/ init-addr [^ ]*$//' new/*.cfg
    up > old/up
    sed -n 's/^  server .* ipv4@\([^:]*\):.*/\1/p' new/*.cfg | sort -u |
        xargs -r -n 1 -P 16 sh -c 'timeout 1 getent ahostsv4 "$0" > /dev/null || echo "$0"' |
        while read -r name; do
            address=$(sed -n "s/^$name //p" old/up | head -n 1)
            sed -i "/^  server .* ipv4@$name:/s/\$/ init-addr ${address:-none}/" new/*.cfg
        done
}

take() { # the files of a folder in the place of those that differ, and of those of $names that are not there
    local name file
    for name in $names; do
        if [ ! -e "$1/$name.cfg" ]; then rm -f "$name.cfg"; fi
    done
    for file in "$1"/*.cfg; do
        name=${file##*/}
        if [ ! -e "$name" ] || [ "$(< "$file")" != "$(< "$name")" ]; then mv "$file" "$name"; fi
    done
}

exec 9< .
flock -w $((2 * MAX_RELOAD_S)) 9 || { echo "another change of the routes does not end"; exit 1; }
until before=$(serving) && [ "$before" ]; do
    if [ $SECONDS -ge $((3 * MAX_RELOAD_S)) ]; then exit 11; fi
    sleep 0.05
done

rm -rf new old
mkdir new old
cp -p ./*.cfg old/
cp -p ./*.cfg new/
if [ "$1" = remove ]; then
    names=$2
    rm -f "new/$2.cfg"
else
    last=$(sed -n 's/^# move {"id": "\([^"]*\)".*/\1/p' live.cfg 2> /dev/null | tail -n 1)
    if [ "$3" ] && [ "$last" ] && [[ " $3 " != *" $last "* ]]; then exit 12; fi
    lease_end=$(($(date +%s) + $2))
    shift 3
    names=
    while [ $# -gt 0 ]; do
        printf '%s' "$2" | sed "s/@LEASE_END@/$lease_end/" > "new/$1.cfg"
        names="$names $1"
        shift 2
    done
fi
mark_unknown
# Checked all together before they take the place of the old files: a wrong one changes nothing.
if ! said=$(haproxy -c -f new 2>&1); then
    echo "$said"
    rm -rf new old
    exit 10
fi
take new
if ! reload; then
    take old
    reload || true
    exit 11
fi
rm -rf new old

# Runs Redis, through what neither it nor the engine gets over by itself:
#
# - The machine was switched off hard: the append-only file may end in bytes that were never written (NULs), which
#   Redis refuses for ever. They are cut off, with what Redis was just writing, and kept. Redis has answered for
#   nothing of that: it syncs each write before it answers (`appendfsync always`). Anything else is not touched:
#   complete commands behind the damage may be messages that were accepted.
# - The disk is full: Redis ends at the first write that fails, and an engine that cannot write either gives up
#   starting it again. It is started again from here, once there is room.
set -eu
folder=/data/appendonlydir
manifest=$folder/appendonly.aof.manifest
say() { echo "runbook: append-only file: $*"; }

behind() { tail -c "+$((good + 1))" "$file"; }    # the last command that is whole
written() { behind | tr '\0\n' '\n\0' | head -n 1 | tr -d '\n' | tr '\0' '\n'; }    # up to the first NUL

# In one line. What Redis writes between two parts of a command, CR LF, is looked for with them: a customer's text
# may begin with EXEC, or with *2, and stands at a line's start.
# Not 1 but 2, or killed: it could not be looked for, and nothing may be cut off.
lacks() { code=0; written | tr '\r\n' '\1\2' | LC_ALL=C grep -q "$(printf "$1")" || code=$?; [ "$code" = 1 ]; }

# One command that was cut short, or one transaction without its end, and then NULs alone, or nothing?
is_unfinished() {
    [ $(($(written | wc -c) + $(behind | tr -dc '\0' | wc -c))) = $((size - good)) ] || return 1
    case $(written | head -c 15 | tr -d '\r\n') in
        '') return 0 ;;
        '*1$5MULTI') lacks '\1\2[*]1\1\2[$]4\1\2EXEC' ;;
        '*'*) lacks '\1\2[*][0-9][0-9]*\1\2[$]' ;;
        *) return 1 ;;
    esac
}

# Sets `size` of `file` and `good`, up to where it is well; that is empty where it is not known.
analyze() {
    size=$(stat -c %s "$file")
    found=$(redis-check-aof "$manifest" 2>&1) || true
    good=$(echo "$found" | sed -n "s/^AOF analyzed: filename=$last,.* ok_up_to=\([0-9]*\),.*$/\1/p")
}

say_damaged() {
    say "$last is damaged at byte ${good:-?} of $size, and more follows than was being written: not changed."
    say "Copy the volume mounted at /data; then, in a container of this image with that volume:"
    say "  redis-check-aof --fix $manifest   (cuts off all behind that byte)"
}

# Redis ended with an error: because of its file?
explain() {
    [ -n "$last" ] && [ -f "$file" ] || return 0
    analyze
    if [ -z "$good" ]; then
        say "redis-check-aof: $(echo "$found" | tail -n 1)"
    elif [ "$good" != "$size" ] && ! is_unfinished; then
        say_damaged
    fi
}

mend() {
    last=$(sed -n 's/^file \(.*\) seq [0-9]* type i.*$/\1/p' "$manifest" 2>/dev/null | tail -n 1)
    file=$folder/$last
    if [ -n "$last" ] && [ "$(tail -c 1 "$file" | od -An -tx1)" = " 00" ]; then
        analyze
        if [ -z "$good" ] || ! is_unfinished; then
            say_damaged
            exit 1
        fi
        mkdir -p /data/damaged
        kept=/data/damaged/$last.from-byte-$good.$(date -u +%Y%m%dT%H%M%SZ)
        behind > "$kept"
        echo y | redis-check-aof --fix "$manifest" > /dev/null
        say "$last ended in $((size - good)) bytes that were never written whole: cut off, kept in $kept"
    fi
}

has_room() { [ "$(df --output=avail -k /data | tail -n 1)" -ge 1024 ]; }

server='' stopping=''
trap 'stopping=yes; [ -z "$server" ] || kill "$server" 2> /dev/null || true' TERM INT
while true; do
    mend
    redis-server /conf/redis.conf &
    server=$!
    [ -z "$stopping" ] || kill "$server"
    code=0
    wait "$server" || code=$?
    while kill -0 "$server" 2> /dev/null; do    # the first wait was ended by a signal
        code=0
        wait "$server" || code=$?
    done
    if [ -n "$stopping" ]; then exit "$code"; fi
    if has_room; then
        if [ "$code" = 1 ]; then explain; fi    # not where it was killed
        exit "$code"
    fi
    echo "runbook: Redis ended (exit code $code) with the disk full: it is started again once there is room"
    until has_room || [ -n "$stopping" ]; do sleep 1; done
    if [ -n "$stopping" ]; then exit "$code"; fi
done

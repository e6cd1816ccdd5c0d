#!/bin/bash
# A lock as people write it by hand, in bash alone, as a subject (README.md beside this file). It takes
# the lock with SET NX PX, and to give it back it looks whose the lock is, and deletes it.
export LC_ALL=C
# To write to a broken connection is an error, and does not end the subject.
trap '' PIPE
[[ $REDIS_URL =~ ^redis://([^:/]+):([0-9]+) ]] || exit 1
server=/dev/tcp/${BASH_REMATCH[1]}/${BASH_REMATCH[2]}

# Sends a command; its reply is then in $reply. Fails if there is none.
ask() {
    local word request="*$#"$'\r\n'
    for word; do request+="\$${#word}"$'\r\n'"$word"$'\r\n'; done
    printf %s "$request" >&3 && hear && case $reply in
        '$-1') reply= ;;
        '$'*) hear ;;
    esac
}

# A line of the reply.
hear() { IFS= read -r -d $'\r' reply <&3 && IFS= read -r -N 1 <&3; }

# A member of what it is told.
member() { [[ $told =~ \"$1\":\ *\"?([^\",}]*) ]] && echo "${BASH_REMATCH[1]}"; }

acquire() {
    token=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    ask SET "$1" "$token" NX PX "$2" || return 2
    [[ $reply == +OK ]]
}

release() {
    ask GET "$1" || return 2
    [[ $reply == "$token" ]] || return 1
    ask DEL "$1" || return 2
    [[ $reply == :1 ]]
}

reset() { exec 3<>"$server"; }

reset
echo '{"subject": "a lock in bash"}'
while IFS= read -r told; do
    "$(member do)" "$(member lock)" "$(member ttl_ms)"
    case $? in
        0) echo '{"ok": true}' ;;
        1) echo '{"ok": false, "why": "somebody else has it"}' ;;
        *) echo '{"error": "no reply"}' ;;
    esac
done

#!/usr/bin/env bash
# check_then_delete: A release compares the token, loses the lock, and deletes its
# successor's.
#
# What the clients sent (lock protocol: legacy), in the order of a schedule. Each client is
# a terminal:
# terminal 1: holder
# terminal 2: rival
# Below each command stands the reply that was seen, after "->", as redis-cli prints it on a
# terminal.
#
# Needs a Redis whose database 0 is empty, and leaves its keys there:
#   redis-server --port 6400 --save ''
#   REDIS_CLI='redis-cli -p 6400' bash -v THIS_FILE
# Or type each command in its terminal.
# The shortest lease is 1 s: a slower run sees it expire by itself.
#
# Made by nodb-trigger of v1:check_then_delete@1be56e8f:legacy:async:ttl=1s,default_ttl=6h,wait=0s:1x5.e1.2x4.1x2.2x4:foreign_release

redis-cli() { command ${REDIS_CLI:-redis-cli} "$@"; }
if [ "$(redis-cli --raw DBSIZE)" != 0 ]; then
    echo "this needs a Redis that answers and whose database 0 is empty" >&2
    exit 1
fi

# 1. Terminal 1 (holder), acquire: SET lock NX EX 1 -> OK
redis-cli SET nodb-lock:run:debug_lock_test.nodb '{"token":"e220a8397b1d4dafae789e6aa1b965f4","owner":"virtual:1","acquired_at":1735689600,"expires_at":1735689601,"ttl":1}' NX EX 1
# -> OK

# 2. Terminal 1 (holder), acquire: HSET flag true -> 1
redis-cli HSET run locked:debug_lock_test.nodb true
# -> (integer) 1

# 3. Terminal 1 (holder), release: GET lock -> own token
redis-cli GET nodb-lock:run:debug_lock_test.nodb
# -> "{\"token\":\"e220a8397b1d4dafae789e6aa1b965f4\",\"owner\":\"virtual:1\",\"acquired_at\":1735689600,\"expires_at\":1735689601,\"ttl\":1}"

# 4. The server: TTL of lock ends
# The lease expires here; DEL has the same effect at once:
redis-cli DEL nodb-lock:run:debug_lock_test.nodb
# -> (integer) 1

# 5. Terminal 2 (rival), acquire: SET lock NX EX 21600 -> OK
redis-cli SET nodb-lock:run:debug_lock_test.nodb '{"token":"becadfbde9f34965b1087c0cd937cc28","owner":"virtual:1","acquired_at":1735689601,"expires_at":1735711201,"ttl":21600}' NX EX 21600
# -> OK

# 6. Terminal 2 (rival), acquire: HSET flag true -> 0
redis-cli HSET run locked:debug_lock_test.nodb true
# -> (integer) 0

# 7. Terminal 1 (holder), release: DEL lock -> 1   <-- deletes rival's lock
redis-cli DEL nodb-lock:run:debug_lock_test.nodb
# -> (integer) 1

# 8. Terminal 1 (holder), release: HSET flag false -> 0
redis-cli HSET run locked:debug_lock_test.nodb false
# -> (integer) 0

# 9. Terminal 1 (holder): ends

# 10. Terminal 2 (rival), dump: GET lock -> nil
redis-cli GET nodb-lock:run:debug_lock_test.nodb
# -> (nil)

# 11. Terminal 2 (rival), dump: HGET flag -> false
redis-cli HGET run locked:debug_lock_test.nodb
# -> "false"

# 12. Terminal 2 (rival): is refused: cannot dump to unlocked db

# 13. Terminal 2 (rival), release: GET lock -> nil
redis-cli GET nodb-lock:run:debug_lock_test.nodb
# -> (nil)

# 14. Terminal 2 (rival), release: HSET flag false -> 0
redis-cli HSET run locked:debug_lock_test.nodb false
# -> (integer) 0

# 15. Terminal 2 (rival): ends

# What is wrong:
# foreign_release: holder's lease ended at step 4 while it was releasing the lock; rival
# acquired at step 5; holder's release at step 7 deleted rival's lock

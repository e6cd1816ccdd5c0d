# nodb-trigger probe --subject 'python3 subject.py'   (needs: pip install redis)
# Put your lock where it says HERE.
import json
import os
import sys
import uuid

import redis

DELETE_OWN = "return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('DEL', KEYS[1]) or 0"


class Client:
    def __init__(self):
        self.redis = redis.from_url(os.environ["REDIS_URL"])

    def acquire(self, lock, ttl_ms):  # HERE: once, without waiting; true if acquired
        self.token = uuid.uuid4().hex
        return self.redis.set(lock, self.token, nx=True, px=ttl_ms)

    def release(self, lock):  # HERE: true if the lock was still its own
        return self.redis.eval(DELETE_OWN, 1, lock, self.token)


client = Client()
print(json.dumps({"subject": "my lock"}), flush=True)
for line in sys.stdin:
    told = json.loads(line)
    try:
        do = told.pop("do")
        if do == "reset":
            client = Client()
        done = do == "reset" or bool(getattr(client, do)(**told))
        print(json.dumps({"ok": done}), flush=True)
    except redis.RedisError as error:
        print(json.dumps({"error": str(error)}), flush=True)

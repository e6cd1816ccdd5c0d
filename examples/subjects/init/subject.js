// nodb-trigger probe --subject 'node subject.js'   (needs: npm install ioredis)
// Put your lock where it says HERE.
const { randomUUID } = require("node:crypto");
const readline = require("node:readline");
const Redis = require("ioredis");

const DELETE_OWN = "return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('DEL', KEYS[1]) or 0";
let redis;
let token;

const verbs = {
  reset() {
    redis?.disconnect();
    redis = new Redis(process.env.REDIS_URL, { retryStrategy: null, lazyConnect: true });
    redis.on("error", () => {});
    return true;
  },
  acquire({ lock, ttl_ms }) { // HERE: once, without waiting; true if acquired
    token = randomUUID();
    return redis.set(lock, token, "PX", ttl_ms, "NX");
  },
  release({ lock }) { // HERE: true if the lock was still its own
    return redis.eval(DELETE_OWN, 1, lock, token);
  },
};

const say = (line) => console.log(JSON.stringify(line));
verbs.reset();
say({ subject: "my lock" });
const lines = readline.createInterface({ input: process.stdin });
(async () => {
  for await (const line of lines) {
    const told = JSON.parse(line);
    try {
      say({ ok: Boolean(await verbs[told.do](told)) });
    } catch (error) {
      say({ error: String(error) });
    }
  }
  redis.disconnect();
})();

// redlock with ioredis as a subject; the protocol is described in ../README.md.
"use strict";

const readline = require("node:readline");
const Redis = require("ioredis");
const Redlock = require("redlock");

const REFUSED = new Set(["LockError", "ExecutionError"]);

let redis;
let redlock;
let locks;

function reset() {
  if (redis) redis.disconnect();
  redis = new Redis(process.env.REDIS_URL, { retryStrategy: null, lazyConnect: true });
  redis.on("error", () => {}); // Whoever asks hears of it.
  redlock = new Redlock([redis], { retryCount: 0 });
  redlock.on("clientError", () => {});
  locks = new Map();
}

const verbs = {
  reset,
  acquire: async ({ lock, ttl_ms }) => void locks.set(lock, await redlock.lock(lock, ttl_ms)),
  extend: async ({ lock, ttl_ms }) => void (await locks.get(lock).extend(ttl_ms)),
  release: async ({ lock }) => void (await locks.get(lock).unlock()),
};

const say = (something) => process.stdout.write(`${JSON.stringify(something)}\n`);

async function main() {
  reset();
  const version = require("redlock/package.json").version;
  say({ subject: `redlock ${version} (ioredis)`, can: ["extend"] });
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const told = JSON.parse(line);
    try {
      await verbs[told.do](told);
      say({ ok: true });
    } catch (error) {
      say(REFUSED.has(error.name) ? { ok: false, why: error.message } : { error: String(error) });
    }
  }
  redis.disconnect();
}

main();

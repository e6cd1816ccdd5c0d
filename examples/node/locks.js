// Two home-made locks, as many programs have them, and their fixes.
"use strict";

const { randomUUID } = require("node:crypto");

const DELETE_OWN = `
if redis.call("GET", KEYS[1]) == ARGV[1] then
  return redis.call("DEL", KEYS[1])
end
return 0
`;

async function take(client, key, ttlMs) {
  const token = randomUUID();
  return (await client.set(key, token, "PX", ttlMs, "NX")) ? token : null;
}

// Between the two commands the lease may expire, and another client acquire the lock.
async function drop(client, key, token) {
  if ((await client.get(key)) === token) {
    await client.del(key);
  }
}

async function dropOwn(client, key, token) {
  return client.eval(DELETE_OWN, 1, key, token);
}

// A client that is killed between the two commands leaves a lock without a TTL.
async function takeInTwoSteps(client, key, ttlMs) {
  const token = randomUUID();
  if (!(await client.setnx(key, token))) return null;
  await client.pexpire(key, ttlMs);
  return token;
}

module.exports = { drop, dropOwn, take, takeInTwoSteps };

// The same locks in every ordering. Run it where ioredis and nodb-trigger are installed:
// node --test examples/node

import assert from "node:assert/strict";
import { test } from "node:test";
import { probe } from "nodb-trigger";
import { drop, dropOwn, take, takeInTwoSteps } from "./locks.js";

const acquire = ({ client, key, ttlMs }) => take(client, key, ttlMs);
const release = ({ client, key, token }) => dropOwn(client, key, token);

test("a release in two steps deletes another client's lock", async () => {
  const inTwoSteps = ({ client, key, token }) => drop(client, key, token);
  const result = await probe({ acquire, release: inTwoSteps });
  assert.throws(() => result.assertSafe(), /foreign_release[^]*locks\.js:\d+: await client\.del\(key\);/);
});

test("a release in one script does not", async () => {
  (await probe({ acquire, release })).assertSafe();
});

test("an acquire in two steps leaves a lock for good when its client is killed", async () => {
  const inTwoSteps = ({ client, key, ttlMs }) => takeInTwoSteps(client, key, ttlMs);
  const result = await probe({ acquire: inTwoSteps, release });
  assert.throws(() => result.assertSafe(), /stuck_lock/);
});

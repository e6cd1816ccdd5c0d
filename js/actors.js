// Actors of `probe` in this process. The program starts a relay for each actor (RELAY), which connects to a
// socket here and passes lines on; each connection is an actor with a client of its own.
"use strict";

const fs = require("node:fs");
const net = require("node:net");
const os = require("node:os");
const path = require("node:path");
const readline = require("node:readline");
const sent = require("./sent.js");

const RELAY = `
const there = require("net").connect(process.argv[1]);
there.write(process.env.REDIS_URL + "\\n");
process.stdin.pipe(there);
there.pipe(process.stdout);
there.on("close", () => process.exit());
there.on("error", () => process.exit(1));
`;

/** Listens until it is closed; gives `{ path, close, lines }`. */
async function listen(functions) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "nodb-trigger-"));
  const socket = path.join(directory, "actors");
  const lines = new Map();
  const connections = new Set();
  const server = net.createServer((connection) => {
    connections.add(connection);
    serve(connection, functions, lines).catch(() => connection.destroy());
  });
  await new Promise((ready) => server.listen(socket, ready));
  const close = () => {
    for (const connection of connections) connection.destroy();
    server.close();
    fs.rmSync(directory, { recursive: true, force: true });
  };
  return { path: socket, close, lines };
}

async function serve(connection, functions, lines) {
  connection.on("error", () => {});
  const say = (something) => connection.write(`${JSON.stringify(something)}\n`);
  let url;
  let life;
  const begin = async () => {
    if (life) await life.end();
    life = await Life.begin(functions, url, lines);
  };
  try {
    for await (const line of readline.createInterface({ input: connection })) {
      if (url === undefined) {
        url = line;
        await begin();
        say({ subject: functions.name, can: functions.extend ? ["extend"] : [] });
        continue;
      }
      const told = JSON.parse(line);
      if (told.do === "reset") {
        await begin();
        say({ ok: true });
      } else {
        say(await life.obey(told));
      }
    }
  } finally {
    if (life) await life.end();
  }
}

/** A client from one reset to the next. */
class Life {
  static async begin(functions, url, lines) {
    const life = new Life();
    Object.assign(life, { functions, tokens: new Map(), client: await functions.connect(url) });
    if (life.client && typeof life.client.on === "function") life.client.on("error", () => {});
    sent.note(life.client, lines);
    return life;
  }

  async end() {
    const { client } = this;
    const end = client && (client.disconnect || client.destroy || client.close);
    try {
      await (end && end.call(client));
    } catch {
      // It may be closed already.
    }
  }

  async obey({ do: verb, lock: key, ttl_ms: ttlMs }) {
    try {
      const token = this.tokens.get(key);
      const told = { client: this.client, key, ttlMs, ttl: ttlMs && Math.max(1, Math.floor(ttlMs / 1000)) };
      const done = await this.functions[verb](verb === "acquire" ? told : { ...told, token });
      if (verb === "acquire") this.tokens.set(key, done);
      const isDone = verb === "acquire" ? Boolean(done) : done === undefined || Boolean(done);
      return isDone ? { ok: true } : { ok: false, why: `it returned ${done}` };
    } catch (error) {
      const { name = "Error", message = String(error) } = error || {};
      if (this.functions.refused.some((it) => it === name || (typeof it === "function" && error instanceof it)))
        return { ok: false, why: `${name}: ${message}` };
      const hint = verb === "acquire" ? ` (if that means that the lock is taken: refused: ["${name}"])` : "";
      return { error: `${name}: ${message}${hint}` };
    }
  }
}

module.exports = { RELAY, listen };

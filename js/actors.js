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
const upstream = require("net").connect(process.argv[1]);
upstream.write(process.env.REDIS_URL + "\\n");
process.stdin.pipe(upstream);
upstream.pipe(process.stdout);
upstream.on("close", () => process.exit());
upstream.on("error", () => process.exit(1));
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
  const say = (line) => connection.write(`${JSON.stringify(line)}\n`);
  let url;
  let life;
  const obey = async (instruction) => {
    try {
      const isReset = instruction.do === "reset";
      if (isReset && life) await life.end();
      if (isReset || !life) life = await Life.begin(functions, url, lines);
      return isReset ? { ok: true } : await life.obey(instruction);
    } catch (error) {
      return { error: wordsOf(error) };
    }
  };
  try {
    for await (const line of readline.createInterface({ input: connection })) {
      if (url === undefined) {
        url = line;
        const lease = functions.lease === "own" ? { lease: "own" } : {};
        say({ subject: functions.name, can: functions.extend ? ["extend"] : [], ...lease });
      } else {
        say(await obey(JSON.parse(line)));
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
    let hasLease = ttlMs === undefined || this.functions.lease === "own";
    const leased = (value) => ({ enumerable: true, get: () => ((hasLease = true), value) });
    const token = this.tokens.get(key);
    const argument = verb === "acquire" ? { client: this.client, key } : { client: this.client, key, token };
    if (ttlMs !== undefined) {
      const ttl = Math.max(1, Math.floor(ttlMs / 1000));
      Object.defineProperties(argument, { ttlMs: leased(ttlMs), ttl: leased(ttl) });
    }
    let done;
    try {
      done = await this.functions[verb](argument);
    } catch (error) {
      return this.raised(verb, error);
    }
    if (!hasLease) return { error: `${verb} read neither ttl nor ttlMs; if its lease is its own, say lease: "own"` };
    if (verb !== "acquire") return done === undefined || done ? { ok: true } : refusal(done);
    if (Array.isArray(done))
      return { error: "acquire returned an array; return a token, or null if the lock is taken" };
    this.tokens.set(key, done);
    return done ? { ok: true } : refusal(done);
  }

  raised(verb, error) {
    const { refused } = this.functions;
    if (refused.some((it) => it === error?.name || (typeof it === "function" && error instanceof it)))
      return { ok: false, why: wordsOf(error) };
    const isBug = error instanceof TypeError || error instanceof ReferenceError;
    const hint = `(if that means that the lock is taken: refused: ["${error?.name}"])`;
    return { error: verb === "acquire" && !isBug ? `${wordsOf(error)} ${hint}` : wordsOf(error) };
  }
}

const refusal = (done) => ({ ok: false, why: `it returned ${done}` });

const wordsOf = (error) => `${error?.name ?? "Error"}: ${error?.message ?? error}`;

module.exports = { RELAY, listen };

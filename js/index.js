// Probes lock functions of this process: every ordering of what two clients of them send.
"use strict";

const { spawn } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const { RELAY, listen } = require("./actors.js");
const { program } = require("./program.js");

const SOUND = 0;
const BROKEN = 1;
const INCONCLUSIVE = 4;
const SHARED = "All clients ran in one process: what its modules remember outlives a client and is shared by all.";

/** No verdict; the message says why and what to do. */
class Inconclusive extends Error {
  name = "Inconclusive";
}

/** What was found; `status` is 0 if the lock is sound, 1 if it is broken, and otherwise there is no verdict. */
class Result {
  constructor(status, report, errors) {
    this.status = status;
    this.report = report;
    this.errors = errors;
    this.evidence = `${report.trimEnd().split("\n\n").pop().split(/\s+/).join(" ")} ${SHARED}`;
  }

  /** Throws if an ordering breaks the lock, and `Inconclusive` if there is no verdict. */
  assertSafe() {
    if (this.status === BROKEN) {
      const error = new Error(`an ordering breaks the lock\n\n${this.report}`);
      error.name = "AssertionError";
      throw error;
    }
    if (this.status !== SOUND) throw new Inconclusive(`${this.errors}${this.report}`.trim());
    return this;
  }
}

async function probe(options) {
  const { acquire, release, extend, connect = connected, refused = [], lease } = options;
  for (const [name, it] of Object.entries({ acquire, release }))
    if (typeof it !== "function") throw new TypeError(`probe needs a function ${name}`);
  if (lease !== undefined && lease !== "own") throw new TypeError('the only lease to say is "own"');
  const replay = process.env.NODB_REPLAY;
  const name = [acquire, release, extend].filter(Boolean).map((it) => it.name || "function").join(", ");
  const functions = { name, acquire, release, extend, connect, lease, refused: [refused].flat() };
  const actors = await listen(functions);
  process.once("exit", actors.close);
  try {
    const quoted = [process.execPath, "-e", RELAY, actors.path].map((word) => `'${word.replaceAll("'", "'\\''")}'`);
    const words = [...what(options, replay), "--subject", `exec ${quoted.join(" ")}`];
    const { status, out, errors } = await run(words);
    const report = again(withLines(out, actors.lines));
    // A schedule went as it says, or without what it shows: one ordering proves no lock sound.
    return new Result(replay ? { 0: BROKEN, 1: INCONCLUSIVE }[status] ?? status : status, report, errors);
  } finally {
    process.removeListener("exit", actors.close);
    actors.close();
  }
}

function what({ scenario = "mutual_exclusion", clients, crashes, faults, maxTime }, replay) {
  if (replay) return ["replay", replay];
  const words = ["probe", scenario];
  if (clients !== undefined) words.push("--param", `clients=${clients}`);
  for (const [flag, value] of [["--crashes", crashes], ["--faults", faults], ["--max-time", maxTime]])
    if (value !== undefined) words.push(flag, String(value));
  return words;
}

function run(words) {
  return new Promise((ended, failed) => {
    const child = spawn(program(), words, { stdio: ["ignore", "pipe", "pipe"] });
    const stop = () => child.kill("SIGTERM");
    process.once("exit", stop);
    let [out, errors] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (some) => (out += some));
    child.stderr.setEncoding("utf8").on("data", (some) => (errors += some));
    child.on("error", failed);
    child.on("close", (code) => {
      process.removeListener("exit", stop);
      ended({ status: code ?? 3, out, errors });
    });
  });
}

/** The client that is installed: ioredis, or else redis. */
async function connected(url) {
  const ioredis = optional("ioredis");
  if (ioredis) return new ioredis(url, { retryStrategy: null, lazyConnect: true });
  const redis = optional("redis");
  if (!redis) throw new Error("neither ioredis nor redis is installed; say connect: (url) => client");
  const client = redis.createClient({ url, socket: { reconnectStrategy: false } });
  client.on("error", () => {});
  return client.connect();
}

function optional(name) {
  try {
    return require(require.resolve(name, { paths: [process.cwd(), __dirname] }));
  } catch {
    return undefined;
  }
}

/** The command that repeats it here instead of one that needs this process. */
function again(report) {
  return report.replace(
    /^replay: nodb-trigger replay (\S+) --subject .*$/gm,
    "replay: run this test alone with NODB_REPLAY=$1",
  );
}

function withLines(report, lines) {
  const told = [];
  for (const row of report.split("\n")) {
    told.push(row);
    const marked = /^ *\d+ +(\w+) .*<--/.exec(row);
    for (const place of [...((marked && lines.get(marked[1].toUpperCase())) || [])].sort()) {
      const [, file, line] = /^(.*):(\d+)$/.exec(place);
      told.push(`      ${path.relative("", file)}:${line}: ${codeAt(file, Number(line))}`);
    }
  }
  return told.join("\n");
}

function codeAt(file, line) {
  try {
    return fs.readFileSync(file, "utf8").split("\n")[line - 1].trim();
  } catch {
    return "";
  }
}

module.exports = { Inconclusive, Result, probe };

#!/usr/bin/env node
"use strict";

const { spawnSync } = require("node:child_process");
const { constants } = require("node:os");
const { program } = require("./program.js");

try {
  // It gets Ctrl-C from the terminal and ends this one by its end.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => {});
  const ended = spawnSync(program(), process.argv.slice(2), { stdio: "inherit" });
  if (ended.error) throw ended.error;
  process.exitCode = ended.signal ? 128 + constants.signals[ended.signal] : ended.status;
} catch (error) {
  console.error(`nodb-trigger: ${error.message}`);
  process.exitCode = 3;
}

// Which line of the user's code sends which command, by a hook in the client (ioredis, node-redis).
"use strict";

const { fileURLToPath } = require("node:url");

function note(client, lines) {
  if (!client || typeof client.sendCommand !== "function") return;
  const send = client.sendCommand;
  client.sendCommand = function (command, ...rest) {
    const name = Array.isArray(command) ? command[0] : command && command.name;
    const line = lineOf(new Error().stack || "");
    if (name && line) {
      const known = String(name).toUpperCase();
      if (!lines.has(known)) lines.set(known, new Set());
      lines.get(known).add(line);
    }
    return send.call(this, command, ...rest);
  };
}

/** The innermost line outside libraries, as file:line:column. */
function lineOf(stack) {
  for (const frame of stack.split("\n").slice(1)) {
    const place = /\(?((?:file:\/\/|\/)[^()]+:\d+):\d+\)?$/.exec(frame.trim());
    if (!place || place[1].includes("node_modules") || place[1].startsWith(__dirname)) continue;
    return place[1].startsWith("file:") ? fileURLToPath(place[1].replace(/:\d+$/, "")) + /:\d+$/.exec(place[1])[0] : place[1];
  }
  return undefined;
}

module.exports = { note };

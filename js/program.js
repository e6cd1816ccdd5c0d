// Where the program is: in the package for this platform, or else on the PATH.
"use strict";

const fs = require("node:fs");
const path = require("node:path");

function program() {
  try {
    return require.resolve(`nodb-trigger-${process.platform}-${process.arch}/nodb-trigger`);
  } catch {
    const here = (process.env.PATH || "").split(path.delimiter).map((it) => path.join(it, "nodb-trigger"));
    // The script of this package may be there, too.
    const found = here.find((it) => isExecutable(it) && fs.realpathSync(it) !== path.join(__dirname, "bin.js"));
    if (found) return found;
    throw new Error(
      `nodb-trigger has no binary for this platform (${process.platform} ${process.arch}): there are ` +
        "packages for Linux on x64 and arm64. Elsewhere run it in a container, or build it from its " +
        "repository with cargo (Linux).",
    );
  }
}

function isExecutable(file) {
  try {
    fs.accessSync(file, fs.constants.X_OK);
    return fs.statSync(file).isFile();
  } catch {
    return false;
  }
}

module.exports = { program };

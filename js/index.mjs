import all from "./index.js";

export const { Inconclusive, Result, probe } = all;

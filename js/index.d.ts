/** What a function of a lock is called with. */
export interface Told<Client> {
  client: Client;
  key: string;
}

export interface Granted<Client, Token> extends Told<Client> {
  /** What the acquire returned. */
  token: Token;
}

export interface Lease {
  /** In milliseconds. */
  ttlMs: number;
  /** In whole seconds, at least 1. */
  ttl: number;
}

export interface Options<Client = any, Token = any> {
  /** A true value means acquired; undefined, null, false, 0 or "" refused. It tries once. */
  acquire(told: Told<Client> & Lease): Token | Promise<Token>;
  /** A false value that is not undefined means that the lock was lost. */
  release(told: Granted<Client, Token>): unknown;
  extend?(told: Granted<Client, Token> & Lease): unknown;
  /** A new client; by default of ioredis or redis, without reconnecting. */
  connect?(url: string): Client | Promise<Client>;
  /** Errors with which acquire reports that the lock is taken: their names or classes. */
  refused?: string | Function | (string | Function)[];
  /** Say "own" if acquire reads neither ttl nor ttlMs and sets a lease of its own. */
  lease?: "own";
  /** How many clients there are; by default as many as the scenario has (2). */
  clients?: number;
  /** A built-in scenario or a file; by default mutual_exclusion. */
  scenario?: string;
  /** How many clients are killed anywhere; by default 0, then 1. */
  crashes?: number;
  /** How many commands are lost or delayed anywhere; by default 0, then 1. */
  faults?: number;
  /** A duration such as "30s"; by default 60 s. */
  maxTime?: string;
}

/** No verdict; the message says why and what to do. */
export class Inconclusive extends Error {}

export class Result {
  /** 0: sound; 1: broken; otherwise there is no verdict. */
  readonly status: number;
  readonly report: string;
  readonly errors: string;
  /** The verdict with what was covered. */
  readonly evidence: string;
  /** Throws if an ordering breaks the lock, and Inconclusive if there is no verdict. */
  assertSafe(): this;
}

/** Explores all orderings of clients that acquire and release a lock with these functions. */
export function probe<Client = any, Token = any>(options: Options<Client, Token>): Promise<Result>;

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
  /** Errors by which acquire says that the lock is taken: their names or classes. */
  refused?: string | Function | (string | Function)[];
  /** How many clients there are, 2 or more; by default 2. */
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

/** Nothing is known: why, and what to do. */
export class Inconclusive extends Error {}

export class Result {
  /** 0: sound; 1: broken; else nothing is known. */
  readonly status: number;
  readonly report: string;
  readonly errors: string;
  /** The verdict with what was covered. */
  readonly evidence: string;
  /** Throws where an ordering breaks the lock, and Inconclusive where nothing is known. */
  assertSafe(): this;
}

/** Explores all orderings of clients that acquire and release a lock with these functions. */
export function probe<Client = any, Token = any>(options: Options<Client, Token>): Promise<Result>;

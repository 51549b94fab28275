import type { Algorithm } from './algorithms.ts';
import { importKeySet, type VerifyKey } from './key-import.ts';
import type { KeySource, OnNote } from './key-source.ts';

/** Keys are asked for anew when they are this old, while the old ones go on to serve. */
export const MAX_AGE_MS = 600_000;
/** Keys that could not be had anew for this long are not trusted any more: one of them may have been withdrawn. */
export const MAX_STALE_MS = 3_600_000;
/** Time between two requests, so that tokens that name keys at random make no load for the other side. */
export const COOLDOWN_MS = 10_000;
/** For the whole answer. */
export const TIMEOUT_MS = 5000;
export const MAX_JWKS_BYTES = 256 * 1024;

/** Keys of a JWKS address, kept, and asked for anew when they are old or a token names one that is not there. */
export class RemoteKeys implements KeySource {
  private readonly url: URL;
  private readonly allowed: readonly Algorithm[];
  private readonly onNote: OnNote;
  private readonly elapsedMs: () => number;
  private have: readonly VerifyKey[] = [];
  private gotAtMs = Number.NEGATIVE_INFINITY;
  private askedAtMs = Number.NEGATIVE_INFINITY;
  private asking: Promise<boolean> | undefined;
  private problem = '';

  constructor(url: URL, allowed: readonly Algorithm[], onNote: OnNote, elapsedMs: () => number) {
    this.url = url;
    this.allowed = allowed;
    this.onNote = onNote;
    this.elapsedMs = elapsedMs;
  }

  get known(): boolean {
    return this.elapsedMs() - this.gotAtMs < MAX_STALE_MS;
  }

  get keys(): readonly VerifyKey[] {
    return this.known ? this.have : [];
  }

  async refresh(): Promise<void> {
    if (this.elapsedMs() - this.gotAtMs >= MAX_AGE_MS) void this.ask();
  }

  lookAgain(): Promise<boolean> {
    return this.ask();
  }

  /** One request at a time, and none within the cooldown. True when keys came. */
  private ask(): Promise<boolean> {
    if (this.asking !== undefined) return this.asking;
    if (this.elapsedMs() - this.askedAtMs < COOLDOWN_MS) return Promise.resolve(false);
    this.askedAtMs = this.elapsedMs();
    this.asking = this.load().finally(() => {
      this.asking = undefined;
    });
    return this.asking;
  }

  private async load(): Promise<boolean> {
    try {
      this.have = await importKeySet(JSON.parse(await fetchText(this.url)), this.allowed);
      this.gotAtMs = this.elapsedMs();
      if (this.problem !== '')
        this.onNote({ level: 'info', message: `Keys come from ${this.url.href} again.` });
      this.problem = '';
      return true;
    } catch (error) {
      const problem = `No keys from ${this.url.href}: ${reasonOf(error)}.`;
      if (problem !== this.problem)
        this.onNote({ level: 'warn', message: `${problem} ${this.consequence()}` });
      this.problem = problem;
      return false;
    }
  }

  private consequence(): string {
    return this.known
      ? `Those from before stay in force for at most ${MAX_STALE_MS / 60_000} minutes.`
      : 'Tokens that need them are refused until they come.';
  }
}

/** The body of an answer 200. An address that leads elsewhere is not followed: it was not the one that is trusted. */
async function fetchText(url: URL): Promise<string> {
  const response = await fetch(url, {
    redirect: 'manual',
    headers: { accept: 'application/jwk-set+json, application/json' },
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  if (response.status !== 200) {
    await response.body?.cancel();
    throw new Error(`the answer is HTTP ${response.status}`);
  }
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength;
    // Leaving the loop cancels the rest.
    if (bytes > MAX_JWKS_BYTES) throw new Error(`the answer has more than ${MAX_JWKS_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'TimeoutError') return `no answer within ${TIMEOUT_MS} ms`;
  const cause = error.cause as NodeJS.ErrnoException | undefined;
  return cause?.code ?? error.message;
}

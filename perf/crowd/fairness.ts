import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RULES } from '../../src/admission/rules.ts';
import { generateKey, importSigningKey, mintToken } from '../../src/auth/mint.ts';
import { connect } from '../../src/client/index.ts';
import type { Books } from '../books.ts';
import { loadThreads } from '../load-threads.ts';
import { ServerProcess } from '../server-process.ts';
import { blaming, STUCK_MS } from '../wire.ts';
import type { BuyersTask, buy, Purchases } from './buyers.ts';
import type { Haul, HoardersTask, hoard } from './hoarders.ts';

export interface FairnessOptions {
  readonly hoarders: number;
  readonly connectionsEach: number;
  readonly buyers: number;
  /** How long hoarders hammer; buyers come in the first half. */
  readonly seconds: number;
  /** Arguments to node that start a Holdfast server on a free port, without authentication. */
  readonly server: readonly string[];
  readonly onProgress?: (text: string) => void;
}

export interface FairnessResult {
  readonly hoarders: number;
  readonly connectionsEach: number;
  readonly buyers: number;
  readonly unitsEach: number;
  /** Units of the prize: as many as all of them may have, and not one more. */
  readonly units: number;
  readonly honest: Purchases;
  readonly hoarded: {
    /** Units of the prize, by all hoarders and by the one who has most. */
    readonly units: number;
    readonly most: number;
    /** HOLDs of either SKU that were accepted, of the one who has most, and what the window lets one holder have. */
    readonly mostHolds: number;
    readonly mayHold: number;
    /** Commands that were let through, of the one who has most, and what the rate lets one holder send. */
    readonly mostAdmitted: number;
    readonly mayAdmit: number;
    readonly sentPerSecond: number;
    readonly refused: number;
  };
  /** What the server refused, by layer, as its metrics say. */
  readonly refusedByLayer: Readonly<Record<string, number>>;
  readonly books: Books;
  readonly oversold: number;
  /** Units that are neither available nor with anybody who was told so. */
  readonly leaked: number;
  /** Units that somebody was told to have, and the server does not know of. */
  readonly lost: number;
  /** Nobody got more than the limits let one holder have, all buyers got what they wanted, and the books are right. */
  readonly verified: boolean;
}

const PRIZE = 'prize';
const PLENTY = 'plenty';
export const UNITS_EACH = 2;
const PLENTY_UNITS = 1_000_000;
/** Beyond the end of the run, so that what was taken is still there to be counted. */
const TTL_MS = 600_000;
const TOKEN_S = 600;
/** All come from one address here, and are to be told apart by their tokens alone. */
const MANY_FROM_HERE = ['--max-connections-per-address', '20000', '--max-handshakes-per-address', '20000'];

/**
 * A hundred hoarders against honest buyers, under the rules that hold where nobody says otherwise: there is just enough of the prize for
 * everybody to have what one holder may have. Rejects when the server fails.
 */
export async function benchFairness(options: FairnessOptions): Promise<FairnessResult> {
  const { hoarders, connectionsEach, buyers, seconds, server } = options;
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-fairness-'));
  const { signing, verifying } = generateKey('ES256');
  const keyFile = join(folder, 'key.json');
  writeFileSync(keyFile, JSON.stringify(verifying));
  const holdfast = await ServerProcess.start('Holdfast server', [
    ...server,
    ...['--auth-keys', `file:${keyFile}`],
    ...MANY_FROM_HERE,
  ]);
  const pool = loadThreads(new URL('./hoarders.ts', import.meta.url), 2);
  try {
    const port = await holdfast.port;
    const key = importSigningKey(JSON.stringify(signing));
    const issuedAt = Math.floor(Date.now() / 1000);
    const tokenOf = async (subject: string, scopes: readonly string[]): Promise<string> => {
      const claims = { subject, scopes, issuedAt, expiresAt: issuedAt + TOKEN_S };
      return (await mintToken(key, claims)).token;
    };
    const tokens = (name: string, count: number): Promise<string[]> =>
      Promise.all(Array.from({ length: count }, (_, i) => tokenOf(`${name}-${i}`, ['hold'])));
    const root = await tokenOf('root', ['admin']);
    const ask = new Desk(port, root);

    const units = UNITS_EACH * (hoarders + buyers);
    const admin = await connect(`ws://127.0.0.1:${port}/v1/ws`, { token: root });
    await admin.stock({ sku: PRIZE, total: units, maxPerHolder: UNITS_EACH });
    await admin.stock({ sku: PLENTY, total: PLENTY_UNITS });
    await admin.close();

    options.onProgress?.(
      `fairness: ${hoarders} hoarders with ${connectionsEach} connections each, ${buyers} buyers, ${seconds} s`,
    );
    const hoarding: HoardersTask = {
      ...{ port, tokens: await tokens('hoarder', hoarders), connectionsEach },
      ...{ prize: PRIZE, plenty: PLENTY, seconds, ttlMs: TTL_MS },
    };
    const buying: BuyersTask = {
      ...{ port, tokens: await tokens('buyer', buyers), sku: PRIZE },
      ...{ units: UNITS_EACH, seconds: seconds / 2, ttlMs: TTL_MS },
    };
    const signal = AbortSignal.timeout(seconds * 1000 + 2 * STUCK_MS);
    const filename = new URL('./buyers.ts', import.meta.url).href;
    const [hauls, honest] = await blaming(
      holdfast.failure,
      Promise.all([
        pool.run(hoarding, { name: 'hoard', signal }) as ReturnType<typeof hoard>,
        pool.run(buying, { name: 'buy', filename, signal }) as ReturnType<typeof buy>,
      ]),
    );
    const result = await judge(options, units, hauls, honest, ask);
    await holdfast.stop();
    return result;
  } finally {
    await pool.destroy();
    await Promise.allSettled([holdfast.stop()]);
    rmSync(folder, { recursive: true, force: true });
  }
}

async function judge(
  { hoarders, connectionsEach, buyers, seconds }: FairnessOptions,
  units: number,
  hauls: readonly Haul[],
  honest: Purchases,
  desk: Desk,
): Promise<FairnessResult> {
  const sum = (of: (haul: Haul) => number): number => hauls.reduce((all, haul) => all + of(haul), 0);
  const most = (of: (haul: Haul) => number): number => Math.max(...hauls.map(of));
  const { holderRate, holderWindow } = RULES;
  const { windowMs, limit } = values(holderWindow.fields) as { windowMs: number; limit: number };
  const { perSecond, burst } = values(holderRate.fields) as { perSecond: number; burst: number };
  // The last answers come a moment after the last question.
  const spanMs = (seconds + 1) * 1000;
  const hoarded = {
    units: sum(({ prize }) => prize),
    most: most(({ prize }) => prize),
    mostHolds: most(({ prize, plenty }) => prize + plenty),
    mayHold: limit * Math.ceil(spanMs / windowMs),
    mostAdmitted: most(({ admitted }) => admitted),
    mayAdmit: burst + Math.ceil((perSecond * spanMs) / 1000),
    sentPerSecond: Math.round(sum(({ sent }) => sent) / seconds),
    refused: sum(({ refused }) => refused),
  };
  const books = await desk.books();
  const prize = await desk.sku(PRIZE);
  const plenty = await desk.sku(PLENTY);
  const said = { sold: honest.units, held: hoarded.units + sum((haul) => haul.plenty) };
  const known = { sold: prize.sold + plenty.sold, held: prize.held + plenty.held };
  const oversold = Math.max(0, prize.sold + prize.held - units);
  const lost = Math.max(0, said.sold - known.sold) + Math.max(0, said.held - known.held);
  const leaked = Math.max(0, known.sold - said.sold) + Math.max(0, known.held - said.held);
  const fair =
    hoarded.most <= UNITS_EACH &&
    hoarded.mostHolds <= hoarded.mayHold &&
    hoarded.mostAdmitted <= hoarded.mayAdmit &&
    honest.served === buyers;
  const verified = fair && oversold + lost + leaked + books.violations === 0;
  const refusedByLayer = await desk.refusals();
  return {
    ...{ hoarders, connectionsEach, buyers, unitsEach: UNITS_EACH, units, honest, hoarded },
    ...{ refusedByLayer, books, oversold, leaked, lost, verified },
  };
}

function values(fields: Readonly<Record<string, { readonly value: number }>>): Record<string, number> {
  return Object.fromEntries(Object.entries(fields).map(([name, { value }]) => [name, value]));
}

/** Asks the server over HTTP, as one who may. */
class Desk {
  private readonly base: string;
  private readonly headers: Record<string, string>;

  constructor(port: number, token: string) {
    this.base = `http://127.0.0.1:${port}`;
    this.headers = { authorization: `Bearer ${token}` };
  }

  async books(): Promise<Books> {
    const { violations, available, held, sold, total } = (await this.json('/v1/inspect')) as Books;
    return { violations, available, held, sold, total };
  }

  async sku(name: string): Promise<{ held: number; sold: number }> {
    return (await this.json(`/v1/skus/${name}`)) as { held: number; sold: number };
  }

  async refusals(): Promise<Record<string, number>> {
    const text = await (await this.get('/metrics')).text();
    const found: Record<string, number> = {};
    for (const [, layer, count] of text.matchAll(
      /^holdfast_refusals_total\{[^}]*layer="([^"]+)"[^}]*\} (\d+)/gm,
    )) {
      if (count !== '0') found[layer as string] = (found[layer as string] ?? 0) + Number(count);
    }
    return found;
  }

  private async json(path: string): Promise<unknown> {
    return (await this.get(path)).json();
  }

  private async get(path: string): Promise<Response> {
    const response = await fetch(this.base + path, { headers: this.headers });
    if (!response.ok) throw new Error(`GET ${path} answered ${response.status}: ${await response.text()}`);
    return response;
  }
}

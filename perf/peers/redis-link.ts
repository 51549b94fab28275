import { skuName, strided } from '../load/frames.ts';
import type { Link, LinkOptions, Links, Sweeper } from './link.ts';
import { EXPIRIES, HOLD, HOLD_MANY, SWEEP, stockKey } from './redis-scripts.ts';
import { encodeCommand, type Reply, RespConnection } from './resp.ts';

/** Digits of a hold's number and of a deadline in ms: of one length, so that they are written over in place. */
const HOLD_DIGITS = 12;
const DEADLINE_DIGITS = 13;
const SWEEP_LIMIT = 1000;

/** Holds by EVALSHA, one or many in a call. */
export async function openRedisLua(
  options: Omit<LinkOptions, 'index' | 'links'>,
  connections: number,
): Promise<Links> {
  const calls = callSet(options);
  const links = Array.from(
    { length: connections },
    (_, index) => new LuaLink(options, calls, index, connections),
  );
  return { links, sweeper: new RedisSweeper(options.port) };
}

/** Calls of one length back to back, as the load's frames are, and where in each the numbers stand. */
interface CallSet {
  readonly bytes: Buffer;
  readonly callBytes: number;
  readonly calls: number;
  readonly holdsAt: readonly number[];
  readonly deadlineAt: number;
  readonly holderAt: number;
}

/** A number of its own for each connection of this process; numbers of holds begin with it. */
let connectionsSoFar = 0;

class LuaLink implements Link {
  readonly inFlight: number;
  accepted = 0;
  refused = 0;
  onAnswered: (requests: number) => void = () => {};
  private readonly connection: RespConnection;
  private readonly calls: CallSet;
  private readonly ttlMs: number;
  private readonly holder: string;
  private next: number;
  private nextHold = ++connectionsSoFar * 1e7;
  private answered = 0;

  constructor(
    { port, inFlight, ttlMs }: Pick<LinkOptions, 'port' | 'inFlight' | 'ttlMs'>,
    calls: CallSet,
    index: number,
    links: number,
  ) {
    this.inFlight = inFlight;
    this.ttlMs = ttlMs;
    this.calls = calls;
    this.holder = holderName(index);
    this.next = Math.floor((index * calls.calls) / links);
    this.connection = new RespConnection(port);
    this.connection.onReply = (reply) => this.onReply(reply);
    this.connection.onRead = () => {
      const answered = this.answered;
      this.answered = 0;
      if (answered > 0) this.onAnswered(answered);
    };
  }

  set onFailure(fail: (error: Error) => void) {
    this.connection.onFailure = fail;
  }

  send(requests: number): void {
    const { bytes, callBytes, calls, holdsAt, deadlineAt, holderAt } = this.calls;
    // A copy, since the set is shared and may still be on its way.
    const out = Buffer.allocUnsafe(requests * callBytes);
    const deadline = String(Date.now() + this.ttlMs);
    for (let i = 0; i < requests; i++) {
      const at = i * callBytes;
      bytes.copy(out, at, this.next * callBytes, (this.next + 1) * callBytes);
      out.write(deadline, at + deadlineAt, 'latin1');
      out.write(this.holder, at + holderAt, 'latin1');
      for (const holdAt of holdsAt) writeDigits(out, this.nextHold++, at + holdAt);
      this.next = (this.next + 1) % calls;
    }
    this.connection.write(out);
  }

  close(): void {
    this.connection.close();
  }

  private onReply(reply: Reply): void {
    this.answered++;
    if (typeof reply === 'number') {
      if (reply === 1) this.accepted++;
      else this.refused++;
      return;
    }
    const digits = String(reply);
    for (let i = 0; i < digits.length; i++) {
      if (digits[i] === '1') this.accepted++;
      else this.refused++;
    }
  }
}

/** Runs the script that ends holds, as shops do it from a process of their own. */
export class RedisSweeper implements Sweeper {
  readonly limit = SWEEP_LIMIT;
  private readonly connection: RespConnection;
  private readonly waiting: ((ended: number) => void)[] = [];

  constructor(port: number) {
    this.connection = new RespConnection(port);
    this.connection.onReply = (reply) => this.waiting.shift()?.(Number(reply));
  }

  set onFailure(fail: (error: Error) => void) {
    this.connection.onFailure = fail;
  }

  sweep(): Promise<number> {
    const args = ['EVALSHA', SWEEP.sha, '1', EXPIRIES, String(Date.now()), String(SWEEP_LIMIT)];
    this.connection.write(encodeCommand(args));
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  close(): void {
    this.connection.close();
  }
}

/** Of one length. */
export function holderName(index: number): string {
  return `holder-${String(index).padStart(4, '0')}`;
}

function callSet({
  skus,
  firstSku,
  holdsPerRequest,
}: Pick<LinkOptions, 'skus' | 'firstSku' | 'holdsPerRequest'>): CallSet {
  const calls = Math.max(1, Math.ceil(skus / holdsPerRequest));
  const deadline = '0'.repeat(DEADLINE_DIGITS);
  const holder = holderName(0);
  const hold = `hold:${'0'.repeat(HOLD_DIGITS)}`;
  let at = 0;
  const stock = () => stockKey(skuName(firstSku + strided(at++, skus)));
  const call = () => {
    if (holdsPerRequest === 1)
      return encodeCommand(['EVALSHA', HOLD.sha, '3', stock(), hold, EXPIRIES, '1', holder, deadline]);
    const keys = Array.from({ length: holdsPerRequest }, () => [stock(), hold]).flat();
    const quantities = new Array<string>(holdsPerRequest).fill('1');
    const count = String(1 + keys.length);
    return encodeCommand([
      'EVALSHA',
      HOLD_MANY.sha,
      count,
      EXPIRIES,
      ...keys,
      holder,
      deadline,
      ...quantities,
    ]);
  };
  const texts = Array.from({ length: calls }, call);
  const [first] = texts;
  const holdsAt = [...first.matchAll(/hold:/g)].map(({ index }) => index + 'hold:'.length);
  return {
    bytes: Buffer.from(texts.join(''), 'latin1'),
    callBytes: first.length,
    calls,
    holdsAt,
    deadlineAt: first.indexOf(deadline, first.indexOf(holder)),
    holderAt: first.indexOf(holder),
  };
}

function writeDigits(out: Buffer, number: number, at: number): void {
  let rest = number;
  for (let i = at + HOLD_DIGITS - 1; i >= at; i--) {
    const tenth = Math.floor(rest / 10);
    out[i] = 0x30 + rest - tenth * 10;
    rest = tenth;
  }
}

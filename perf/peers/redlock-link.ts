import { randomBytes } from 'node:crypto';
import { skuName, strided } from '../load/frames.ts';
import type { Link, LinkOptions, Links } from './link.ts';
import { holderName, RedisSweeper } from './redis-link.ts';
import { EXPIRIES, stockKey, UNLOCK } from './redis-scripts.ts';
import { encodeCommand, type Reply, RespConnection } from './resp.ts';

/** Far longer than a hold takes: a lock that ends under its owner would sell units twice. */
const LOCK_MS = 10_000;
/** Who finds the lock taken tries again after some time up to this, as Redlock has it: at random, so that clients spread. */
const RETRY_MS = 2;

/**
 * A lock for each SKU: SET NX PX and GET of the stock in one round trip; then the write of stock, hold and expiry and the deletion of
 * the lock by its owner in a second. `inFlight` clients share each connection.
 */
export async function openRedlock(
  options: Omit<LinkOptions, 'index' | 'links'>,
  connections: number,
): Promise<Links> {
  const clients = connections * options.inFlight;
  const links = Array.from({ length: connections }, () => new Pipe(options.port)).flatMap((pipe, i) =>
    Array.from(
      { length: options.inFlight },
      (_, j) => new LockingClient(pipe, { ...options, index: i * options.inFlight + j, links: clients }),
    ),
  );
  return { links, sweeper: new RedisSweeper(options.port) };
}

/** Commands of many clients on one connection; what they send while a read is handled leaves in one write. */
class Pipe {
  readonly connection: RespConnection;
  private out = '';
  private readonly waiting: ((reply: Reply) => void)[] = [];
  private first = 0;

  constructor(port: number) {
    this.connection = new RespConnection(port);
    this.connection.onReply = (reply) => this.waiting[this.first++](reply);
    this.connection.onRead = () => {
      this.waiting.splice(0, this.first);
      this.first = 0;
      this.flush();
    };
  }

  /** The reply to the last command of `commands` comes to `onReply`, those before it to `onEarlier`. */
  send(commands: string, replies: readonly ((reply: Reply) => void)[]): void {
    if (this.out === '') setImmediate(() => this.flush());
    this.out += commands;
    this.waiting.push(...replies);
  }

  private flush(): void {
    if (this.out === '') return;
    this.connection.write(this.out);
    this.out = '';
  }
}

class LockingClient implements Link {
  readonly inFlight = 1;
  accepted = 0;
  refused = 0;
  onAnswered: (requests: number) => void = () => {};
  private readonly pipe: Pipe;
  private readonly options: LinkOptions;
  private readonly holder: string;
  private readonly token = randomBytes(8).toString('hex');
  private command: number;
  private sku = '';
  private locked = false;
  private holds = 0;

  constructor(pipe: Pipe, options: LinkOptions) {
    this.pipe = pipe;
    this.options = options;
    this.holder = holderName(options.index);
    this.command = Math.floor((options.index * options.skus) / options.links);
  }

  set onFailure(fail: (error: Error) => void) {
    this.pipe.connection.onFailure = fail;
  }

  send(): void {
    const { firstSku, skus } = this.options;
    this.sku = skuName(firstSku + strided(this.command++, skus));
    this.lock();
  }

  close(): void {
    this.pipe.connection.close();
  }

  private lock(): void {
    const lock = encodeCommand(['SET', `lock:${this.sku}`, this.token, 'NX', 'PX', String(LOCK_MS)]);
    const read = encodeCommand(['GET', stockKey(this.sku)]);
    this.pipe.send(lock + read, [this.onLock, this.onStock]);
  }

  private readonly onLock = (reply: Reply): void => {
    this.locked = reply === 'OK';
  };

  private readonly onStock = (available: Reply): void => {
    if (!this.locked) {
      setTimeout(() => this.lock(), Math.random() * RETRY_MS);
      return;
    }
    const unlock = encodeCommand(['EVALSHA', UNLOCK.sha, '1', `lock:${this.sku}`, this.token]);
    if (Number(available) < 1) {
      this.pipe.send(unlock, [this.onRefused]);
      return;
    }
    const hold = `hold:${this.token}-${this.holds++}`;
    const stock = stockKey(this.sku);
    const deadline = String(Date.now() + this.options.ttlMs);
    const fields = ['stock', stock, 'quantity', '1', 'holder', this.holder, 'deadline', deadline];
    const write = [
      ['DECRBY', stock, '1'],
      ['HSET', hold, ...fields],
      ['ZADD', EXPIRIES, deadline, hold],
    ];
    this.pipe.send(write.map(encodeCommand).join('') + unlock, [ignore, ignore, ignore, this.onHeld]);
  };

  private readonly onHeld = (): void => {
    this.accepted++;
    this.onAnswered(1);
  };

  private readonly onRefused = (): void => {
    this.refused++;
    this.onAnswered(1);
  };
}

function ignore(): void {}

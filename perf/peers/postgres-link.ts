import { skuName, strided } from '../load/frames.ts';
import type { Link, LinkOptions, Links, Sweeper } from './link.ts';
import {
  BEGIN,
  COMMIT,
  HOLD,
  HOLD_MANY,
  INSERT_HOLD,
  SELECT_FOR_UPDATE,
  SWEEP,
  TAKE_UNITS,
} from './postgres-schema.ts';
import { bindAndExecute, PostgresConnection, type Session, SYNC } from './postgres-wire.ts';
import { holderName } from './redis-link.ts';

type Options = Omit<LinkOptions, 'index' | 'links'>;

const SWEEP_LIMIT = 2000;
const USER = 'postgres';

/** One conditional UPDATE with INSERT, prepared, one hold or many in a statement. */
export async function openRowLock(options: Options, connections: number): Promise<Links> {
  const statement = options.holdsPerRequest === 1 ? { hold: HOLD } : { hold: HOLD_MANY };
  return open(options, connections, statement, (connection, at) => new RowLockLink(connection, at));
}

/** BEGIN, SELECT … FOR UPDATE, and once the client has seen that there is enough, UPDATE, INSERT, COMMIT. */
export async function openSelectForUpdate(options: Options, connections: number): Promise<Links> {
  const statements = {
    begin: BEGIN,
    select: SELECT_FOR_UPDATE,
    take: TAKE_UNITS,
    insert: INSERT_HOLD,
    commit: COMMIT,
  };
  return open(options, connections, statements, (connection, at) => new TransactionLink(connection, at));
}

async function open(
  options: Options,
  connections: number,
  statements: Session['statements'],
  link: (connection: PostgresConnection, at: LinkOptions) => Link,
): Promise<Links> {
  const { port, password = '' } = options;
  const settings = {
    plan_cache_mode: 'force_generic_plan',
    // The tables are empty when the statements are planned, but not when they run: the plans go by the indexes.
    enable_seqscan: 'off',
    enable_bitmapscan: 'off',
    ...(options.asynchronous && { synchronous_commit: 'off' }),
  };
  const session = { port, password, user: USER, settings };
  const [broom, ...opened] = await Promise.all([
    PostgresConnection.open({ ...session, statements: { sweep: SWEEP } }),
    ...Array.from({ length: connections }, () => PostgresConnection.open({ ...session, statements })),
  ]);
  return {
    links: opened.map((connection, index) => link(connection, { ...options, index, links: connections })),
    sweeper: new PostgresSweeper(broom),
  };
}

class RowLockLink implements Link {
  readonly inFlight: number;
  accepted = 0;
  refused = 0;
  onAnswered: (requests: number) => void = () => {};
  private readonly connection: PostgresConnection;
  private readonly requests: readonly Buffer[];
  private readonly holdsPerRequest: number;
  private next = 0;
  private answered = 0;

  constructor(connection: PostgresConnection, options: LinkOptions) {
    this.connection = connection;
    this.inFlight = options.inFlight;
    this.holdsPerRequest = options.holdsPerRequest;
    this.requests = requestsOf(options);
    connection.onComplete = (rows) => {
      this.accepted += rows;
      this.refused += this.holdsPerRequest - rows;
    };
    connection.onReady = () => this.answered++;
    connection.onRead = () => {
      const answered = this.answered;
      this.answered = 0;
      if (answered > 0) this.onAnswered(answered);
    };
  }

  set onFailure(fail: (error: Error) => void) {
    this.connection.onFailure = fail;
  }

  send(requests: number): void {
    const batch = Array.from(
      { length: requests },
      (_, i) => this.requests[(this.next + i) % this.requests.length],
    );
    this.next = (this.next + requests) % this.requests.length;
    this.connection.write(batch.length === 1 ? batch[0] : Buffer.concat(batch));
  }

  close(): void {
    this.connection.close();
  }
}

class TransactionLink implements Link {
  readonly inFlight = 1;
  accepted = 0;
  refused = 0;
  onAnswered: (requests: number) => void = () => {};
  private readonly connection: PostgresConnection;
  private readonly options: LinkOptions;
  private command: number;
  private sku = '';
  private available = -1;
  /** Whether the SELECT is over and its outcome under way. */
  private deciding = false;
  private enough = false;

  constructor(connection: PostgresConnection, options: LinkOptions) {
    this.connection = connection;
    this.options = options;
    this.command = firstCommand(options);
    connection.onRow = (available) => {
      this.available = Number(available);
    };
    connection.onReady = () => this.onReady();
  }

  set onFailure(fail: (error: Error) => void) {
    this.connection.onFailure = fail;
  }

  send(): void {
    const { firstSku, skus } = this.options;
    this.sku = skuName(firstSku + strided(this.command++, skus));
    this.connection.write(
      Buffer.concat([bindAndExecute('begin', []), bindAndExecute('select', [this.sku]), SYNC]),
    );
  }

  close(): void {
    this.connection.close();
  }

  private onReady(): void {
    if (!this.deciding) {
      this.deciding = true;
      this.enough = this.available >= 1;
      const hold = [
        bindAndExecute('take', [this.sku, '1']),
        bindAndExecute('insert', [this.sku, '1', holderName(this.options.index), String(this.options.ttlMs)]),
      ];
      this.connection.write(
        Buffer.concat([...(this.enough ? hold : []), bindAndExecute('commit', []), SYNC]),
      );
      return;
    }
    this.deciding = false;
    if (this.enough) this.accepted++;
    else this.refused++;
    this.onAnswered(1);
  }
}

class PostgresSweeper implements Sweeper {
  readonly limit = SWEEP_LIMIT;
  private readonly connection: PostgresConnection;
  private readonly request = Buffer.concat([bindAndExecute('sweep', [String(SWEEP_LIMIT)]), SYNC]);
  private readonly waiting: ((ended: number) => void)[] = [];

  constructor(connection: PostgresConnection) {
    this.connection = connection;
    connection.onRow = (ended) => this.waiting.shift()?.(Number(ended));
  }

  set onFailure(fail: (error: Error) => void) {
    this.connection.onFailure = fail;
  }

  sweep(): Promise<number> {
    this.connection.write(this.request);
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  close(): void {
    this.connection.close();
  }
}

/** Requests of a link from its first SKU on, each a statement and a Sync. */
function requestsOf(options: LinkOptions): Buffer[] {
  const { skus, firstSku, ttlMs, holdsPerRequest, index, links } = options;
  const count = Math.max(1, Math.ceil(skus / links / holdsPerRequest));
  let command = firstCommand(options);
  const sku = () => skuName(firstSku + strided(command++, skus));
  const holder = holderName(index);
  return Array.from({ length: count }, () => {
    if (holdsPerRequest === 1)
      return Buffer.concat([bindAndExecute('hold', [sku(), '1', holder, String(ttlMs)]), SYNC]);
    const skuList = `{${Array.from({ length: holdsPerRequest }, sku).join(',')}}`;
    const quantities = `{${new Array(holdsPerRequest).fill(1).join(',')}}`;
    return Buffer.concat([bindAndExecute('hold', [skuList, quantities, holder, String(ttlMs)]), SYNC]);
  });
}

function firstCommand({ index, links, skus }: LinkOptions): number {
  return Math.floor((index * skus) / links);
}

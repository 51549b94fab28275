import { afterEach, describe, expect, it, vi } from 'vitest';
import { Op } from '../../protocol/ops.ts';
import { AuthReason, Layer, Scope, Status } from '../../protocol/status.ts';
import { AuthError, type Identity } from '../../src/auth/identity.ts';
import { Front } from '../../src/front/front.ts';
import { HolderHash } from '../../src/front/holder.ts';
import { MAX_BAD_TOKENS, SessionClose, Sessions } from '../../src/front/session.ts';
import { BoundedCheck, CHECK_RETRY_MS, type TokenCheck, type Tries } from '../../src/front/token-check.ts';
import { FrontCell, replyCell } from '../../src/shard/counters.ts';
import { Mode } from '../../src/shard/records.ts';
import { frameOf, makeMemory, NOW, RecordingSink } from './fixtures.ts';

const FAR = 4_000_000_000_000;
const ANN: Identity = {
  subject: 'ann',
  scopes: Scope.HOLD,
  expiresAtMs: FAR,
  issuedAtMs: 0,
  vip: false,
  tokenId: 'a',
};
const KNOWN: Record<string, Identity> = {
  ann: ANN,
  'ann again': { ...ANN, scopes: Scope.HOLD | Scope.STOCK, expiresAtMs: FAR + 1, tokenId: 'b' },
  bob: { ...ANN, subject: 'bob' },
  short: { ...ANN, expiresAtMs: NOW + 1000 },
  root: { ...ANN, subject: 'root', scopes: Scope.ADMIN, vip: true },
};

/** Knows the tokens by name; answers when it is let. */
class StaticCheck implements TokenCheck {
  readonly revoked = new Set<string | undefined>();
  gate: Promise<void> = Promise.resolve();
  readonly flawOf = () => undefined;
  readonly revocations = {
    refresh: () => Promise.resolve(),
    add: () => Promise.resolve(),
    isRevoked: (identity: Identity) => this.revoked.has(identity.tokenId),
  };

  async verify(token: string): Promise<Identity> {
    await this.gate;
    const identity = KNOWN[token];
    if (token === 'trouble') throw new Error('EIO: /etc/holdfast/keys.json');
    if (token === 'keyless') throw new AuthError(AuthReason.KEYS_UNAVAILABLE, 'later');
    if (identity === undefined) throw new AuthError(AuthReason.BAD_SIGNATURE, 'no');
    return identity;
  }
}

interface SetUp {
  authDeadlineMs?: number;
  most?: number;
  tries?: Tries;
}

let sessions: Sessions | undefined;

afterEach(() => {
  sessions?.stop();
  vi.useRealTimers();
});

function setUp({ authDeadlineMs = 5000, most = 10, tries }: SetUp = {}) {
  const memory = makeMemory();
  const holders = new HolderHash(new Uint8Array(32));
  const check = new StaticCheck();
  const counters = new Float64Array(FrontCell.CELLS);
  const own = new Sessions({
    check: new BoundedCheck(check, most, tries),
    holders,
    counters,
    authDeadlineMs,
    log: () => {},
  });
  sessions = own;
  const { onAuth } = own;
  const front = new Front({ memory, front: 0, clock: () => NOW, borrow: false, onFault: () => {}, onAuth });
  const connect = () => {
    const sink = new RecordingSink();
    const connection = front.connections.add(sink, 0, 0);
    own.open(connection);
    const send = (...commands: unknown[][]) => front.onFrame(connection, frameOf(...commands), Mode.BINARY);
    return { sink, connection, send };
  };
  const connectWith = async (token: string) => {
    const client = connect();
    await own.admit(client.connection, token);
    return client;
  };
  return { front, check, own, counters, connect, connectWith };
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 0));

describe('a connection without a token', () => {
  it('is told so, whatever it sends, and may bring one', async () => {
    const { connect } = setUp();
    const { sink, send, connection } = connect();
    send([Op.TIME, 1], [Op.HOLD, 2, 'pen', 1, 1000], [Op.AUTH, 3, 'ann'], [Op.TIME, 4]);
    expect(sink.messages).toEqual([1, 2, 4].map((id) => [id, Status.UNAUTHENTICATED, AuthReason.MISSING]));
    await settled();
    expect(sink.messages.at(-1)).toEqual([3, Status.OK, 'ann', FAR]);
    send([Op.TIME, 5], [Op.STOCK, 6, 'pen', 1, 1], [Op.INSPECT, 7, 0]);
    expect(sink.messages.slice(-3)).toEqual([
      [5, Status.OK, NOW],
      [6, Status.FORBIDDEN, Scope.STOCK],
      [7, Status.FORBIDDEN, Scope.ADMIN],
    ]);
    expect([connection.holder, connection.admin, connection.vip]).toEqual(['ann', false, false]);
  });

  it('is closed when none came in time, and not before', async () => {
    vi.useFakeTimers({ toFake: ['performance', 'Date'] });
    const { connect, connectWith, own } = setUp({ authDeadlineMs: 300 });
    const { sink } = connect();
    const other = await connectWith('ann');
    vi.advanceTimersByTime(299);
    await own.sweep();
    expect(sink.closes).toEqual([]);
    vi.advanceTimersByTime(1);
    await own.sweep();
    expect(sink.closes).toEqual([
      { code: SessionClose.UNAUTHENTICATED, reason: 'no valid token came within 300 ms' },
    ]);
    expect(other.sink.closes).toEqual([]);
  });

  it('is told why its token does not do, and closed after some', async () => {
    const { connect, counters } = setUp();
    const { sink, send } = connect();
    for (let id = 1; id <= MAX_BAD_TOKENS; id++) {
      expect(sink.closes).toEqual([]);
      send([Op.AUTH, id, 'eve']);
      await settled();
      expect(sink.messages.at(-1)).toEqual([id, Status.UNAUTHENTICATED, AuthReason.BAD_SIGNATURE]);
    }
    expect(sink.closes).toEqual([{ code: 4401, reason: `${MAX_BAD_TOKENS} tokens did not do` }]);
    expect(counters[replyCell(0, Op.AUTH, Status.UNAUTHENTICATED)]).toBe(MAX_BAD_TOKENS);
  });

  it('answers a token as text to who speaks text', async () => {
    const { connect, front } = setUp();
    const { sink, connection } = connect();
    front.onFrame(connection, frameOf([Op.AUTH, 1, 'ann']), Mode.JSON_NAMES);
    await settled();
    expect(sink.decoded).toEqual([{ mode: Mode.JSON_NAMES, message: [1, Status.OK, 'ann', FAR] }]);
  });
});

describe('a connection that was opened with a token', () => {
  it.each([
    ['that does not do, with 4401', 'eve', 4401, 'no'],
    ['that cannot be looked at now, with 1013', 'keyless', 1013, 'later'],
  ])('%s is closed', async (_, token, code, reason) => {
    const { connectWith } = setUp();
    const { sink } = await connectWith(token);
    expect(sink.closes).toEqual([{ code, reason }]);
  });

  it('is not told what is none of its business', async () => {
    const { connectWith } = setUp();
    const { sink } = await connectWith('trouble');
    expect(sink.closes).toEqual([{ code: 1013, reason: 'the token could not be looked at' }]);
  });

  it('may not do anything before the token was looked at', async () => {
    const { connect, own } = setUp();
    const { connection, send, sink } = connect();
    const admitted = own.admit(connection, 'ann');
    send([Op.TIME, 1]);
    send([Op.AUTH, 2, 'bob']);
    expect(sink.messages).toEqual([
      [1, Status.UNAUTHENTICATED, AuthReason.MISSING],
      [2, Status.BUSY, CHECK_RETRY_MS, Layer.CONNECTION],
    ]);
    expect(await admitted).toBe(true);
    expect(connection.holder).toBe('ann');
  });
});

describe('tokens that are being looked at', () => {
  it('are one for each connection', async () => {
    const { connect, check } = setUp();
    let open = () => {};
    check.gate = new Promise((resolve) => {
      open = resolve;
    });
    const { sink, send } = connect();
    send([Op.AUTH, 1, 'ann'], [Op.AUTH, 2, 'bob']);
    expect(sink.messages).toEqual([[2, Status.BUSY, CHECK_RETRY_MS, Layer.CONNECTION]]);
    open();
    await settled();
    expect(sink.messages.slice(1)).toEqual([[1, Status.OK, 'ann', FAR]]);
  });

  it('are bounded over all connections', async () => {
    const { connect, check } = setUp({ most: 2 });
    let open = () => {};
    check.gate = new Promise((resolve) => {
      open = resolve;
    });
    const clients = [connect(), connect(), connect()];
    for (const { send } of clients) send([Op.AUTH, 1, 'ann']);
    await settled();
    expect(clients.map(({ sink }) => sink.messages.length)).toEqual([0, 0, 1]);
    expect(clients[2]?.sink.messages).toEqual([[1, Status.BUSY, CHECK_RETRY_MS, Layer.CONNECTION]]);
    open();
    await settled();
    clients[2]?.send([Op.AUTH, 2, 'ann']);
    await settled();
    expect(clients.map(({ sink }) => (sink.messages.at(-1) as unknown[])[1])).toEqual([0, 0, 0]);
  });

  it('open nothing on a connection that is gone by then', async () => {
    const { connect, front, own } = setUp();
    const { sink, send, connection } = connect();
    send([Op.AUTH, 1, 'ann']);
    own.close(connection);
    front.connections.close(connection);
    await settled();
    expect([sink.messages, connection.holder]).toEqual([[], 'anonymous']);
  });
});

describe('a session', () => {
  it('is renewed in place, with the rights of the new token', async () => {
    const { connectWith } = setUp();
    const { sink, send, connection } = await connectWith('ann');
    const words = [connection.holderLo, connection.holderHi];
    send([Op.AUTH, 1, 'ann again']);
    await settled();
    expect(sink.messages).toEqual([[1, Status.OK, 'ann', FAR + 1]]);
    send([Op.STOCK, 2, 'pen', 1, 1]);
    expect(sink.messages).toHaveLength(1);
    expect([connection.holderLo, connection.holderHi]).toEqual(words);
  });

  it.each([
    ["another holder's token", 'bob', [1, Status.FORBIDDEN, 0]],
    ['a token that does not do', 'eve', [1, Status.UNAUTHENTICATED, AuthReason.BAD_SIGNATURE]],
  ])('goes on as it was after %s', async (_, token, answer) => {
    const { connectWith } = setUp();
    const { sink, send, connection } = await connectWith('ann');
    send([Op.AUTH, 1, token]);
    await settled();
    send([Op.TIME, 2]);
    expect(sink.messages).toEqual([answer, [2, Status.OK, NOW]]);
    expect([connection.holder, sink.closes]).toEqual(['ann', []]);
  });

  it('is renewed also while no token from its address is looked at, of which others have brought too many bad ones', async () => {
    let shut = false;
    const tries = { mayTry: () => !shut, failed: () => {}, retryMs: 700 };
    const { connect, connectWith } = setUp({ tries });
    const [ann, stranger] = [await connectWith('ann'), connect()];
    shut = true;
    for (const { send } of [ann, stranger]) send([Op.AUTH, 1, 'ann again']);
    await settled();
    expect(ann.sink.messages).toEqual([[1, Status.OK, 'ann', FAR + 1]]);
    expect(stranger.sink.messages).toEqual([[1, Status.RATE_LIMITED, 700, Layer.ADDRESS_RATE]]);
  });

  it('ends when its token expires, unless it was renewed', async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: NOW });
    const { connectWith, own } = setUp();
    const [ends, renewed] = [await connectWith('short'), await connectWith('short')];
    renewed.send([Op.AUTH, 1, 'ann']);
    await settled();
    vi.setSystemTime(NOW + 999);
    await own.sweep();
    expect(ends.sink.closes).toEqual([]);
    vi.setSystemTime(NOW + 1000);
    await own.sweep();
    expect(ends.sink.closes).toEqual([{ code: 4401, reason: 'the token expired' }]);
    expect(renewed.sink.closes).toEqual([]);
  });

  it('ends when its token is revoked', async () => {
    const { connectWith, own, check } = setUp();
    const [ann, root] = [await connectWith('ann'), await connectWith('ann again')];
    check.revoked.add('a');
    await own.sweep();
    expect(ann.sink.closes).toEqual([{ code: SessionClose.REVOKED, reason: 'the token was revoked' }]);
    expect(root.sink.closes).toEqual([]);
  });

  it('of an administrator may do everything', async () => {
    const { connectWith } = setUp();
    const { connection, sink, send } = await connectWith('root');
    expect([connection.admin, connection.vip, connection.mayOps]).toEqual([true, true, -1]);
    send([Op.STOCK, 1, 'pen', 1, 1], [Op.HOLD, 2, 'pen', 1, 1000], [Op.INSPECT, 3, 0]);
    expect(sink.messages).toEqual([]);
  });
});

describe('a connection that an answer to AUTH closes, since its client does not read', () => {
  it('is done with the frame: what comes behind is not routed, as its index may be another client’s', async () => {
    const { front, connectWith, connect, check } = setUp();
    const { send, sink, connection } = await connectWith('ann');
    check.gate = new Promise(() => {});
    sink.onSend = () => front.connections.close(connection);
    send([Op.AUTH, 1, 'ann again'], [Op.AUTH, 2, 'ann again'], [Op.HOLD, 3, 'pen', 1, 1000]);
    expect(sink.messages).toEqual([[2, Status.BUSY, CHECK_RETRY_MS, Layer.CONNECTION]]);
    expect([front.router.inFlight, front.router.unpublished]).toEqual([0, 0]);
    expect(connect().connection.index).toBe(connection.index);
  });
});

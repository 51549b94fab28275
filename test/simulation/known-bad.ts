import { CommandPeek } from '../../protocol/command.ts';
import { Cursor } from '../../protocol/cursor.ts';
import { HoldState } from '../../protocol/ops.ts';
import { Header, Hold, KeyState, Sku } from '../../src/core/layout.ts';
import type { Segment } from '../../src/core/segment.ts';
import type { Connection } from '../../src/front/connections.ts';
import type { CommandQueue } from '../../src/shard/command-queue.ts';
import { LANES, Lane } from '../../src/shard/lanes.ts';
import { Control } from '../../src/shard/memory.ts';
import type { Mutation } from './engine.ts';
import { replace } from './tap.ts';

/** A mistake that an engine could make, and what the judge has to call it. */
export interface KnownBad extends Mutation {
  readonly name: string;
  /** Kinds of violation of which one has to be found. */
  readonly kinds: readonly string[];
}

// biome-ignore lint/suspicious/noExplicitAny: reaches into what is private, where the mistakes would be made.
type Inside = any;
// biome-ignore lint/suspicious/noExplicitAny: as above
type Method = (...args: any[]) => any;

/** Further back than any key is kept, and less than half of what 32 bits of a time tell apart. */
const LONG_AGO_MS = 2 ** 30;

/** Engines that do wrong on purpose. Those that say `unseen: ['model']` are to be found out by what the clients know alone. */
export const KNOWN_BAD: readonly KnownBad[] = [
  {
    name: 'a reply is dropped',
    kinds: ['reply'],
    front: (front) => nowAndThen(front.pump, 'sendFrame', () => undefined),
  },
  {
    name: 'a reply is sent twice',
    kinds: ['reply'],
    front: ({ pump }) => {
      nowAndThen(pump, 'sendFrame', (sendFrame, connection: Connection, length: number) => {
        const copy = (pump as Inside).frame.slice(0, length);
        sendFrame(connection, length);
        connection.sink.send(copy);
      });
    },
  },
  {
    name: 'a reply goes to another connection',
    kinds: ['reply'],
    front: (front) => {
      replace(front.connections, 'at', (at) => (index) => {
        return [...front.connections].find((other) => other.index > index) ?? at(index);
      });
    },
  },
  {
    name: 'an index is used again while replies for it are under way',
    kinds: ['reply', 'order', 'crash'],
    front: ({ connections }) => {
      replace(connections, 'close', (close) => (connection: Connection) => {
        const early = connection.open && connection.inFlight > 0;
        close(connection);
        if (early) (connections as Inside).recycle(connection);
      });
    },
  },
  {
    name: 'the index of a connection that closes early is never given back',
    kinds: ['leak'],
    front: ({ connections }) => {
      replace(connections, 'answered', () => (connection, count) => {
        connection.inFlight -= count;
      });
    },
  },
  {
    name: 'the commands of a frame are taken from its end',
    kinds: ['reply', 'order', 'busy'],
    front: (front) => {
      replace(front.router, 'onFrame', (onFrame) => (connection, frame, mode) => {
        onFrame(connection, backwards(frame), mode);
      });
    },
  },
  {
    name: 'BUSY is said while the ring has room',
    kinds: ['busy'],
    front: (front) => {
      for (const ring of (front.router as Inside).commands) nowAndThen(ring, 'claim', () => -1);
    },
  },
  {
    name: 'a sleeping worker is not rung',
    kinds: ['wake-up', 'stuck'],
    front: (front) => {
      for (const { doorbell } of (front as Inside).links)
        replace(doorbell as Inside, 'ring', () => () => false);
    },
  },
  {
    name: 'a command is applied twice',
    kinds: ['model'],
    ...inSegments((segment) => replaceAny(segment, 'release', twice)),
  },
  {
    name: 'a command is applied twice, and only the clients see it',
    kinds: ['I2'],
    unseen: ['model'],
    ...inSegments((segment) => replaceAny(segment, 'release', twice)),
  },
  {
    name: 'units are not given back at expiry',
    kinds: ['model'],
    ...inSegments((segment) => {
      replaceAny(segment, 'close', (close, slot: number, state: number, ...rest) => {
        if (state !== HoldState.EXPIRED) return close(slot, state, ...rest);
        const { i32 } = segment.memory;
        const hold = segment.holds.at(slot);
        const record = segment.skus.at(i32[hold + Hold.SKU]);
        const has = i32[hold + Hold.QUANTITY];
        close(slot, state, ...rest);
        // The books agree with each other; the units are just gone.
        i32[record + Sku.AVAILABLE] -= has;
        i32[record + Sku.TOTAL] -= has;
      });
    }),
  },
  {
    name: 'books that do not agree',
    kinds: ['I1'],
    unseen: ['model'],
    ...inSegments((segment) => {
      nowAndThen(segment, 'close', (close, ...args) => {
        const { i32 } = segment.memory;
        i32[segment.skus.at(i32[segment.holds.at(args[0]) + Hold.SKU]) + Sku.SOLD]++;
        return close(...args);
      });
    }),
  },
  {
    name: 'a hold expires early',
    kinds: ['model'],
    ...inSegments(hurry),
  },
  {
    name: 'a hold expires early, and only the clients see it',
    kinds: ['I2', 'I5'],
    unseen: ['model'],
    ...inSegments(hurry),
  },
  {
    name: 'holds expire only when somebody asks for them',
    kinds: ['I3'],
    ...inSegments((segment) => replaceAny(segment.wheel, 'due', () => 0)),
  },
  {
    name: 'a hold is confirmed after its deadline',
    kinds: ['model'],
    ...inSegments((segment) => {
      replaceAny(segment, 'currentState', (_currentState, slot: number) => segment.holds.state(slot));
    }),
  },
  {
    name: 'a confirmed hold is released',
    kinds: ['I2', 'I5'],
    unseen: ['model', 'I1'],
    ...inSegments((segment) => {
      replaceAny(segment, 'currentState', (currentState, ...args) => {
        const state = currentState(...args);
        return state === HoldState.CONFIRMED ? HoldState.RELEASED : state;
      });
    }),
  },
  {
    name: 'more is promised than there is',
    kinds: ['oversell', 'I2'],
    unseen: ['model'],
    ...inSegments((segment) => {
      nowAndThen(segment, 'hold', (hold, ...args) => {
        const sku = segment.skus.find(args[0], args[1], args[2], args[3], args[4]);
        if (sku >= 0) {
          segment.memory.i32[segment.skus.at(sku) + Sku.AVAILABLE] += 9;
          segment.memory.i32[segment.skus.at(sku) + Sku.TOTAL] += 9;
        }
        return hold(...args);
      });
    }),
  },
  {
    name: 'idempotency keys are forgotten at once',
    kinds: ['I4'],
    unseen: ['model'],
    ...inSegments((segment) => {
      replaceAny(segment.keys, 'retire', (retire, entry: number, ...rest) => {
        retire(entry, ...rest);
        segment.memory.i32[segment.keys.stateAt(entry) + KeyState.ENDED] -= LONG_AGO_MS;
      });
    }),
  },
  {
    name: "another holder's hold can be had",
    kinds: ['I2'],
    unseen: ['model'],
    ...inSegments((segment) => {
      replaceAny(segment, 'find', (_find, lo: number, hi: number) => segment.slotOf(lo, hi));
    }),
  },
  {
    name: 'who takes over goes by the ring instead of the noted progress',
    kinds: ['model', 'order', 'reply'],
    shard: (shard) => {
      replace(shard, 'adopt', (adopt) => (as) => {
        for (const link of shard.links) {
          link.refresh();
          for (const { ring, positionWord } of link.queues) shard.control[positionWord] = ring.position;
          shard.control[link.replyWord] = link.replies.position;
        }
        return adopt(as);
      });
    },
  },
  {
    name: 'who takes over leaves the command unanswered that the dead thread was in',
    kinds: ['fence', 'order', 'reply', 'stuck'],
    shard: (shard) => replaceAny(shard, 'refuseNext', (_refuse, queue) => void queue.ring.next()),
  },
  {
    name: 'who takes over answers at the first front what the dead thread was in for another',
    kinds: ['fence', 'order', 'reply', 'stuck'],
    shard: (shard) =>
      replaceAny(shard, 'refuseNext', (refuse, { lane }) => refuse(shard.links[0].queues[lane])),
  },
  {
    name: 'who takes over answers in the normal lane what the dead thread was in for another',
    kinds: ['fence', 'order', 'reply', 'stuck'],
    shard: (shard) =>
      replaceAny(shard, 'refuseNext', (refuse, { front }) => refuse(shard.links[front].queues[Lane.NORMAL])),
  },
  {
    name: 'who takes over forgets how far a lane had got',
    kinds: ['model', 'order', 'reply'],
    shard: (shard) => {
      replace(shard, 'adopt', (adopt) => (as) => {
        for (const link of shard.links) {
          const { ring, positionWord } = link.queues[Lane.SETTLE];
          ring.refresh();
          shard.control[positionWord] = ring.position;
        }
        return adopt(as);
      });
    },
  },
  {
    name: "new holds and commands on those that exist have each other's lanes",
    kinds: ['order'],
    front: ({ router }) => {
      const { commands } = router as Inside;
      for (let at = 0; at < commands.length; at += LANES)
        commands.splice(at, LANES, ...commands.slice(at, at + LANES).reverse());
    },
  },
  {
    name: 'a HOLD does not wait for the commands on holds before it',
    kinds: ['order'],
    shard: (shard) => {
      for (const { queues } of shard.links) {
        for (const queue of queues) replaceAny(queue, 'mustWait', () => false);
      }
    },
  },
  {
    name: 'a worker serves its first front alone',
    kinds: ['stuck'],
    shard: (shard) =>
      replaceAny((shard as Inside).order, 'next', (next) => {
        const queue = next() as CommandQueue | undefined;
        return queue?.front === 0 ? queue : undefined;
      }),
  },
  {
    name: 'a segment stays in service after a death in the middle of a change',
    kinds: ['fence', 'I1', 'model'],
    shard: (shard) => {
      replace(shard, 'adopt', (adopt) => (as) => {
        shard.control[Control.MARK] = 0;
        return adopt(as);
      });
    },
  },
  {
    name: 'the wrong segment is fenced off',
    kinds: ['fence', 'model'],
    shard: (shard) => {
      replace(shard, 'adopt', (adopt) => (as) => {
        const mark = shard.control[Control.MARK];
        if (mark > 1) shard.control[Control.MARK] = mark - 1;
        return adopt(as);
      });
    },
  },
];

/** Does something to each segment that a shard opens. */
export function inSegments(spoil: (segment: Segment) => void): Mutation {
  return {
    shard: (shard) => {
      const spoiled = new Set<Segment>();
      replace(shard, 'segmentAt', (segmentAt) => (number) => {
        const segment = segmentAt(number);
        if (!spoiled.has(segment)) spoil(segment);
        spoiled.add(segment);
        return segment;
      });
    },
  };
}

/** Ends holds 40 ms before their time when somebody asks for them. */
function hurry(segment: Segment): void {
  replaceAny(segment, 'currentState', (currentState, slot: number, ...rest) => {
    const soonMs = segment.memory.f64[Header.NOW_F64] + 40;
    const isOpen = segment.holds.state(slot) === HoldState.HELD;
    if (isOpen && segment.holds.endsAt(slot) <= soonMs) (segment as Inside).expire(slot, ...rest);
    return currentState(slot, ...rest);
  });
}

function twice(original: Method, ...args: unknown[]): unknown {
  original(...args);
  return original(...args);
}

/** Replaces a method, also a private one. */
export function replaceAny(
  host: object,
  name: string,
  instead: (original: Method, ...args: Inside[]) => unknown,
): void {
  replace(
    host as Inside,
    name,
    (original: Method) =>
      (...args: unknown[]) =>
        instead(original, ...args),
  );
}

/** The same, for one call in ten. */
function nowAndThen(
  host: object,
  name: string,
  instead: (original: Method, ...args: Inside[]) => unknown,
): void {
  let calls = 0;
  replaceAny(host, name, (original, ...args) => {
    calls++;
    return calls % 10 === 0 ? instead(original, ...args) : original(...args);
  });
}

/** A frame with its commands in the opposite order; as it is, where they cannot be told apart. */
function backwards(frame: Uint8Array): Uint8Array {
  const cursor = new Cursor(frame);
  cursor.reset(frame, 0, frame.length);
  const peek = new CommandPeek();
  const commands: Uint8Array[] = [];
  while (cursor.pos < cursor.end) {
    const start = cursor.pos;
    peek.read(cursor);
    if (!peek.resumable) return frame;
    commands.unshift(frame.slice(start, cursor.pos));
  }
  return new Uint8Array(Buffer.concat(commands));
}

import type { Dialect, Drive } from './load.ts';
import type { ServerName } from './servers.ts';

/** One hold in a request, or many. */
export type Shape = 'single' | 'batched';
/** All holds on one SKU, or spread over many. */
export type Scene = 'hot' | 'spread';

export const SHAPES: readonly Shape[] = ['single', 'batched'];
export const SCENES: readonly Scene[] = ['hot', 'spread'];

/** What is compared: a way of keeping holds, on a server. */
export interface Side {
  readonly title: string;
  readonly server: ServerName;
  readonly dialect: Dialect;
  readonly asynchronous?: boolean;
  /** What survives what, once a hold is acknowledged. */
  readonly durability: string;
  /** How one hold is placed. */
  readonly way: string;
  /** Ways to drive it, of which the fastest counts; without `batched`, many holds in a request are not its nature. */
  readonly drives: Readonly<Record<Scene, Readonly<Partial<Record<Shape, readonly Drive[]>>>>>;
}

const HOLDFAST_DRIVES = everywhere({
  single: [drive(100, 50)],
  batched: [drive(8, 2, 400)],
});
const LUA_DRIVES = everywhere({
  single: [drive(1, 400), drive(8, 100), drive(50, 50), drive(100, 50)],
  batched: [drive(2, 2, 100), drive(2, 2, 400), drive(8, 2, 400)],
});
const ROW_LOCK_DRIVES: Side['drives'] = {
  hot: {
    single: [drive(1, 16), drive(2, 16), drive(4, 8), drive(8, 4)],
    batched: [drive(1, 1, 400), drive(1, 2, 400), drive(2, 1, 400), drive(2, 2, 400)],
  },
  spread: {
    single: [drive(4, 16), drive(8, 16), drive(16, 16), drive(32, 4)],
    batched: [drive(1, 2, 400), drive(2, 2, 400), drive(4, 1, 400)],
  },
};
const ON_THE_DISK = 'on the disk (fdatasync), also after power loss';
const NOTHING_KEPT = 'nothing, once the process ends';

export const SIDES = {
  holdfastMemory: {
    title: 'Holdfast, ack=memory',
    server: 'holdfastMemory',
    dialect: 'holdfast',
    durability: 'survives a worker thread, not the process',
    way: 'HOLD in MessagePack over WebSocket',
    drives: HOLDFAST_DRIVES,
  },
  holdfastSync: {
    title: 'Holdfast, ack=sync',
    server: 'holdfastSync',
    dialect: 'holdfast',
    durability: ON_THE_DISK,
    way: 'HOLD in MessagePack over WebSocket',
    drives: HOLDFAST_DRIVES,
  },
  redisLua: {
    title: 'Redis with Lua, appendonly off',
    server: 'redis',
    dialect: 'redisLua',
    durability: NOTHING_KEPT,
    way: 'EVALSHA: DECRBY, HSET, ZADD; a script that ends what is due',
    drives: LUA_DRIVES,
  },
  redisLuaAlways: {
    title: 'Redis with Lua, appendfsync always',
    server: 'redisAlways',
    dialect: 'redisLua',
    durability: ON_THE_DISK,
    way: 'the same',
    drives: LUA_DRIVES,
  },
  rowLock: {
    title: 'PostgreSQL, row lock',
    server: 'postgres',
    dialect: 'rowLock',
    durability: ON_THE_DISK,
    way: 'conditional UPDATE and INSERT in one prepared statement',
    drives: ROW_LOCK_DRIVES,
  },
  rowLockAsynchronous: {
    title: 'PostgreSQL, synchronous_commit off',
    server: 'postgres',
    dialect: 'rowLock',
    asynchronous: true,
    durability: 'loses the last moments when the machine or the server dies',
    way: 'the same',
    drives: ROW_LOCK_DRIVES,
  },
  selectForUpdate: {
    title: 'SELECT … FOR UPDATE on PostgreSQL',
    server: 'postgres',
    dialect: 'selectForUpdate',
    durability: ON_THE_DISK,
    way: 'BEGIN, SELECT … FOR UPDATE; UPDATE, INSERT, COMMIT: two round trips',
    drives: {
      hot: { single: [drive(1), drive(2), drive(4)] },
      spread: { single: [drive(8), drive(16), drive(32)] },
    },
  },
  map: {
    title: 'Map behind ws in Node',
    server: 'map',
    dialect: 'json',
    durability: NOTHING_KEPT,
    way: 'JSON text over WebSocket, a timer for each hold',
    drives: everywhere({
      single: [drive(8, 50), drive(100, 50)],
      batched: [drive(2, 2, 400), drive(8, 2, 400)],
    }),
  },
  redlock: {
    title: 'Redis with a lock per SKU',
    server: 'redis',
    dialect: 'redlock',
    durability: NOTHING_KEPT,
    way: 'SET NX PX, GET; DECRBY, HSET, ZADD, compare and delete: two round trips',
    drives: {
      hot: { single: [drive(1, 1), drive(1, 2), drive(1, 4)] },
      spread: { single: [drive(1, 100), drive(4, 50), drive(8, 50)] },
    },
  },
} satisfies Record<string, Side>;
export type SideName = keyof typeof SIDES;

function drive(connections: number, inFlight = 1, holdsPerRequest = 1): Drive {
  return { connections, inFlight, holdsPerRequest };
}

function everywhere(drives: Side['drives'][Scene]): Side['drives'] {
  return { hot: drives, spread: drives };
}

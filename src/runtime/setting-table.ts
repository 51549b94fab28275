import { ACK_LEVELS, type AckLevel } from '../../protocol/ack.ts';
import { MAX_BACKPRESSURE_BYTES, MAX_HOLD_LIFE_MS, MAX_SEGMENTS, MAX_SLOTS } from '../../protocol/limits.ts';
import type { SegmentOptions } from '../core/layout.ts';
import { defaultSpins } from '../ring/idle.ts';
import { MAX_FRONTS } from '../shard/memory.ts';
import { DOOR_ROWS, type DoorSettings } from './door-settings.ts';
import { address, count, duration, type Row, type SettingKind, size } from './setting-kinds.ts';
import { WATCH_ROWS, type WatchSettings } from './watch-settings.ts';

/** What the server can be set to. Times are milliseconds; SETTINGS has the bounds, defaults and meanings. */
export interface Settings extends WatchSettings, DoorSettings {
  port: number;
  host: string;
  fronts: number;
  workers: number;
  segments: number;
  holdsPerSegment: number;
  skusPerSegment: number;
  keysPerSegment: number;
  holdersPerSegment: number;
  keyRetentionMs: number;
  endedRetentionMs: number;
  soldRetentionMs: number;
  maxHoldLifeMs: number;
  commandRingBytes: number;
  replyRingBytes: number;
  maxConnections: number;
  maxBackpressureBytes: number;
  spins: number;
  borrow: 'auto' | 'off';
  gate: 'on' | 'off';
  admissionHolders: number;
  admissionSkus: number;
  stallMs: number;
  frontStallMs: number;
  stopTimeoutMs: number;
  ack: AckLevel;
  store: string;
  /** Empty: in the store itself. */
  snapshots: string;
  snapshotPeriodMs: number;
  snapshotJournalBytes: number;
  journalFileBytes: number;
  eventRingBytes: number;
  storeStallMs: number;
  metricsSkus: number;
  redisWait: number;
  redisVolatile: 'refuse' | 'accept';
}

export type SettingName = keyof Settings;
/** One row of the table that flags, environment, config file, --help and the README are all made from. */
export interface Setting extends SettingKind<Partial<Settings>> {
  readonly name: SettingName;
  /** `--key-retention-ms` for keyRetentionMs. */
  readonly flag: string;
  /** `HOLDFAST_KEY_RETENTION_MS` for keyRetentionMs. */
  readonly env: string;
}

const WEEK_MS = 7 * 86_400_000;
const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;
const DEFAULT_SEGMENTS = 64;
/** The value of `store` for a server that keeps everything in memory only. */
export const NO_STORE = 'none';

/** Keyed by every name of Settings, so that the compiler notices one that is missing. */
const ROWS: Readonly<Record<SettingName, Row<Partial<Settings>>>> = {
  port: count('', 0, 65_535, 7070, 'TCP port of WebSocket and HTTP; 0 takes a free one'),
  host: address('address to listen on; without an auth key a loopback address only', '127.0.0.1'),
  fronts: count(
    'threads',
    1,
    MAX_FRONTS,
    1,
    'threads that hold sockets, behind one port; connections are dealt out to them in turn',
  ),
  workers: {
    ...count('threads', 1, 64, 1, 'threads that run segments; no more than there are segments'),
    defaultText: 'cores less fronts, at least 1',
    defaultFor: (cores, set) =>
      Math.max(1, Math.min(cores - (set.fronts ?? 1), 64, set.segments ?? DEFAULT_SEGMENTS)),
  },
  segments: count('segments', 1, MAX_SEGMENTS, DEFAULT_SEGMENTS, 'slices that all SKUs are spread over'),
  holdsPerSegment: count('holds', 16, MAX_SLOTS, 1_048_576, 'holds that a segment keeps, open and ended'),
  skusPerSegment: count('SKUs', 16, MAX_SLOTS - 1, 65_536, 'SKUs that a segment keeps'),
  keysPerSegment: count('keys', 16, MAX_SLOTS, 1_048_576, 'idempotency keys that a segment keeps'),
  holdersPerSegment: count(
    'entries',
    16,
    MAX_SLOTS,
    262_144,
    'holders that a segment counts for SKUs with a limit per holder',
  ),
  keyRetentionMs: duration(
    0,
    WEEK_MS,
    600_000,
    "how long an idempotency key is kept past its hold's end; below 10m a client that resends late may hold twice",
  ),
  endedRetentionMs: duration(
    0,
    WEEK_MS,
    60_000,
    'how long released and expired holds stay readable, while they are few',
  ),
  soldRetentionMs: duration(0, WEEK_MS, 86_400_000, 'how long confirmed holds are kept, to be returned'),
  maxHoldLifeMs: duration(
    1000,
    MAX_HOLD_LIFE_MS,
    86_400_000,
    'longest whole life of a hold, extensions included',
  ),
  commandRingBytes: size(
    64 * KIB,
    GIB,
    4 * MIB,
    'ring of each front and worker for commands of the normal lane, a power of two; other lanes have less',
  ),
  replyRingBytes: size(64 * KIB, GIB, 8 * MIB, 'reply ring of each front and worker, a power of two'),
  maxConnections: count('sockets', 1, 1_000_000, 20_000, 'WebSocket connections at once; more are refused'),
  maxBackpressureBytes: size(
    64 * KIB,
    64 * MIB,
    MAX_BACKPRESSURE_BYTES,
    'replies that wait for a client that does not read, before it is closed',
  ),
  spins: {
    ...count('turns', 0, 1_000_000, 0, 'empty turns that a thread makes before it sleeps'),
    defaultText: `0, or ${defaultSpins(2, 1)} when there are more cores than workers and fronts`,
    defaultFor: (cores, set) => defaultSpins(cores, (set.workers ?? 1) + (set.fronts ?? 1)),
  },
  borrow: {
    type: 'choice',
    unit: '',
    choices: ['auto', 'off'],
    help: "whether the front, if there is only one, runs a sleeping worker's segments itself when little is in flight",
    defaultText: 'auto',
    defaultFor: () => 'auto',
  },
  gate: {
    type: 'choice',
    unit: '',
    choices: ['on', 'off'],
    help: 'whether admission limits anything but full rings and what one connection has under way; off is for measurements, or behind another gate',
    defaultText: 'on',
    defaultFor: () => 'on',
  },
  admissionHolders: count(
    'holders',
    64,
    1_048_576,
    65_536,
    'holders, or addresses of clients without a name, whose rates are remembered at once; each takes 576 bytes when it comes',
  ),
  admissionSkus: count('SKUs', 64, 1_048_576, 65_536, 'SKUs whose windows are remembered at once, likewise'),
  stallMs: duration(
    100,
    600_000,
    2000,
    'a worker without a heartbeat for this long is replaced, and a front is said to be silent',
  ),
  frontStallMs: duration(
    1000,
    86_400_000,
    30_000,
    'a front without a heartbeat for this long, and longer than stallMs, ends the process; raise it for a debugger',
  ),
  stopTimeoutMs: duration(0, 600_000, 5000, 'longest wait for commands under way when the server stops'),
  ack: {
    type: 'choice',
    unit: '',
    choices: [...ACK_LEVELS],
    help: 'when a change is acknowledged: applied in memory, written to the journal, or synced to disk',
    defaultText: 'sync; memory without a store',
    defaultFor: (_cores, set) => (set.store === NO_STORE ? 'memory' : 'sync'),
  },
  store: {
    type: 'store',
    unit: '',
    choices: [NO_STORE],
    help: 'where the journal is kept: file:<directory>, redis://…, rediss://…, redis+sentinel://…, redis+cluster://…, or none',
    defaultText: 'file:./data',
    defaultFor: () => 'file:./data',
  },
  snapshots: {
    type: 'store',
    unit: '',
    help: 'where snapshots are kept, if not where the journal is',
    defaultText: 'in the store',
    defaultFor: () => '',
  },
  snapshotPeriodMs: duration(1000, WEEK_MS, 60_000, 'time from one round of snapshots to the next'),
  snapshotJournalBytes: size(
    MIB,
    1024 * GIB,
    512 * MIB,
    'growth of the journal after which a round of snapshots begins before its time',
  ),
  journalFileBytes: size(
    64 * KIB,
    GIB,
    64 * MIB,
    'size of a journal file, after which the next one begins; whole files are removed behind snapshots',
  ),
  eventRingBytes: size(64 * KIB, GIB, 8 * MIB, 'event ring of each worker towards the store, a power of two'),
  storeStallMs: duration(
    50,
    600_000,
    1000,
    'a store that makes nothing durable for this long stands still: changes are refused, reads go on',
  ),
  metricsSkus: count(
    'SKUs',
    0,
    128,
    32,
    'SKUs whose stock GET /metrics tells: those that commands name most; 0 tells none',
  ),
  redisWait: count(
    'replicas',
    0,
    100,
    0,
    'replicas that must have a change before it is acknowledged (WAIT)',
  ),
  redisVolatile: {
    type: 'choice',
    unit: '',
    choices: ['refuse', 'accept'],
    help: 'whether to run on a Redis that keeps nothing on disk, where an acknowledgement promises less than it says',
    defaultText: 'refuse',
    defaultFor: () => 'refuse',
  },
  ...WATCH_ROWS,
  ...DOOR_ROWS,
};
/** All settings in the order in which they are documented. */
export const SETTINGS: readonly Setting[] = Object.entries(ROWS).map(([name, row]) => {
  const words = name.replace(/[A-Z]/g, (capital) => `-${capital.toLowerCase()}`);
  return {
    min: 0,
    max: 0,
    choices: [],
    forms: '',
    accepts: () => false,
    defaultText: '',
    defaultFor: () => '',
    ...row,
    name: name as SettingName,
    flag: `--${words}`,
    env: `HOLDFAST_${words.toUpperCase().replaceAll('-', '_')}`,
  };
});

/** What the settings say of a segment's tables. */
export function tablesOf(settings: Settings): SegmentOptions {
  return {
    skus: settings.skusPerSegment,
    holds: settings.holdsPerSegment,
    keys: settings.keysPerSegment,
    holders: settings.holdersPerSegment,
    keyRetentionMs: settings.keyRetentionMs,
    endedRetentionMs: settings.endedRetentionMs,
    soldRetentionMs: settings.soldRetentionMs,
    maxHoldLifeMs: settings.maxHoldLifeMs,
  };
}

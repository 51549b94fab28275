export type LogLevel = (typeof LOG_LEVELS)[number];
/** From the most to say to the least; `silent` stands behind them. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const;

/** A kind of event. What is logged of it is what this row allows, and nothing else: see logger.ts. */
export interface EventRow<Field extends string = string> {
  readonly level: LogLevel;
  /** What happened, the same words each time, so that lines can be counted by them. */
  readonly says: string;
  /** Its own fields. A field that stands in no row is not written, so that nothing secret gets into a line by accident. */
  readonly fields: readonly Field[];
  /** Fields that tell two floods of it apart. */
  readonly foldBy: readonly Field[];
  /** Lines a second, for each value of foldBy; what comes on top is counted and told in one more line. */
  readonly perSecond: number;
}

/** Of what has to be told one by one: deeds of an administrator. */
const EACH = Number.POSITIVE_INFINITY;
/** Of what is only logged when somebody asks for it. */
const DEBUG_LINES = 100;

function row<const Field extends string>(
  level: LogLevel,
  says: string,
  fields: readonly Field[],
  foldBy: readonly NoInfer<Field>[] = [],
  perSecond = level === 'debug' || level === 'trace' ? DEBUG_LINES : 1,
): EventRow<Field> {
  return { level, says, fields, foldBy, perSecond };
}

/**
 * Everything that the server logs, by the name that a line has in its field `event`. Names and fields stay: people build on them. None is
 * logged once per command.
 */
export const EVENTS = {
  // The server.
  ready: row('info', 'the server takes commands', [
    'version',
    'url',
    'fronts',
    'workers',
    'segments',
    'ack',
    'store',
    'pid',
    'tookMs',
  ]),
  unguarded: row('warn', 'nobody is asked for a token, and whoever reaches the server may do everything', [
    'host',
  ]),
  stopping: row('info', 'the server takes nothing new and finishes what is under way', []),
  stopped: row('info', 'the server has stopped', ['tookMs']),
  ending: row('fatal', 'Holdfast ends', ['detail', 'exitCode']),
  crashed: row('fatal', 'a bug ends the process', ['detail']),
  'node-warning': row('warn', 'Node.js warns', ['detail'], ['detail']),
  'lines-dropped': row('warn', 'log lines were dropped, because nobody reads them fast enough', []),
  planted: row('warn', 'for tests only: this server has a planted fault', ['detail']),
  'traces-lost': row('warn', 'spans could not be sent to the collector', ['detail']),
  // Rules of admission.
  'rules-read': row(
    'info',
    'the rules of the config file are in force',
    ['path', 'because', 'changed'],
    [],
    EACH,
  ),
  'rules-refused': row(
    'error',
    'the config file has mistakes, and the rules from before stay in force',
    ['path', 'because', 'detail'],
    [],
    EACH,
  ),
  'settings-wait': row(
    'warn',
    'settings of the config file are others than at the start; only the rules of admission change without a new start',
    ['path', 'settings'],
    [],
    EACH,
  ),
  breaker: row(
    'warn',
    'a circuit breaker has another state',
    ['front', 'guards', 'name', 'state'],
    ['guards', 'state'],
  ),
  'commands-refused': row('info', 'commands are refused', ['front', 'layer'], ['layer']),
  // The certificate.
  'certificate-read': row(
    'info',
    'connections from now on get another certificate',
    ['path', 'until'],
    [],
    EACH,
  ),
  'certificate-refused': row(
    'error',
    'the certificate or its key has changed and cannot be used, and the one from before stays',
    ['path', 'detail'],
    [],
    EACH,
  ),
  // Workers.
  'worker-died': row(
    'error',
    'a thread died over its work',
    ['worker', 'fencedSegment', 'detail'],
    ['worker'],
  ),
  'worker-stalled': row(
    'error',
    'a worker shows no sign of life and is ended',
    ['worker', 'detail'],
    ['worker'],
  ),
  'worker-replaced': row(
    'warn',
    "a new thread runs a worker's segments",
    ['worker', 'fencedSegment'],
    ['worker'],
  ),
  // Fronts.
  'front-silent': row('error', 'a front shows no sign of life', ['front', 'silentMs'], ['front']),
  'front-back': row('warn', 'a front shows signs of life again', ['front', 'silentMs'], ['front']),
  rebuilt: row('info', 'a segment is in service again', ['segment', 'detail']),
  'rebuild-failed': row('error', 'a segment could not be rebuilt', ['segment', 'detail']),
  // The store.
  restored: row('info', 'the store was read', ['store', 'fresh', 'fromSnapshots', 'events', 'tookMs']),
  'restored-note': row('warn', 'something was found when the store was read', ['detail'], ['detail']),
  'store-trouble': row('error', 'the store takes nothing for now; changes are refused until it does', [
    'detail',
  ]),
  'store-healed': row('info', 'the store takes what it is given again', ['detail']),
  snapshots: row('debug', 'snapshots were taken', ['segments', 'tookMs']),
  'snapshot-failed': row('warn', 'a snapshot failed and will be tried again', ['segment', 'detail']),
  'snapshot-damaged': row(
    'warn',
    'an older snapshot proved damaged and was removed; a new one takes its place',
    ['detail'],
  ),
  'snapshots-lost': row(
    'error',
    'no snapshots are taken any more, and the journal grows until the server is started anew',
    ['detail'],
  ),
  'trim-failed': row('warn', 'journal that is not needed any more could not be removed', ['detail']),
  // The door.
  'connection-opened': row('debug', 'a client connected', ['connection', 'address', 'holder']),
  'connection-closed': row('debug', 'a client is gone', ['connection', 'holder', 'code']),
  'connection-refused': row(
    'warn',
    'connections or requests are refused',
    ['reason', 'address', 'detail'],
    ['reason'],
  ),
  'client-closed': row(
    'info',
    'a client that does not keep to the protocol was closed',
    ['connection', 'holder', 'code', 'reason'],
    ['code'],
  ),
  'slow-client': row('warn', 'a client that does not read its answers was closed', [
    'connection',
    'holder',
    'address',
  ]),
  'auth-failed': row(
    'warn',
    'a client could not show who it is',
    ['reason', 'address', 'connection', 'requestId'],
    ['reason'],
  ),
  'auth-note': row(
    'warn',
    'something about the keys for tokens, or about revocations',
    ['detail'],
    ['detail'],
  ),
  'signed-in': row('debug', 'a client has brought a valid token', ['connection', 'holder', 'tokenId']),
  'signed-out': row(
    'info',
    'a client was closed for its token: it did not do, expired, was revoked, or never came',
    ['reason', 'code', 'connection', 'holder'],
    ['code'],
  ),
  'admin-action': row(
    'info',
    "an administrator's deed",
    ['action', 'subject', 'tokenId', 'hold', 'sku', 'segment', 'status', 'connection', 'requestId', 'detail'],
    [],
    EACH,
  ),
  request: row('debug', 'an HTTP request was answered', ['requestId', 'method', 'path', 'status', 'tookMs']),
  'request-failed': row('error', 'an HTTP request failed by no fault of its sender', [
    'requestId',
    'method',
    'path',
    'status',
    'tookMs',
    'detail',
  ]),
} satisfies Record<string, EventRow>;

export type EventName = keyof typeof EVENTS;
export type LogValue = string | number | boolean | undefined;

/** Something that happened. `level` where it is another one than the row's; `count` where one line stands for several. */
export type LogEvent = {
  [Name in EventName]: { readonly event: Name; readonly level?: LogLevel; readonly count?: number } & {
    readonly [Field in (typeof EVENTS)[Name]['fields'][number]]?: LogValue;
  };
}[EventName];

/** Whether an event is important enough for a level. */
export function wantedAt(level: LogLevel | 'silent'): (event: LogEvent) => boolean {
  const least = level === 'silent' ? LOG_LEVELS.length : LOG_LEVELS.indexOf(level);
  return ({ event, level: own }) => LOG_LEVELS.indexOf(own ?? EVENTS[event].level) >= least;
}

/** Where events go. May be called from any thread that was given one; costs nothing to speak of when it is called often. */
export type Log = (event: LogEvent) => void;

import pino from 'pino';
import { MissingPackageError, optionalPackage } from '../base/optional-package.ts';
import { EVENTS, type EventRow, type Log, type LogEvent, type LogLevel, wantedAt } from './events.ts';
import { Fold } from './fold.ts';
import { redactor } from './redact.ts';

export interface LoggerOptions {
  /** Events below it cost nothing. */
  level: LogLevel | 'silent';
  /** auto: pretty where stderr is a terminal and pino-pretty is installed. */
  format: 'auto' | 'json' | 'pretty';
  /** What must never appear in a line, whatever says it: passwords and keys of the settings. */
  secrets?: readonly string[];
  /** Takes the lines instead of stderr. */
  write?: (line: string) => void;
}

export interface Logger {
  readonly log: Log;
  /** Writes what is waiting, also what a flood has counted so far. Blocks; for the end. */
  flush(): void;
}

/** Lines that wait for a reader of stderr; more than that are dropped, and the server goes on. */
const MOST_WAITING_BYTES = 1 << 20;
const STDERR = 2;

/**
 * The one logger of the process, on the main thread: structured events become lines of JSON by pino. Throws MissingPackageError. Other threads
 * send their events here.
 */
export async function createLogger(options: LoggerOptions): Promise<Logger> {
  const { level, write } = options;
  if (level === 'silent') return { log: () => {}, flush: () => {} };
  const wanted = wantedAt(level);
  const prettify = await prettifier(options.format);
  const stderr = write === undefined ? openStderr(() => fold.log({ event: 'lines-dropped' })) : undefined;
  const put = write ?? ((line: string) => stderr?.write(line));
  const lines = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: (line) => put(prettify === undefined ? line : (prettify(line) ?? line)) },
  );
  const redact = redactor(options.secrets);
  const fold = new Fold((event) => {
    const row: EventRow = EVENTS[event.event];
    lines[event.level ?? row.level](lineOf(event, row, redact), row.says);
  });
  return {
    log: (event) => {
      if (wanted(event)) fold.log(event);
    },
    flush: () => {
      fold.flush();
      stderr?.flushSync();
    },
  };
}

/** What an event's row allows of it, without secrets. */
function lineOf(event: LogEvent, row: EventRow, redact: (text: string) => string): Record<string, unknown> {
  const values = event as unknown as Record<string, unknown>;
  const line: Record<string, unknown> = { event: event.event };
  for (const field of row.fields) {
    const value = values[field];
    if (value === undefined) continue;
    line[field] = typeof value === 'number' || typeof value === 'boolean' ? value : redact(String(value));
  }
  if (event.count !== undefined) line.count = event.count;
  return line;
}

type Stderr = ReturnType<typeof pino.destination>;

/** Not synchronous: a reader that stops reading must not stop the front, which lives on this thread. */
function openStderr(onDrop: () => void): Stderr {
  const stderr = pino.destination({ dest: STDERR, sync: false, maxLength: MOST_WAITING_BYTES });
  stderr.on('drop', onDrop);
  return stderr;
}

/** A line of JSON for people. */
type Prettify = (line: string) => string | undefined;
interface PinoPretty {
  prettyFactory(options: { colorize: boolean; singleLine: boolean; translateTime: string }): Prettify;
}

async function prettifier(format: LoggerOptions['format']): Promise<Prettify | undefined> {
  const terminal = process.stderr.isTTY === true;
  if (format === 'json' || (format === 'auto' && !terminal)) return undefined;
  const pretty = await optionalPackage<{ default: PinoPretty }>('pino-pretty');
  if (pretty !== undefined) {
    return pretty.default.prettyFactory({
      colorize: terminal,
      singleLine: true,
      translateTime: 'SYS:HH:MM:ss.l',
    });
  }
  if (format === 'auto') return undefined;
  throw new MissingPackageError('logFormat = pretty', ['pino-pretty'], 'take json');
}

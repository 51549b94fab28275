import { styleText } from 'node:util';
import pino from 'pino';
import { EVENTS, type EventRow, type Log, type LogEvent, type LogLevel, wantedAt } from './events.ts';
import { Fold } from './fold.ts';
import { redactor } from './redact.ts';

export interface LoggerOptions {
  /** Events below it cost nothing. */
  level: LogLevel | 'silent';
  /** auto: pretty where stderr is a terminal. */
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
/** A line that is being written is there by then, if somebody reads. */
const UNDER_WAY_MS = 20;

/**
 * The one logger of the process, on the main thread: structured events become lines of JSON by pino. Other threads send their
 * events here.
 */
export function createLogger(options: LoggerOptions): Logger {
  const { level, write } = options;
  if (level === 'silent') return { log: () => {}, flush: () => {} };
  const wanted = wantedAt(level);
  const terminal = process.stderr.isTTY === true;
  const pretty = options.format === 'pretty' || (options.format === 'auto' && terminal);
  const stderr = write === undefined ? new Stderr(() => fold.log({ event: 'lines-dropped' })) : undefined;
  const put = write ?? ((line: string) => stderr?.write(line));
  const lines = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: (line) => put(pretty ? prettyLine(line, terminal) : line) },
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
      stderr?.flush();
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

/** Not synchronous: a reader that stops reading must not stop the front, which lives on this thread. */
class Stderr {
  private readonly boom = pino.destination({ dest: STDERR, sync: false, maxLength: MOST_WAITING_BYTES });
  /** A line is on its way, in a thread of libuv's. */
  private writing = false;

  constructor(onDrop: () => void) {
    this.boom.on('drop', onDrop);
    this.boom.on('drain', () => {
      this.writing = false;
    });
  }

  write(line: string): void {
    this.writing = true;
    this.boom.write(line);
  }

  flush(): void {
    // Nothing tells a thread that waits when another has written. Without the time for it, the last lines would overtake the one before.
    if (this.writing) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, UNDER_WAY_MS);
    this.boom.flushSync();
  }
}

const COLOURS = {
  trace: 'gray',
  debug: 'gray',
  info: 'green',
  warn: 'yellow',
  error: 'red',
  fatal: 'red',
} as const;

/** A line of JSON for people: the time here, the level, what happened, and the rest by name. */
function prettyLine(line: string, coloured: boolean): string {
  const { level, time, event, msg, ...fields } = JSON.parse(line) as Record<string, unknown> & {
    level: LogLevel;
  };
  const at = new Date(time as string).toLocaleTimeString('en-GB');
  const rest = Object.entries(fields).map(([name, value]) => {
    const text = String(value);
    return `${name}=${/[\s"]/.test(text) ? JSON.stringify(text) : text}`;
  });
  const word = level.toUpperCase().padEnd(5);
  const shown = coloured ? styleText(COLOURS[level], word, { validateStream: false }) : word;
  return `${at} ${shown} ${msg} ${[`event=${event}`, ...rest].join(' ')}\n`;
}

import { EVENTS, type EventRow, type Log, type LogEvent } from './events.ts';

const WINDOW_MS = 1000;
/** Floods that are told apart at a time; of more than that, those of one event are counted together. */
const MOST_WINDOWS = 256;

interface Window {
  /** Lines that may still be written in this second. */
  left: number;
  /** Events that were not, and the last of them. */
  count: number;
  last: LogEvent;
}

/**
 * Makes one line a second of a flood of the same event: the first is passed on at once, those behind it are counted, and at the end of each
 * second the last of them is passed on with their `count`. So what is written is bounded, whatever a client does, and so is the memory.
 */
export class Fold {
  private readonly write: Log;
  private readonly windows = new Map<string, Window>();

  constructor(write: Log) {
    this.write = write;
  }

  readonly log: Log = (event) => {
    const row: EventRow = EVENTS[event.event];
    if (row.perSecond === Number.POSITIVE_INFINITY) {
      this.write(event);
      return;
    }
    const key = this.keyOf(event, row);
    let window = this.windows.get(key);
    if (window === undefined) {
      window = { left: row.perSecond, count: 0, last: event };
      this.windows.set(key, window);
      this.closeLater(key, row);
    }
    if (window.left > 0 && window.count === 0) {
      window.left--;
      this.write(event);
      return;
    }
    window.count += event.count ?? 1;
    window.last = event;
  };

  /** Passes on what was counted so far: call it before the process ends. */
  flush(): void {
    for (const window of this.windows.values()) this.tell(window);
  }

  private keyOf(event: LogEvent, row: EventRow): string {
    let key: string = event.event;
    for (const field of row.foldBy) key += `\n${String((event as Record<string, unknown>)[field])}`;
    return this.windows.size < MOST_WINDOWS || this.windows.has(key) ? key : event.event;
  }

  private closeLater(key: string, row: EventRow): void {
    const close = (): void => {
      const window = this.windows.get(key) as Window;
      if (window.count === 0) {
        this.windows.delete(key);
        return;
      }
      // The line that tells of this second is the first of the next.
      window.left = row.perSecond - 1;
      this.tell(window);
      this.closeLater(key, row);
    };
    setTimeout(close, WINDOW_MS).unref();
  }

  private tell(window: Window): void {
    if (window.count === 0) return;
    const { last, count } = window;
    window.count = 0;
    this.write({ ...last, count });
  }
}

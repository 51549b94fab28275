import { expect } from 'vitest';
import { HoldState, Op, opByName } from '../../protocol/ops.ts';
import { Reason, Status, statusName } from '../../protocol/status.ts';
import { inspectSegment } from '../../src/core/invariant.ts';
import {
  type Caller,
  type Command,
  DirectCaller,
  EncodedCaller,
  makeSegment,
  type Reply,
  type SegmentFixture,
  T0,
} from './fixtures.ts';

const WORDS = new Map<string, unknown>([
  ['nil', null],
  ['delta', 0],
  ['total', 1],
]);

/**
 * Plays tables of commands, one row a command: time in ms since T0, the command, what comes back.
 *
 *        0 | STOCK pen total 10   | OK 10 0 0 10
 *        5 | HOLD pen 3 1000      | OK $a @1005
 *       20 | bob: CONFIRM $a      | UNKNOWN_HOLD
 *     1005 | advance 100          | 1
 *
 * Commands come from ann unless a name stands before them. $a names a hold: the first reply with it gives it its
 * meaning. @5 is a time; nil, delta and total stand for what the protocol writes; _ in a reply is anything. `advance` is the
 * worker's duty, with a budget and what was done. After every row the whole segment is inspected.
 */
export class Table {
  readonly caller: Caller;
  private readonly ids = new Map<string, number>();

  constructor(caller: Caller) {
    this.caller = caller;
  }

  play(rows: string): this {
    for (const row of rows.split('\n')) {
      if (row.trim() !== '') this.playRow(row.trim());
    }
    return this;
  }

  /** Id of a named hold. */
  id(name: string): number {
    const id = this.ids.get(name);
    if (id === undefined) throw new Error(`no reply has named ${name}`);
    return id;
  }

  private playRow(row: string): void {
    const [time, command, reply] = row.split('|').map((column) => column.trim()) as [string, string, string];
    const now = T0 + Number(time);
    const { segment } = this.caller;
    if (command.startsWith('advance')) {
      expect(String(segment.advance(now, Number(command.split(/\s+/)[1]))), row).toBe(reply);
    } else {
      const [, holder = 'ann', text] = /^(?:(\w+):\s*)?(.*)$/.exec(command) as unknown as string[];
      const [name, ...args] = (text as string).split(/\s+/);
      const op = opByName(name as string);
      const values = args.map((token) => this.value(token));
      const wanted = reply.split(/\s+/);
      const came = this.render(op, this.caller.send([op, ...values] as Command, now, holder), wanted);
      expect(came.join(' '), row).toBe(wanted.join(' '));
    }
    expect(inspectSegment(segment).violations, row).toEqual([]);
  }

  private value(token: string): unknown {
    if (/^-?\d+$/.test(token)) return Number(token);
    if (token.startsWith('$')) return this.id(token);
    return WORDS.has(token) ? WORDS.get(token) : token;
  }

  /** A reply in the words of the table, so that a difference can be read. Names holds that the row names. */
  private render(op: number, [status, ...results]: Reply, wanted: readonly string[]): string[] {
    const words = [statusName(status)];
    for (const [index, result] of results.entries()) {
      const want = wanted[index + 1] ?? '';
      if (want.startsWith('$') && !this.ids.has(want)) this.ids.set(want, result as number);
      words.push(want === '_' ? want : this.renderResult(op, status, index, result));
    }
    return words;
  }

  private renderResult(op: number, status: number, index: number, result: unknown): string {
    if (typeof result !== 'number') return String(result);
    for (const [name, id] of this.ids) if (id === result) return name;
    if (result >= T0) return `@${result - T0}`;
    if (status === Status.MALFORMED && index === 0) return nameIn(Reason, result);
    if (op === Op.READ_HOLD && status === Status.OK && index === 0) return nameIn(HoldState, result);
    return String(result);
  }
}

function nameIn(names: Record<string, number>, value: number): string {
  return Object.keys(names).find((name) => names[name] === value) ?? String(value);
}

/** A table over a new segment, its commands encoded. */
export function encodedTable(options: SegmentFixture = {}): Table {
  return new Table(new EncodedCaller(makeSegment(options)));
}

/** Plays tables twice, by bytes and by direct calls: both must say the same. */
export function bothWays(options: SegmentFixture = {}): { play(rows: string): void } {
  const tables = [encodedTable(options), new Table(new DirectCaller(makeSegment(options)))];
  return {
    play: (rows) => {
      for (const table of tables) table.play(rows);
    },
  };
}

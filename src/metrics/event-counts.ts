import { assert } from '../base/assert.ts';
import { EVENTS, type EventName, type Log } from '../log/events.ts';
import { add, type CounterMemory, ServerCell, serverCounters } from '../shard/counters.ts';

/** What the log can tell, in the order of the cells. */
const NAMES = Object.keys(EVENTS) as EventName[];
const CELLS = new Map(NAMES.map((name, i) => [name, ServerCell.EVENTS + i]));

/** A log that counts what passes through it, whatever its level lets through to the next. For the main thread. */
export function countingLog(memory: CounterMemory, log: Log): Log {
  const cells = serverCounters(memory);
  return (event) => {
    add(cells, CELLS.get(event.event) as number, event.count ?? 1);
    log(event);
  };
}

/** How often each has happened. `cells`: the server's block. */
export function* countedEvents(cells: Float64Array): Iterable<[EventName, number]> {
  for (const [name, cell] of CELLS) yield [name, cells[cell] as number];
}

assert(ServerCell.EVENTS + NAMES.length <= ServerCell.CELLS, 'every event has a cell');

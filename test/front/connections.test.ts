import { describe, expect, it } from 'vitest';
import { type Connection, Connections } from '../../src/front/connections.ts';
import { RecordingSink } from './fixtures.ts';

const add = (connections: Connections) => connections.add(new RecordingSink(), 1, 2);

describe('the index of a connection', () => {
  it.each<[string, number, ((connections: Connections, connection: Connection) => void)[], boolean]>([
    ['is closed with nothing under way', 0, [close], true],
    ['is closed with commands under way', 2, [close], false],
    ['is closed and some of them are answered', 2, [close, (all, one) => all.answered(one, 1)], false],
    ['is closed and all of them are answered', 2, [close, (all, one) => all.answered(one, 2)], true],
    ['has all of them answered and is open', 2, [(all, one) => all.answered(one, 2)], false],
    ['has all of them answered, then is closed', 2, [(all, one) => all.answered(one, 2), close], true],
    ['is closed twice', 0, [close, close], true],
  ])('is used again, or not, when it %s', (_name, inFlight, steps, again) => {
    const connections = new Connections();
    const first = add(connections);
    first.inFlight = inFlight;
    for (const step of steps) step(connections, first);
    const second = add(connections);
    expect(second.index === first.index).toBe(again);
    expect(connections.at(second.index)).toBe(second);
    if (!again) expect(connections.at(first.index)).toBe(first);
    // A second close, or a last answer, gives no index out twice.
    expect(add(connections).index).not.toBe(second.index);
  });

  it('names nobody when it was never given, or given back', () => {
    const connections = new Connections();
    const one = add(connections);
    expect(() => connections.at(one.index + 1)).toThrow(/names connection 1, which does not exist/);
    connections.close(one);
    expect(() => connections.at(one.index)).toThrow(/does not exist/);
  });
});

describe('connections', () => {
  it('count those that are open', () => {
    const connections = new Connections();
    const [a, b, c] = [add(connections), add(connections), add(connections)];
    b.inFlight = 1;
    expect(connections.count).toBe(3);
    connections.close(b);
    connections.close(b);
    connections.close(c);
    expect([connections.count, a.open, b.open]).toEqual([1, true, false]);
  });

  it('keep the holder that they were made with', () => {
    expect(new Connections().add(new RecordingSink(), -5, 7)).toMatchObject({ holderLo: -5, holderHi: 7 });
  });
});

function close(connections: Connections, connection: Connection): void {
  connections.close(connection);
}

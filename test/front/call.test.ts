import { describe, expect, it } from 'vitest';
import { Op, StockMode } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import { Call } from '../../src/front/call.ts';
import { anybody, type Caller } from '../../src/front/caller.ts';
import { Front } from '../../src/front/front.ts';
import { HolderHash } from '../../src/front/holder.ts';
import { Shard } from '../../src/shard/shard.ts';
import { makeMemory, NOW, work } from './fixtures.ts';

const holders = new HolderHash(new Uint8Array(32));
const ANN: Caller = { ...anybody('ann', true, holders), address: [7, 8] };
const BOB = anybody('bob', true, holders);

function setUp() {
  const memory = makeMemory();
  const front = new Front({ memory, front: 0, clock: () => NOW, borrow: false, onFault: () => {} });
  const shard = new Shard(memory, 0);
  const turn = () => {
    front.endTurn();
    work(shard);
    front.endTurn();
  };
  return { front, turn };
}

describe('a command of the server itself', () => {
  it('is answered when the worker has answered, and gives its place back', () => {
    const { front, turn } = setUp();
    const replies: unknown[][] = [];
    new Call(front, ANN).run([Op.STOCK, 9, 'pen', StockMode.TOTAL, 10], (reply) => replies.push(reply));
    expect(front.connections.at(0)).toMatchObject({ holder: 'ann', addressLo: 7, addressHi: 8 });
    expect([replies, front.connections.count]).toEqual([[], 1]);
    turn();
    expect(replies).toEqual([[9, Status.OK, 10, 0, 0, 10]]);
    expect([front.connections.count, front.router.inFlight]).toEqual([0, 0]);
    expect(() => front.connections.at(0)).toThrow(/does not exist/);
  });

  it('is answered at once where the front answers', () => {
    const { front } = setUp();
    const replies: unknown[][] = [];
    new Call(front, ANN).run([Op.TIME, 1], (reply) => replies.push(reply));
    new Call(front, ANN).run([Op.READ, 2, ''], (reply) => replies.push(reply));
    expect(replies.map(([id, status]) => [id, status])).toEqual([
      [1, Status.OK],
      [2, Status.MALFORMED],
    ]);
    expect(front.connections.count).toBe(0);
  });

  it('speaks for the holder that it was made for', () => {
    const { front, turn } = setUp();
    const replies: unknown[][] = [];
    const run = (caller: Caller, command: unknown[]) => {
      new Call(front, caller).run(command, (reply) => replies.push(reply));
      turn();
      return replies.at(-1) as number[];
    };
    run(ANN, [Op.STOCK, 1, 'pen', StockMode.TOTAL, 10]);
    const holdId = run(ANN, [Op.HOLD, 2, 'pen', 1, 1000])[2];
    expect(run(BOB, [Op.READ_HOLD, 3, holdId])).toEqual([3, Status.UNKNOWN_HOLD]);
    expect(run(ANN, [Op.READ_HOLD, 4, holdId])[1]).toBe(Status.OK);
  });

  it('may be followed by the next one out of its answer, many times over', () => {
    const { front, turn } = setUp();
    const call = new Call(front, ANN);
    let answered = 0;
    const next = (): void => {
      call.run(answered % 2 === 0 ? [Op.READ, 1, 'pen'] : [Op.TIME, 1], () => {
        answered++;
        if (answered < 50) next();
      });
    };
    next();
    for (let i = 0; i < 60; i++) turn();
    expect(answered).toBe(50);
    expect([front.connections.count, front.router.inFlight]).toEqual([0, 0]);
  });
});

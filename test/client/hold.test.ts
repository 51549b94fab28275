import { describe, expect, it } from 'vitest';
import { Op } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import { clientAndServer, errorOf } from './fixtures/client.ts';
import { agree, type Command, HOLD_ID, u64 } from './fixtures/wire.ts';

/** A server with one hold of 5 units that counts as the real one does. */
function oneHold() {
  let has = 5;
  return (command: Command): unknown[] | undefined => {
    const [op, id, , quantity] = command;
    if (op === Op.RELEASE || op === Op.RETURN) has -= typeof quantity === 'number' ? quantity : has;
    else if (op === Op.CONFIRM) has = typeof quantity === 'number' ? quantity : has;
    else return agree(command);
    return [id, Status.OK, has];
  };
}

describe('a hold', () => {
  it('knows what was held, and until when', async () => {
    const { client } = await clientAndServer();
    const before = Date.now();
    const hold = await client.hold({ sku: 'sku-1', quantity: 5, ttl: 60_000 });
    expect(hold).toMatchObject({ sku: 'sku-1', quantity: 5, state: 'held' });
    expect(hold.id).toBeGreaterThan(HOLD_ID);
    expect(hold.serverExpiresAt).toBeGreaterThanOrEqual(before + 60_000);
    expect(Math.abs(hold.expiresAt - hold.serverExpiresAt)).toBeLessThan(25_000);
  });

  it('follows its life', async () => {
    const { client, server } = await clientAndServer({ answer: oneHold() });
    const hold = await client.hold({ sku: 's', quantity: 5, ttl: 60_000 });
    expect([await hold.release(1), hold.state, hold.quantity]).toEqual([4, 'held', 4]);
    expect([await hold.confirm(3), hold.state, hold.quantity]).toEqual([3, 'confirmed', 3]);
    expect([await hold.returnStock(2), hold.state, hold.quantity]).toEqual([1, 'confirmed', 1]);
    expect(server.connections[0].commands.slice(1).map(([op, , , ...args]) => [op, ...args])).toEqual([
      [Op.RELEASE, 1, 5],
      [Op.CONFIRM, 3],
      [Op.RETURN, 2, 3],
    ]);
  });

  it('is released as a whole without a quantity', async () => {
    const { client, server } = await clientAndServer({ answer: oneHold() });
    const hold = await client.hold({ sku: 's', quantity: 5, ttl: 60_000 });
    expect([await hold.release(), hold.state, hold.quantity]).toEqual([0, 'released', 0]);
    expect(server.connections[0].commands[1].slice(2)).toEqual([hold.id]);
  });

  it('has a later deadline once extended', async () => {
    const { client } = await clientAndServer();
    const hold = await client.hold({ sku: 's', ttl: 1_000 });
    const deadline = await hold.extend(60_000);
    expect(hold.serverExpiresAt).toBe(deadline.serverExpiresAt);
    expect(deadline.serverExpiresAt).toBeGreaterThan(Date.now() + 30_000);
  });

  it('has one command under way at a time, so that each part is a part of what the one before left', async () => {
    const { client, server } = await clientAndServer({ answer: oneHold() });
    const hold = await client.hold({ sku: 's', quantity: 5, ttl: 60_000 });
    expect(await Promise.all([hold.release(1), hold.release(2), hold.confirm()])).toEqual([4, 2, 2]);
    const [, ...frames] = server.connections[0].frames;
    expect(frames.map((frame) => frame.map(([, , , ...args]) => args))).toEqual([[[1, 5]], [[2, 4]], [[]]]);
  });

  it('goes with the frame of the turn when nothing is under way', async () => {
    const { client, server } = await clientAndServer({ answer: oneHold() });
    const hold = await client.hold({ sku: 's', quantity: 5, ttl: 60_000 });
    await hold.release(1);
    await Promise.all([client.read('s'), hold.confirm()]);
    expect(server.connections[0].frames.map((frame) => frame.length)).toEqual([1, 1, 2]);
  });

  it('lets the next command go when one was refused', async () => {
    const { client } = await clientAndServer({
      answer: (command) => (command[0] === Op.EXTEND ? [command[1], Status.TTL_LIMIT, 500] : agree(command)),
    });
    const hold = await client.hold({ sku: 's', ttl: 100 });
    const extended = errorOf(hold.extend(900));
    expect(await hold.confirm()).toBe(1);
    expect(await extended).toMatchObject({ code: 'TTL_LIMIT', details: { limitMs: 500 } });
  });

  it('keeps what came back after a sale when it is confirmed again', async () => {
    const { client } = await clientAndServer({
      answer: (command) => (command[0] === Op.CONFIRM ? [command[1], Status.OK, 5] : agree(command)),
    });
    const hold = await client.hold({ sku: 's', quantity: 5, ttl: 60_000 });
    await hold.confirm();
    await hold.returnStock(2);
    await hold.confirm();
    expect(hold.quantity).toBe(3);
  });

  it.each([
    [Status.CONFIRMED, 4, 'confirmed', 4],
    [Status.RELEASED, u64(5_000), 'released', 0],
    [Status.EXPIRED, u64(5_000), 'expired', 0],
    [Status.CHANGED, 3, 'held', 3],
    [Status.EXCEEDS_HOLD, 4, 'held', 4],
    [Status.BUSY, 5, 'held', 5],
  ])('learns from a refusal of status %i', async (status, result, state, quantity) => {
    const answer = (command: Command) =>
      command[0] === Op.RELEASE ? [command[1], status, result] : agree(command);
    const { client } = await clientAndServer({ answer }, { retryBusy: false });
    const hold = await client.hold({ sku: 's', quantity: 5, ttl: 60_000 });
    await errorOf(hold.release(2));
    expect([hold.state, hold.quantity]).toEqual([state, quantity]);
  });
});

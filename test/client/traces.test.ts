import { describe, expect, it } from 'vitest';
import { ClientPush, Op, PUSH } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import { connect } from '../../src/client/index.ts';
import { clientAndServer, errorOf } from './fixtures/client.ts';
import { agree, type Command } from './fixtures/wire.ts';

const TRACEPARENT = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
const answer = (command: Command) => (command[0] === PUSH ? undefined : agree(command));
const traced = (traceparent: () => string | undefined) =>
  clientAndServer({ answer }, { traceparent, reconnect: { initialMs: 1 } });

describe('a traceparent', () => {
  it('goes right before the command that it was asked for, in the same frame', async () => {
    const given = [TRACEPARENT, undefined, TRACEPARENT.replace('00f0', '11f0')];
    const { client, server } = await traced(() => given.shift());
    await Promise.all(['a', 'b', 'c'].map((sku) => client.read(sku)));
    const [frame] = server.connections[0].frames;
    expect(frame?.map(([op, second, third]) => (op === PUSH ? [op, second, third] : [op, third]))).toEqual([
      [PUSH, ClientPush.TRACE, TRACEPARENT],
      [Op.READ, 'a'],
      [Op.READ, 'b'],
      [PUSH, ClientPush.TRACE, TRACEPARENT.replace('00f0', '11f0')],
      [Op.READ, 'c'],
    ]);
  });

  it('stays with its command when that is sent again', async () => {
    let busy = true;
    const { client, server } = await clientAndServer(
      {
        answer: (command) => {
          if (command[0] !== Op.READ || !busy) return answer(command);
          busy = false;
          return [command[1], Status.BUSY, 1, 1];
        },
      },
      { traceparent: () => TRACEPARENT },
    );
    await client.read('a');
    const sent = server.connections[0].commands.map(([op]) => op);
    expect(sent).toEqual([PUSH, Op.READ, PUSH, Op.READ]);
  });

  it.each([
    ['nothing', () => undefined],
    ['what is too long', () => 'x'.repeat(129)],
    ['what is no text', () => 7 as unknown as string],
    [
      'an exception',
      () => {
        throw new Error('no tracer');
      },
    ],
  ])('that is %s leaves the command as it is', async (_, traceparent) => {
    const { client, server } = await traced(traceparent);
    await client.read('a');
    expect(server.connections[0].commands.map(([op]) => op)).toEqual([Op.READ]);
  });

  it('that is no function is refused at once', async () => {
    const traceparent = TRACEPARENT as unknown as () => string;
    expect(await errorOf(connect('ws://127.0.0.1:1', { traceparent }))).toMatchObject({
      code: 'MALFORMED',
      message: expect.stringContaining('a function that returns a text'),
    });
  });
});

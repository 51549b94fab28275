import { Conversation } from './conversation.ts';

/** A step's first byte: its kind, then flags. */
export const Step = {
  ...{ BINARY: 0, TEXT: 1, PASS: 2, HANG_UP: 3, COMMAND: 4, KINDS: 7 },
  ...{ SECOND_CLIENT: 8, WORKERS_WAIT: 16, COMES_UNKNOWN: 32 },
} as const;

const conversation = new Conversation();

/**
 * Fuzz target: all that a client's frames go through between socket and socket (router, command peek, rings, shards, segments, reply pump,
 * text frames), on one thread, without sockets. An input is a conversation of two clients, in steps:
 *
 *     BINARY, length, bytes    a binary frame; the length in two bytes, most significant first, cut to what there is
 *     TEXT, length, bytes      a text frame
 *     PASS, exponent           2^(exponent & 31) ms go by
 *     HANG_UP                  the client's connection breaks
 *     COMMAND, op, pick, …     a whole command, its arguments a byte each; of a hold that there was, by `pick`
 *
 * Whatever the bytes are: nothing throws, a frame is answered as often as it has commands, or closes its connection, nothing stays
 * under way, and the books are right.
 */
export function fuzz(data: Buffer): void {
  conversation.begin();
  let at = 0;
  while (at < data.length) {
    const step = data[at++] as number;
    const who = (step & Step.SECOND_CLIENT) === 0 ? 0 : 1;
    const kind = step & Step.KINDS;
    if (kind === Step.PASS) {
      conversation.pass(2 ** ((data[at++] ?? 0) & 31));
    } else if (kind === Step.HANG_UP) {
      conversation.hangUp(who, (step & Step.COMES_UNKNOWN) !== 0);
    } else if (kind === Step.COMMAND) {
      at += conversation.command(who, data.subarray(at));
    } else {
      const length = ((data[at] ?? 0) << 8) | (data[at + 1] ?? 0);
      const frame = data.subarray(at + 2, at + 2 + length);
      at += 2 + length;
      if (kind === Step.TEXT) conversation.text(who, frame.toString('utf8'));
      else conversation.binary(who, Uint8Array.from(frame));
    }
    if ((step & Step.WORKERS_WAIT) === 0) conversation.turn();
  }
  conversation.finish();
}

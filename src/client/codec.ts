import { Packr } from 'msgpackr';
import { ClientPush, PUSH, Push } from '../../protocol/ops.ts';
import { reasonName, statusName } from '../../protocol/status.ts';

/** Records would be an extension of MessagePack that the server does not speak. */
const packr = new Packr({ useRecords: false, int64AsType: 'number', mapsAsObjects: true });

export type Argument = number | string | Uint8Array | null;

/** One command as it goes over the wire. The bytes stay as they are. */
export function encodeCommand(op: number, requestId: number, args: readonly Argument[]): Uint8Array {
  return packr.pack([op, requestId, ...args]);
}

/** A traceparent for the command behind it, which has to be in the same frame. */
export function encodeTrace(traceparent: string): Uint8Array {
  return packr.pack([PUSH, ClientPush.TRACE, traceparent]);
}

/** Puts commands back to back into as few frames as `maxFrameBytes` allows, in their order. */
export function joinFrames(
  commands: readonly Uint8Array[],
  maxFrameBytes: number,
): Uint8Array<ArrayBuffer>[] {
  const frames: Uint8Array<ArrayBuffer>[] = [];
  for (let first = 0; first < commands.length; ) {
    let bytes = (commands[first] as Uint8Array).length;
    let next = first + 1;
    while (next < commands.length && bytes + (commands[next] as Uint8Array).length <= maxFrameBytes) {
      bytes += (commands[next++] as Uint8Array).length;
    }
    const frame = new Uint8Array(bytes);
    let at = 0;
    for (; first < next; first++) {
      frame.set(commands[first] as Uint8Array, at);
      at += (commands[first] as Uint8Array).length;
    }
    frames.push(frame);
  }
  return frames;
}

export interface Hello {
  readonly protocolVersion: number;
  readonly serverTimeMs: number;
  /** When the server acknowledges a change: "memory", … */
  readonly acknowledgement: string;
  /** The server's bounds by name. */
  readonly limits: Readonly<Record<string, number>>;
}

export type Message =
  | {
      readonly kind: 'reply';
      readonly requestId: number;
      readonly status: number;
      readonly results: readonly unknown[];
    }
  | { readonly kind: 'hello'; readonly hello: Hello }
  | { readonly kind: 'error'; readonly text: string }
  | { readonly kind: 'other' };

/**
 * Reads the messages of one frame and hands them over in order. Returns '' or what is wrong with the first
 * message that cannot be read; those before it have been handed over by then.
 */
export function decodeFrame(data: unknown, take: (message: Message) => void): string {
  if (!(data instanceof ArrayBuffer)) return 'it is a text frame, where only binary ones are expected';
  const values: unknown[] = [];
  let problem = '';
  try {
    packr.unpackMultiple(new Uint8Array(data), (value: unknown) => {
      values.push(value);
    });
  } catch (error) {
    problem = `it is no MessagePack (${error instanceof Error ? error.message : String(error)})`;
  }
  // Handed over outside the try block, so that an exception of the receiver is not taken for a bad frame.
  for (const value of values) {
    const message = readMessage(value);
    if (typeof message === 'string') return message;
    take(message);
  }
  return problem;
}

function readMessage(value: unknown): Message | string {
  if (!Array.isArray(value)) return 'a message is no array';
  const [requestId, status] = value;
  if (!Number.isSafeInteger(requestId) || requestId < 0) return 'a message does not begin with a request id';
  if (!Number.isSafeInteger(status) || status < 0) return `the answer to request ${requestId} has no status`;
  if (requestId !== PUSH) return { kind: 'reply', requestId, status, results: value.slice(2) };
  if (status === Push.HELLO) return readHello(value);
  if (status === Push.ERROR) {
    return { kind: 'error', text: `${statusName(value[2])} (${reasonName(value[3])}) at byte ${value[4]}` };
  }
  // A later server may push what this SDK has not asked for.
  return { kind: 'other' };
}

function readHello(value: unknown[]): Message | string {
  const [, , protocolVersion, serverTimeMs, acknowledgement, limits] = value;
  if (
    typeof protocolVersion !== 'number' ||
    typeof serverTimeMs !== 'number' ||
    !Number.isSafeInteger(serverTimeMs)
  ) {
    return 'the hello has no protocol version and time';
  }
  const hello = {
    protocolVersion,
    serverTimeMs,
    acknowledgement: String(acknowledgement),
    limits: (typeof limits === 'object' && limits !== null ? limits : {}) as Record<string, number>,
  };
  return { kind: 'hello', hello };
}

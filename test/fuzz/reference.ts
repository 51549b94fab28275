/**
 * MessagePack's grammar once more, as plainly as it can be written and with nothing of protocol/cursor.ts, for the fuzz targets to hold
 * that against. By recursion: inputs of the targets are short.
 */
export const NOT_WHOLE = -1;

/** Where the value at `at` ends; NOT_WHOLE when the bytes end before, or a byte begins no value. */
export function valueEnd(bytes: Uint8Array, at: number): number {
  const layout = layoutAt(bytes, at);
  if (layout === undefined || layout.body > bytes.length) return NOT_WHOLE;
  let end = layout.body;
  for (let i = 0; i < layout.values && end !== NOT_WHOLE; i++) end = valueEnd(bytes, end);
  return end;
}

/** Where the elements of the array at `at` begin, and how many there are; undefined when there is no array's header. */
export function arrayAt(bytes: Uint8Array, at: number): { first: number; count: number } | undefined {
  const head = bytes[at] ?? 0;
  const isArray = (head & 0xf0) === 0x90 || head === 0xdc || head === 0xdd;
  const layout = isArray ? layoutAt(bytes, at) : undefined;
  return layout && { first: layout.body, count: layout.values };
}

interface Layout {
  /** Behind the header and the bytes that belong to the value itself. */
  readonly body: number;
  /** Values that follow and belong to it. */
  readonly values: number;
}

/** Formats with a byte of their own: how many bytes follow, how wide a length or count is, and what that counts. */
const FIXED: Record<number, number> = {
  192: 0,
  194: 0,
  195: 0,
  ...{ 202: 4, 203: 8, 204: 1, 205: 2, 206: 4, 207: 8, 208: 1, 209: 2, 210: 4, 211: 8 },
  // fixext: a type, then 1, 2, 4, 8 or 16 bytes.
  ...{ 212: 2, 213: 3, 214: 5, 215: 9, 216: 17 },
};
const SIZED: Record<number, { width: number; extra: number }> = {
  ...{ 196: { width: 1, extra: 0 }, 197: { width: 2, extra: 0 }, 198: { width: 4, extra: 0 } },
  ...{ 199: { width: 1, extra: 1 }, 200: { width: 2, extra: 1 }, 201: { width: 4, extra: 1 } },
  ...{ 217: { width: 1, extra: 0 }, 218: { width: 2, extra: 0 }, 219: { width: 4, extra: 0 } },
};
const COUNTED: Record<number, { width: number; each: number }> = {
  ...{ 220: { width: 2, each: 1 }, 221: { width: 4, each: 1 } },
  ...{ 222: { width: 2, each: 2 }, 223: { width: 4, each: 2 } },
};

function layoutAt(bytes: Uint8Array, at: number): Layout | undefined {
  const head = bytes[at];
  if (head === undefined) return undefined;
  const body = at + 1;
  if (head <= 0x7f || head >= 0xe0) return { body, values: 0 };
  if (head <= 0x8f) return { body, values: 2 * (head - 0x80) };
  if (head <= 0x9f) return { body, values: head - 0x90 };
  if (head <= 0xbf) return { body: body + head - 0xa0, values: 0 };
  const fixed = FIXED[head];
  if (fixed !== undefined) return { body: body + fixed, values: 0 };
  const {
    width,
    extra = 0,
    each = 0,
  }: { width: number; extra?: number; each?: number } = SIZED[head] ?? COUNTED[head] ?? { width: 0 };
  if (width === 0 || body + width > bytes.length) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const size = width === 1 ? view.getUint8(body) : width === 2 ? view.getUint16(body) : view.getUint32(body);
  if (each === 0) return { body: body + width + extra + size, values: 0 };
  return { body: body + width, values: each * size };
}

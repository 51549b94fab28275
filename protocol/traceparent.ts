/** Who asks, in a trace: see https://www.w3.org/TR/trace-context-2/#traceparent-header. */
export interface TraceParent {
  /** 32 and 16 hexadecimal digits, not all of them 0. */
  readonly traceId: string;
  readonly parentId: string;
  /** Whether the client records this trace, so that spans of it are worth something. */
  readonly sampled: boolean;
}

const FORMAT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/s;
const SAMPLED = 1;

/**
 * Reads a traceparent by section 3.2 of Trace Context, level 2: version 00 exactly, a later version as far as 00 goes. Undefined for
 * everything else, which is to be ignored.
 */
export function readTraceParent(text: string): TraceParent | undefined {
  const [, version, traceId = '', parentId = '', flags = '', more] = FORMAT.exec(text) ?? [];
  if (version === undefined || version === 'ff' || (version === '00' && more !== undefined)) return undefined;
  if (/^0+$/.test(traceId) || /^0+$/.test(parentId)) return undefined;
  return { traceId, parentId, sampled: (Number.parseInt(flags, 16) & SAMPLED) !== 0 };
}

import {
  type Attributes,
  type HrTime,
  ProxyTracerProvider,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import { opName } from '../../protocol/ops.ts';
import { Status, statusName } from '../../protocol/status.ts';
import { version } from '../base/version.ts';
import { STAGES } from '../shard/stage-report.ts';
import type { CommandTrace } from './command-trace.ts';

const NAME = 'holdfast';
/** Answers that are the server's fault. A refusal is none. */
const FAILURES: readonly number[] = [Status.UNAVAILABLE, Status.UNKNOWN_OUTCOME];

/**
 * Makes spans of traced commands through the OpenTelemetry API: one of the server for the command, as a child of the client's, and in it
 * one for each stage. Undefined when no SDK is registered in this process that would take them: then no command need be traced at all.
 */
export function commandSpans(): ((traced: CommandTrace) => void) | undefined {
  const provider = trace.getTracerProvider();
  // What the API hands out while nobody has registered a provider stands for one that may come yet.
  const none =
    provider instanceof ProxyTracerProvider && provider.getDelegateTracer(NAME, version) === undefined;
  if (none) return undefined;
  const tracer = provider.getTracer(NAME, version);
  return (traced) => writeSpans(tracer, traced);
}

function writeSpans(tracer: Tracer, traced: CommandTrace): void {
  const { traceId, parentId, op, status, stagesUs } = traced;
  const client = { traceId, spanId: parentId, traceFlags: TraceFlags.SAMPLED, isRemote: true };
  const tookUs = stagesUs.reduce((sum, us) => sum + us, 0);
  let atUs = traced.endMs * 1000 - tookUs;
  const span = tracer.startSpan(
    opName(op),
    { kind: SpanKind.SERVER, startTime: timeOf(atUs), attributes: attributesOf(traced) },
    trace.setSpanContext(ROOT_CONTEXT, client),
  );
  if (FAILURES.includes(status)) span.setStatus({ code: SpanStatusCode.ERROR, message: statusName(status) });
  if (span.isRecording()) {
    for (const [i, us] of stagesUs.entries()) {
      const stage = childOf(tracer, span, STAGES[i] as string, atUs);
      atUs += us;
      stage.end(timeOf(atUs));
    }
  }
  span.end(timeOf(traced.endMs * 1000));
}

function childOf(tracer: Tracer, span: Span, name: string, startUs: number): Span {
  return tracer.startSpan(
    name,
    { kind: SpanKind.INTERNAL, startTime: timeOf(startUs) },
    trace.setSpan(ROOT_CONTEXT, span),
  );
}

function attributesOf({ op, status, front, worker, segment, connection }: CommandTrace): Attributes {
  return {
    'rpc.system.name': NAME,
    'rpc.method': opName(op),
    'holdfast.status': statusName(status),
    'holdfast.front': front,
    'holdfast.connection': connection,
    // Where the front answered by itself, there is neither.
    ...(worker >= 0 && { 'holdfast.worker': worker, 'holdfast.segment': segment }),
  };
}

function timeOf(us: number): HrTime {
  return [Math.floor(us / 1e6), Math.round((us % 1e6) * 1000)];
}
